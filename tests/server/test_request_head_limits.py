"""Request line and headers are limited, and only they count as the head."""

from __future__ import annotations

import pytest

from tests.server.raw_http_client import LIVEZ, PHONE, assert_problem, post, raw_connection

MAX_HEAD = 64 * 1024


def head_of(size: int) -> bytes:
    """Return a head of exactly `size` bytes."""
    start = b"GET /livez HTTP/1.1\r\nHost: otp\r\nX-Filler: "
    return start + b"a" * (size - len(start) - 4) + b"\r\n\r\n"


@pytest.mark.parametrize("piece", [MAX_HEAD + 10, 4096, 1021])
async def test_a_head_has_64_kib(url: str, piece: int) -> None:
    """A head of 64 KiB is accepted, one more byte gets 431, in any pieces, and each head counts alone."""
    async with raw_connection(url) as wire:
        for size in (MAX_HEAD, MAX_HEAD):
            data = head_of(size)
            for start in range(0, size, piece):
                await wire.send(data[start : start + piece])
            assert (await wire.read_response()).status == 200
        data = head_of(MAX_HEAD + 1)
        for start in range(0, len(data), piece):
            await wire.send(data[start : start + piece])
        assert_problem(await wire.read_response(), 431, "headers_too_large")
        assert await wire.read_to_end() == b""


@pytest.mark.parametrize("size", [65_500, 65_536])
async def test_c13_a_body_in_one_piece_with_its_head(url: str, size: int) -> None:
    """C13: a body of up to 64 KiB that arrives together with its head is accepted, and so is the next request."""
    body = PHONE + b" " * (size - len(PHONE))
    async with raw_connection(url) as wire:
        for _ in range(3):
            assert (await wire.exchange(post(body))).status == 200
        answer = await wire.exchange(post(body + b" " * (65_537 - size)))
        assert (answer.status, answer.json()["code"]) == (413, "body_too_large")


async def test_headers_are_counted(url: str) -> None:
    """A hundred headers are accepted; one more gets 431."""
    headers = b"X: 1\r\n" * 98
    async with raw_connection(url) as wire:
        assert (await wire.exchange(LIVEZ[:-2] + headers + b"Y: 1\r\n\r\n")).status == 200
        assert_problem(await wire.exchange(LIVEZ[:-2] + headers + b"Y: 1\r\nZ: 1\r\n\r\n"), 431, "headers_too_large")


ENDLESS = {
    "empty lines": (b"", b"\r\n" * 100),
    "a method": (b"", b"G" * 1000),
    "a target": (b"GET /", b"a" * 1000),
    "a name": (b"GET / HTTP/1.1\r\n", b"a" * 1000),
    "spaces before a value": (b"GET / HTTP/1.1\r\nX: ", b" " * 1000),
    "headers": (b"GET / HTTP/1.1\r\n", b"X: a\r\n" * 100),
}


@pytest.mark.parametrize("name", ENDLESS)
async def test_endless_heads_are_refused(url: str, name: str) -> None:
    """Endless data without the end of a head gets a response, and the connection is closed."""
    start, endless = ENDLESS[name]
    async with raw_connection(url) as wire:
        await wire.send(start)
        sent, answer = await wire.flood(endless * 10, 5_000_000)
        assert answer.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))
        assert sent < 5_000_000


async def test_empty_lines_before_a_request(url: str) -> None:
    """A few empty lines are ignored, as RFC 9112 asks."""
    async with raw_connection(url) as wire:
        for start in (b"\r\n", b"\r\n\r\n\r\n"):
            assert (await wire.exchange(start + LIVEZ)).status == 200
