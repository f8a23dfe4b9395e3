"""Requests without authorization use no memory, however much is sent."""

from __future__ import annotations

import asyncio

import pytest

from tests.server.raw_http_client import CHUNKED, CLOSING, LIVEZ, raw_connection, rss_kib
from tests.service_process import ServiceProcess

FLOOD_BYTES = 120_000_000
GROWTH_KIB = 12_000
LONG_REQUEST = LIVEZ[:-2] + b"X-Padding: " + b"a" * 8_000 + b"\r\n\r\n"

STREAMS = {
    "trailers": (CHUNKED + b"0\r\n", b"X-Trailer: aaaaaaaaaaaaaaaa\r\n"),
    "one trailer": (CHUNKED + b"0\r\nX: ", b"a" * 64),
    "extensions": (CHUNKED + b"1;", b"a" * 64),
    "tiny chunks": (CHUNKED, b"1\r\na\r\n"),
    "headers": (b"GET /livez HTTP/1.1\r\n", b"X: a\r\n"),
    "a body that is too large": (
        CHUNKED.replace(b"Transfer-Encoding: chunked", b"Content-Length: 999999999"),
        b"a" * 64,
    ),
}


@pytest.mark.parametrize("name", STREAMS)
async def test_endless_streams(service: ServiceProcess, url: str, name: str) -> None:
    """After 120 MB of malformed data, over as many connections as needed, the memory is the same."""
    start, block = STREAMS[name]
    before, sent = rss_kib(service.pid), 0
    while sent < FLOOD_BYTES:
        async with raw_connection(url) as wire:
            await wire.send(start)
            sent += (await wire.flood(block * (65_536 // len(block)), FLOOD_BYTES))[0]
    assert rss_kib(service.pid) - before < GROWTH_KIB


async def test_requests_without_reading_responses(service: ServiceProcess, url: str) -> None:
    """Requests are read no faster than their responses, so the client has to wait."""
    before, sent = rss_kib(service.pid), 0
    async with raw_connection(url) as wire:
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # of every socket transport
        while sent < FLOOD_BYTES and await wire.send(LIVEZ * 2000):
            sent += 2000 * len(LIVEZ)
    assert rss_kib(service.pid) - before < GROWTH_KIB
    assert sent < FLOOD_BYTES


async def test_pipelined_megabytes(service: ServiceProcess, url: str) -> None:
    """Ten connections that each send 3 MB of requests at once are answered, and the memory is the same."""
    before = rss_kib(service.pid)

    async def one() -> int:
        async with raw_connection(url) as wire:
            sending = asyncio.create_task(wire.send(LONG_REQUEST * 375 + CLOSING))
            answered = await wire.read_to_end(60)
            await sending
            return answered.count(b"HTTP/1.1 200")

    assert await asyncio.gather(*(one() for _ in range(10))) == [376] * 10
    assert rss_kib(service.pid) - before < GROWTH_KIB
