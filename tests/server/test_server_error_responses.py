"""Errors that the server itself reports are problems, and features that it does not support do no harm."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.server.raw_http_client import LIVEZ, PHONE, assert_problem, post, raw_connection
from tests.server.server_under_test import ServeApp

NOT_HTTP = [
    b"NOT HTTP\r\n\r\n",
    b"get /livez HTTP/1.1\r\n\r\n",
    b"CONNECT otp:443 HTTP/1.1\r\nHost: otp\r\n\r\n",
    b"GET /livez\r\n\r\n",
    b"GET /livez HTTP/2.0\r\n\r\n",
    b"GET /livez HTTP/1.2\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET http://otp HTTP/1.1\r\nHost: otp\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\nHost: otp\r\n\r\n",
    b"GET /livez HTTP/1.1\nHost: otp\n\n",
    b"GET /livez HTTP/1.1\r\nHost : otp\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nHost: otp\r\n folded\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nX: a\x00b\r\n\r\n",
    b"POST /v1/normalize-phone HTTP/1.1\r\nContent-Length: +3\r\n\r\n",
    b"POST /v1/normalize-phone HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    b"POST /v1/normalize-phone HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
]


@pytest.mark.parametrize("data", NOT_HTTP)
async def test_malformed_http(url: str, data: bytes) -> None:
    """Malformed HTTP gets one 400 problem, and the connection is closed."""
    async with raw_connection(url) as wire:
        assert_problem(await wire.exchange(data), 400, "request_malformed")
        assert await wire.read_to_end() == b""


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket", b"TLS/1.0"])
async def test_an_upgrade_is_ignored(url: str, upgrade: bytes) -> None:
    """A request that offers another protocol is served completely in HTTP/1.1, and so is the next one."""
    offer = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: " + upgrade, b"HTTP2-Settings: AAMAAABk")
    async with raw_connection(url) as wire:
        for cut in (0, 100, 300, -10):
            data = post(PHONE, *offer)
            await wire.send(data[:cut])
            await asyncio.sleep(0.01)
            await wire.send(data[cut:] + LIVEZ)
            answer = await wire.read_response()
            assert (answer.status, answer.json()["e164"]) == (200, "+6281210100055")
            assert (await wire.read_response()).status == 200


async def test_expect_100_continue(url: str) -> None:
    """`100-continue` is sent before the body, not for HTTP/1.0, and not for a body that is too large."""
    data = post(PHONE, b"Expect: 100-continue")
    async with raw_connection(url) as wire:
        await wire.send(data[: -len(PHONE)])
        assert await wire.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert (await wire.exchange(PHONE)).status == 200
        too_large = data[: -len(PHONE)].replace(b"Length: %d" % len(PHONE), b"Length: 65537")
        await wire.send(too_large)
        assert (await wire.reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 413")
    async with raw_connection(url) as wire:
        await wire.send(data.replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert (await wire.read_to_end()).startswith(b"HTTP/1.1 200")


async def test_http_1_0(url: str) -> None:
    """HTTP/1.0 is served, and the connection is closed after the response."""
    async with raw_connection(url) as wire:
        answer = await wire.exchange(LIVEZ.replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await wire.read_to_end() == b""


async def _fails(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/late":
        headers = [(b"content-length", b"9")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
    if scope["path"] != "/silent":
        raise ValueError("a secret")


async def test_an_application_that_fails(served: ServeApp) -> None:
    """A failing application gets a 500 problem without details; a started response is cut off."""
    async with served(_fails) as url:
        for path in (b"/", b"/silent"):
            async with raw_connection(url) as wire:
                answer = await wire.exchange(b"GET %b HTTP/1.1\r\n\r\n" % path)
                assert_problem(answer, 500, "internal_error")
                assert b"secret" not in answer.body
        async with raw_connection(url) as wire:
            await wire.send(b"GET /late HTTP/1.1\r\n\r\n" + LIVEZ)
            assert (await wire.read_to_end()).endswith((b"half", b""))
            assert b"internal_error" not in await wire.read_to_end()


async def _responds(scope: Any, receive: Any, send: Any) -> None:
    """Respond by path: with a line end in a header, with a body of another length than declared, or in two parts."""
    headers = {"/split": [(b"x-a", b"b\r\nx-c: d")], "/short": [(b"content-length", b"9")], "/parts": []}
    await send({"type": "http.response.start", "status": 200, "headers": headers[scope["path"]]})
    if scope["path"] == "/parts":
        await send({"type": "http.response.body", "body": b"half, ", "more_body": True})
    await send({"type": "http.response.body", "body": b"half", "more_body": False})


@pytest.mark.parametrize("path", [b"/split", b"/short"])
async def test_a_response_that_would_break_the_framing_is_not_sent(served: ServeApp, path: bytes) -> None:
    """Not even its head is sent, and the client gets a 500 problem in its place."""
    async with served(_responds) as url, raw_connection(url) as wire:
        answer = await wire.exchange(b"GET %b HTTP/1.1\r\n\r\n" % path)
        assert_problem(answer, 500, "internal_error")
        assert "x-a" not in answer.headers and "x-c" not in answer.headers


async def test_a_body_without_a_length_is_sent_in_chunks(served: ServeApp) -> None:
    """Its parts are chunks, HEAD gets the head only, and the connection stays open after both."""
    async with served(_responds) as url, raw_connection(url) as wire:
        for _ in range(2):
            await wire.send(b"GET /parts HTTP/1.1\r\n\r\n")
            assert b"\r\ntransfer-encoding: chunked\r\n" in await wire.reader.readuntil(b"\r\n\r\n")
            assert await wire.reader.readuntil(b"0\r\n\r\n") == b"6\r\nhalf, \r\n4\r\nhalf\r\n0\r\n\r\n"
            await wire.send(b"HEAD /parts HTTP/1.1\r\n\r\n")
            assert b"chunked" not in await wire.reader.readuntil(b"\r\n\r\n")
