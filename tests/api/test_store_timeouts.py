"""A store that hangs or restarts, and the number of round trips of each endpoint."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from otp_service.sandbox.embedded_server import EmbeddedServer
from tests.problem_assertions import assert_problem
from tests.running_service import RunningService, ServiceFactory


@contextlib.asynccontextmanager
async def own_server(*options: str) -> AsyncIterator[tuple[EmbeddedServer, RunningService]]:
    """Start a service on a server of its own."""
    with EmbeddedServer(*options) as server:
        factory = ServiceFactory(server.url)
        try:
            yield server, await factory()
        finally:
            await factory.close()


async def test_a_hanging_store_is_a_503_within_two_seconds() -> None:
    """Requests get 503 in time, the service is alive but not ready, and recovers by itself."""
    async with own_server() as (server, service):
        verification_id, code = await service.request_code()
        os.kill(server.pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            ready = service.client.get("/readyz")
            for response in await asyncio.gather(
                service.request("0812-1010-0066"), service.verify(verification_id, code), ready
            ):
                assert_problem(response, 503, "store_unavailable")
            assert time.monotonic() - started < 2
            assert (await service.client.get("/livez")).status_code == 200
        finally:
            os.kill(server.pid, signal.SIGCONT)
        async with asyncio.timeout(10):
            while (await service.client.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.05)
        assert (await service.request("0812-1010-0077")).status_code == 202


async def test_scripts_are_loaded_again(service: RunningService) -> None:
    """After SCRIPT FLUSH (a restart or a failover) requests succeed as before."""
    verification_id, code = await service.request_code()
    await service.store.script_flush()
    assert (await service.verify(verification_id, code)).status_code == 200


async def counting_proxy(target: str, path: Path, counted: list[int]) -> asyncio.Server:
    """Run a proxy that counts round trips: bytes to the store after bytes from it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(target)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, up: bool) -> None:
            while data := await source.read(65536):
                if up and b"EVAL" in data:
                    counted.append(len(data))
                sink.write(data)
                await sink.drain()
            sink.close()

        await asyncio.gather(pump(reader, far_writer, up=True), pump(far_reader, writer, up=False))

    return await asyncio.start_unix_server(serve, path)


@pytest.mark.parametrize("keyed", [False, True])
async def test_round_trips(server: EmbeddedServer, tmp_path: Path, keyed: bool) -> None:
    """Each endpoint needs at most two round trips; an attempt with an idempotency key needs three."""
    counted: list[int] = []
    path = tmp_path / "proxy"
    proxy = await counting_proxy(server.socket, path, counted)
    factory = ServiceFactory(f"unix://{path}")
    await factory.empty_store()
    try:
        service = await factory({"routes": [{"providers": ["inbox"]}]})
        await _without_outbox_worker()
        await _wait_until_idle(counted)
        headers = {"Idempotency-Key": "k"} if keyed else {}
        response = await service.client.post(
            "/v1/request-code", json={"phone": "0812-1010-0055", "purpose": "login", "decoy": True}, headers=headers
        )
        assert response.status_code == 202
        assert 1 <= len(counted) <= 2
        verification_id, code = await service.request_code("0812-1010-0066")
        await _wait_until_idle(counted)  # its delivery is recorded
        attempt_body = {"verification_id": verification_id, "code": code}
        assert (await service.client.post("/v1/verify-code", json=attempt_body, headers=headers)).status_code == 200
        assert 1 <= len(counted) <= (3 if keyed else 2)
    finally:
        await factory.close()
        proxy.close()


async def _without_outbox_worker() -> None:
    """Stop the polls of the outbox, which no request waits for."""
    for task in asyncio.all_tasks():
        if task.get_name() in ("outbox-worker", "store-readiness"):
            task.cancel()


async def _wait_until_idle(counted: list[int]) -> None:
    """Wait until no call is in progress, and start to count."""
    counted.append(0)
    while counted:
        counted.clear()
        await asyncio.sleep(0.05)
