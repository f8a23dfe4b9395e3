"""A bad day: the store goes away and comes back; round trips on a good one."""

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
    """Make a service on a server of its own."""
    with EmbeddedServer(*options) as server:
        factory = ServiceFactory(server.url)
        try:
            yield server, await factory()
        finally:
            await factory.close()


async def test_a_silent_store_is_a_503_within_two_seconds() -> None:
    """A store that hangs: 503 in time, nothing accepted, alive but not ready, and back by itself."""
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


async def test_a_store_that_forgot_the_scripts_is_taught_again(service: RunningService) -> None:
    """After SCRIPT FLUSH (a restart, a fail-over) calls go on as if nothing had happened."""
    verification_id, code = await service.request_code()
    await service.store.script_flush()
    assert (await service.verify(verification_id, code)).status_code == 200


async def counting_proxy(target: str, path: Path, counted: list[int]) -> asyncio.Server:
    """Stand between service and store and count the turns: bytes to the store after bytes from it."""

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
    """Each endpoint asks the store at most twice; a guess with an idempotency key claims that first: three times."""
    counted: list[int] = []
    path = tmp_path / "proxy"
    proxy = await counting_proxy(server.socket, path, counted)
    factory = ServiceFactory(f"unix://{path}")
    await factory.empty_store()
    try:
        service = await factory({"routes": [{"providers": ["inbox"]}]})
        await _without_the_courier()
        await _quiet(counted)
        headers = {"Idempotency-Key": "k"} if keyed else {}
        response = await service.client.post(
            "/v1/request-code", json={"phone": "0812-1010-0055", "purpose": "login", "decoy": True}, headers=headers
        )
        assert response.status_code == 202
        assert 1 <= len(counted) <= 2
        verification_id, code = await service.request_code("0812-1010-0066")
        await _quiet(counted)  # its delivery is written down
        guess = {"verification_id": verification_id, "code": code}
        assert (await service.client.post("/v1/verify-code", json=guess, headers=headers)).status_code == 200
        assert 1 <= len(counted) <= (3 if keyed else 2)
    finally:
        await factory.close()
        proxy.close()


async def _without_the_courier() -> None:
    """End the rounds through the outbox: they are not on a request's path."""
    for task in asyncio.all_tasks():
        if task.get_name() in ("outbox-worker", "store-readiness"):
            task.cancel()


async def _quiet(counted: list[int]) -> None:
    """Wait until nothing is under way to the store, and begin to count."""
    counted.append(0)
    while counted:
        counted.clear()
        await asyncio.sleep(0.05)
