"""Too many connections: waiting ones are closed for new ones, and file descriptors never run out."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from otp_service.server.connections import MAX_BUFFERED_BYTES, Phase
from otp_service.server.http_protocol import HttpConnection
from tests.server.raw_http_client import CLOSING, LIVEZ, PHONE, RawConnection, assert_problem, post, raw_connection
from tests.server.server_under_test import ServeApp
from tests.service_process import ServiceProcess


async def _livez(_scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})


async def test_a_response_survives_an_eviction(served: ServeApp) -> None:
    """A response that was written right before its connection is evicted is still read."""

    async def and_evicts(scope: Any, receive: Any, send: Any) -> None:
        await _livez(scope, receive, send)
        [connection] = [found for found in gc.get_objects() if isinstance(found, HttpConnection)]
        assert connection.phase is Phase.IDLE
        connection.evict()

    async with served(and_evicts) as url, raw_connection(url) as wire:
        assert (await wire.exchange(LIVEZ)).status == 200
        assert await wire.read_to_end() == b""


@contextlib.asynccontextmanager
async def many(url: str, count: int, data: bytes) -> AsyncIterator[list[RawConnection]]:
    """Open connections that send some data and then wait."""
    async with contextlib.AsyncExitStack() as stack:
        wires = []
        for _ in range(count):
            wires.append(await stack.enter_async_context(raw_connection(url)))
            await wires[-1].send(data)
        yield wires


WAITING = {"silent": b"", "half a head": LIVEZ[:20], "half a body": post(PHONE)[:-1], "idle": LIVEZ}


@pytest.mark.parametrize("name", WAITING)
async def test_the_longest_waiting_connection_is_closed(served: ServeApp, name: str) -> None:
    """At the limit a new connection replaces the oldest waiting one; the others stay open."""
    async with served(_livez, max_connections=10) as url, many(url, 10, WAITING[name]) as wires:
        if name == "idle":
            assert [(await wire.read_response()).status for wire in wires] == [200] * 10
        for _ in range(3):
            async with raw_connection(url) as wire:
                assert (await wire.exchange(CLOSING)).status == 200
        gone = await wires[0].read_to_end()
        assert gone.startswith(b"HTTP/1.1 503") if "half" in name else gone == b""
        with pytest.raises(TimeoutError):
            await wires[9].read_to_end(0.1)


async def test_a_connection_with_a_request_in_progress_is_kept(served: ServeApp) -> None:
    """If every connection has a request in progress, a new one gets 503, and those are answered."""
    go = asyncio.Event()

    async def waits(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await _livez(scope, receive, send)

    async with served(waits, max_connections=10) as url, many(url, 10, LIVEZ) as wires:
        for _ in range(30):
            async with raw_connection(url) as wire:
                answer = await wire.exchange(LIVEZ)
                assert_problem(answer, 503, "overloaded")
                assert (answer.headers["retry-after"], answer.json()["retry_after"]) == ("1", 1)
                assert await wire.read_to_end() == b""
        go.set()
        assert [(await wire.read_response()).status for wire in wires] == [200] * 10


async def test_memory_of_incomplete_requests(served: ServeApp) -> None:
    """If incomplete requests use too much memory the largest are closed; a small one is kept."""
    size = 60_000
    most = MAX_BUFFERED_BYTES // size
    body = post(b" " * size)[:-1]
    async with served(_livez) as url, raw_connection(url) as small:
        await small.send(LIVEZ[:-1])
        async with many(url, most + 20, body) as wires:
            for _ in range(20):
                assert (await small.exchange(LIVEZ[-1:])).status == 200
                await small.send(LIVEZ[:-1])
            gone = 0
            for wire in wires:
                with contextlib.suppress(TimeoutError):
                    gone += (await wire.read_to_end(0.001)).startswith(b"HTTP/1.1 503")
            assert 20 <= gone <= 60


async def test_memory_of_complete_requests(served: ServeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that arrives at once is refused if it does not fit; those that the application works on are kept.

    What is received with a request that waits for its response, such as a part of the next one, changes nothing.
    """
    request, go = post(b" " * 1000), asyncio.Event()
    monkeypatch.setattr("otp_service.server.connections.MAX_BUFFERED_BYTES", 3 * len(request))

    async def waits(scope: Any, receive: Any, send: Any) -> None:
        async with asyncio.timeout(2):
            await go.wait()
        await _livez(scope, receive, send)

    async with served(waits) as url, many(url, 3, request) as wires:
        for wire in wires:
            await wire.send(LIVEZ[:20])
        for _ in range(3):
            async with raw_connection(url) as wire:
                assert_problem(await wire.exchange(request), 503, "overloaded")
        go.set()
        assert [(await wire.read_response()).status for wire in wires] == [200] * 3
        async with raw_connection(url) as wire:
            assert (await wire.exchange(request)).status == 200


async def test_few_file_descriptors(tmp_path: Path) -> None:
    """With `ulimit -n 128` and 160 waiting connections, of each kind in turn, every honest request is answered."""
    service = ServiceProcess(tmp_path, "dev", "--port", "0", descriptors=128)
    try:
        url = await service.ready()
        for data in WAITING.values():
            async with many(url, 160, data):
                for _ in range(20):
                    async with raw_connection(url) as wire:
                        assert (await wire.exchange(LIVEZ)).status == 200
                        assert (await wire.exchange(post(PHONE))).status == 200
        assert "few_file_descriptors" in service.log
        assert "Too many open files" not in service.log
    finally:
        service.end()


async def test_a_closed_connection_frees_its_memory(served: ServeApp) -> None:
    """Its memory is free at once, without the garbage collector, however it was closed."""
    gc.collect()
    gc.disable()
    try:
        async with served(_livez, head_seconds=0.2, body_seconds=0.2) as url:
            for data in (LIVEZ, LIVEZ * 3, post(b"a" * 100_000)):
                async with raw_connection(url) as wire:  # closed by the client
                    assert (await wire.exchange(data)).status == 200
            for data in (b"", LIVEZ[:20], post(PHONE)[:-1], CLOSING, b"NOT HTTP\r\n\r\n"):
                async with raw_connection(url) as wire:  # closed by the server
                    await wire.send(data)
                    await wire.read_to_end()
            await asyncio.sleep(0.1)
            left = [found for found in gc.get_objects() if isinstance(found, HttpConnection)]
    finally:
        gc.enable()
    assert left == []
