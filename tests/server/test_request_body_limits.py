"""The parts of a body that are not content are limited, and so is what follows a refusal."""

from __future__ import annotations

import pytest

from tests.server.raw_http_client import CHUNKED, LIVEZ, PHONE, assert_problem, post, raw_connection


def chunks(body: bytes, size: int = 1) -> bytes:
    """Encode a body in chunks, without the last chunk."""
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


@pytest.mark.parametrize("size", [1, 7, 65_536])
async def test_chunks_are_served(url: str, size: int) -> None:
    """A body of 64 KiB is accepted in chunks of any size, and the connection stays open."""
    body = PHONE + b" " * (65_536 - len(PHONE))
    async with raw_connection(url) as wire:
        for _ in range(2):
            answer = await wire.exchange(CHUNKED + chunks(body, size) + b"0\r\n\r\n")
            assert (answer.status, answer.json()["e164"]) == (200, "+6281210100055")


async def test_trailers_are_ignored(url: str) -> None:
    """An API key in a trailer is not used, and the connection stays open."""
    keyless = CHUNKED.replace(b"Authorization: Bearer dev-key\r\n", b"")
    async with raw_connection(url) as wire:
        answer = await wire.exchange(keyless + chunks(PHONE, 9) + b"0\r\nAuthorization: Bearer dev-key\r\n\r\n")
        assert (answer.status, answer.json()["code"]) == (401, "key_missing")
        assert (await wire.exchange(CHUNKED + chunks(PHONE, 9) + b"0\r\n" + b"X: 1\r\n" * 20 + b"\r\n")).status == 200
        many = CHUNKED + chunks(PHONE, 9) + b"0\r\n" + b"X: 1\r\n" * 21 + b"\r\n"
        assert_problem(await wire.exchange(many), 400, "request_malformed")


ENDLESS = {
    "trailers": (b"0\r\n", b"X-Trailer: a\r\n" * 100),
    "one trailer": (b"0\r\nX-Trailer: ", b"a" * 1000),
    "the name of a trailer": (b"0\r\n", b"a" * 1000),
    "an extension": (b"1;", b"a" * 1000),
    "a value of an extension": (b"1;a=", b"a" * 1000),
    "extensions": (b"", b"1;" + b"a" * 100 + b"\r\na\r\n"),
    "a chunk size": (b"", b"0" * 1000),
}


@pytest.mark.parametrize("name", ENDLESS)
async def test_endless_overhead_is_refused(url: str, name: str) -> None:
    """Endless chunk sizes, extensions and trailers get a response, and the connection is closed."""
    start, endless = ENDLESS[name]
    async with raw_connection(url) as wire:
        await wire.send(CHUNKED + start)
        sent, answer = await wire.flood(endless * 10, 5_000_000)
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 413"))
        assert sent < 5_000_000


@pytest.mark.parametrize("declared", [b"Content-Length: 999999999", b"Transfer-Encoding: chunked"])
async def test_data_after_a_413_is_limited(url: str, declared: bytes) -> None:
    """A body that is too large gets 413, and the connection is closed soon after."""
    head = CHUNKED.replace(b"Transfer-Encoding: chunked", declared)
    block = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    async with raw_connection(url) as wire:
        await wire.send(head)
        sent, answered = await wire.flood(block, 30_000_000)
        assert sent < 30_000_000
        assert answered.startswith(b"HTTP/1.1 413")
    async with raw_connection(url) as wire:
        answer = await wire.exchange(head + block * 2)
        assert (answer.status, answer.json()["code"]) == (413, "body_too_large")
        assert answer.headers["connection"] == "close"
        assert await wire.read_to_end() == b""


@pytest.mark.parametrize(
    "headers",
    [
        (b"Transfer-Encoding: chunked",),
        (b"Content-Length: 5",),
        (b"Content-Length: 25",),
    ],
)
async def test_c20_two_lengths_are_refused(url: str, headers: tuple[bytes, ...]) -> None:
    """C20: a request with two lengths gets 400, and no part of it is read as another request."""
    async with raw_connection(url) as wire:
        await wire.send(post(PHONE, *headers) + LIVEZ)
        assert_problem(await wire.read_response(), 400, "request_malformed")
        assert await wire.read_to_end() == b""


@pytest.mark.parametrize("coding", [b"gzip", b"xchunked", b"chunked, gzip", b"identity"])
async def test_a_body_without_an_end_is_refused(url: str, coding: bytes) -> None:
    """A transfer coding that does not end with `chunked` gets 400, and the application never sees it."""
    async with raw_connection(url) as wire:
        await wire.send(CHUNKED.replace(b"chunked", coding) + PHONE)
        assert_problem(await wire.read_response(), 400, "request_malformed")
        assert await wire.read_to_end() == b""
