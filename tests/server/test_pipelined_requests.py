"""Pipelined requests are answered in order, one at a time."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any, Final

from tests.server.raw_http_client import CHUNKED, CLOSING, LIVEZ, PHONE, assert_problem, post, raw_connection
from tests.server.server_under_test import ServeApp

SEEN: Final = contextvars.ContextVar("SEEN", default=b"nothing")


async def _remembers(_scope: Any, _receive: Any, send: Any) -> None:
    body = SEEN.get()
    SEEN.set(b"something")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def test_requests_do_not_share_context(served: ServeApp) -> None:
    """What one request binds to its log lines is not visible to the next one on its connection."""
    async with served(_remembers) as url, raw_connection(url) as wire:
        await wire.send(LIVEZ * 3)
        assert [(await wire.read_response()).body for _ in range(3)] == [b"nothing"] * 3


async def test_many_requests_at_once(url: str) -> None:
    """Five hundred requests in one piece get 500 responses, in order."""
    phones = [b"0812101%05d" % number for number in range(500)]
    async with raw_connection(url) as wire:
        await wire.send(b"".join(post(b'{"phone": "%b"}' % phone) for phone in phones))
        for phone in phones:
            answer = await wire.read_response()
            assert (answer.status, answer.json()["e164"]) == (200, "+62" + phone.decode()[1:])
        assert (await wire.exchange(CLOSING)).status == 200
        assert await wire.read_to_end() == b""


async def test_the_smallest_requests(url: str) -> None:
    """Each of 1,500 requests of 23 bytes in one piece is answered."""
    async with raw_connection(url) as wire:
        sending = asyncio.create_task(wire.send(b"GET /livez HTTP/1.1\r\n\r\n" * 1500))
        for _ in range(1500):
            assert (await wire.read_response()).status == 200
        assert await sending


async def test_an_error_comes_after_earlier_responses(url: str) -> None:
    """Malformed data after valid requests gets a 400 after their responses, and ends the connection."""
    async with raw_connection(url) as wire:
        await wire.send(post(PHONE) + LIVEZ + b"NOT HTTP\r\n\r\n" + LIVEZ)
        assert (await wire.read_response()).json()["e164"] == "+6281210100055"
        assert (await wire.read_response()).status == 200
        assert_problem(await wire.read_response(), 400, "request_malformed")
        assert await wire.read_to_end() == b""


async def test_half_of_the_next_request(url: str) -> None:
    """A request that is cut anywhere after another one is answered when its rest arrives."""
    second = post(PHONE)
    async with raw_connection(url) as wire:
        for cut in range(1, len(second), 11):
            assert (await wire.exchange(LIVEZ + second[:cut])).status == 200
            assert (await wire.exchange(second[cut:])).status == 200


async def test_a_half_closed_connection(url: str) -> None:
    """A client that closes its sending side after several requests gets every response."""
    async with raw_connection(url) as wire:
        await wire.send((post(PHONE) + LIVEZ) * 20)
        wire.writer.write_eof()
        for _ in range(40):
            assert (await wire.read_response()).status == 200
        assert await wire.read_to_end() == b""


async def test_data_after_a_chunked_body(url: str) -> None:
    """Data in the same slice after a chunked body is not answered: the connection ends after the first response."""
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(PHONE), PHONE)
    async with raw_connection(url) as wire:
        await wire.send((CHUNKED + body) * 100)
        answer = await wire.read_response()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await wire.read_to_end() == b""
