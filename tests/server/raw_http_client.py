"""A client that sends raw bytes, also such that no HTTP client would send, and reads the responses."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

LIVEZ = b"GET /livez HTTP/1.1\r\nHost: otp\r\n\r\n"
CLOSING = b"GET /livez HTTP/1.1\r\nHost: otp\r\nConnection: close\r\n\r\n"
CHUNKED = (
    b"POST /v1/normalize-phone HTTP/1.1\r\nHost: otp\r\nAuthorization: Bearer dev-key\r\n"
    b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)
PHONE = b'{"phone": "081210100055"}'


@dataclass(frozen=True)
class RawResponse:
    """One response."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Parse the body."""
        return json.loads(self.body)


class RawConnection:
    """A TCP connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> bool:
        """Send data, and return False if the server has closed the connection."""
        try:
            self.writer.write(data)
            await self.writer.drain()
        except ConnectionError:
            return False
        return not self.writer.is_closing()

    async def read_response(self, seconds: float = 5.0) -> RawResponse:
        """Read the next response; interim responses are skipped."""
        async with asyncio.timeout(seconds):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status = int(head.split(" ", 2)[1])
            if status == 100:
                return await self.read_response(seconds)
            lines = [line.split(": ", 1) for line in head.split("\r\n")[1:] if line]
            headers = {name.lower(): value for name, value in lines}
            assert len(headers) == len(lines), head
            return RawResponse(status, headers, await self.reader.readexactly(int(headers["content-length"])))

    async def read_to_end(self, seconds: float = 5.0) -> bytes:
        """Read until the server closes; return what arrived before a reset."""
        found = b""
        async with asyncio.timeout(seconds):
            try:
                while data := await self.reader.read(65536):
                    found += data
            except ConnectionError:  # raised before the reader gives what arrived in the same moment
                found += bytes(self.reader._buffer)  # type: ignore[attr-defined]  # asyncio has no other way to it
        return found

    async def flood(self, block: bytes, most: int) -> tuple[int, bytes]:
        """Send `block` repeatedly until the server closes; return how many bytes were sent, and the response.

        On the socket itself: a transport that cannot write drops what has arrived, and the response is lost.
        """
        loop, arrived = asyncio.get_running_loop(), bytes(self.reader._buffer)  # type: ignore[attr-defined]  # as above
        cast("asyncio.Transport", self.writer.transport).pause_reading()
        with socket.socket(fileno=os.dup(self.writer.get_extra_info("socket").fileno())) as connection:
            connection.setblocking(False)
            reading = asyncio.create_task(_read_socket(connection))
            sent = 0
            with contextlib.suppress(ConnectionError):
                while sent < most and not reading.done():
                    await loop.sock_sendall(connection, block)
                    sent += len(block)
            if sent >= most:
                connection.shutdown(socket.SHUT_RDWR)
            return sent, arrived + await reading

    async def exchange(self, data: bytes) -> RawResponse:
        """Send data, and read one response."""
        await self.send(data)
        return await self.read_response()


async def _read_socket(connection: socket.socket) -> bytes:
    """Read until the server closes; return what arrived before a reset."""
    found = b""
    async with asyncio.timeout(30):
        with contextlib.suppress(ConnectionError):
            while data := await asyncio.get_running_loop().sock_recv(connection, 65536):
                found += data
    return found


@contextlib.asynccontextmanager
async def raw_connection(url: str) -> AsyncIterator[RawConnection]:
    """Open a connection, and close it at the end of the context."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield RawConnection(reader, writer)
    finally:
        writer.transport.abort()


def post(body: bytes, *headers: bytes, path: bytes = b"/v1/normalize-phone", key: bytes = b"dev-key") -> bytes:
    """Return the bytes of a POST request."""
    lines = [
        b"POST " + path + b" HTTP/1.1",
        b"Host: otp",
        b"Content-Type: application/json",
        b"Authorization: Bearer " + key,
        b"Content-Length: %d" % len(body),
        *headers,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def assert_problem(answer: RawResponse, status: int, code: str) -> None:
    """Assert that a response is a problem with the usual headers, and the last one of its connection."""
    assert answer.status == status, answer
    problem = answer.json()
    assert problem.keys() >= {"type", "title", "status", "detail", "code", "request_id"}
    assert (problem["status"], problem["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-request-id"] == problem["request_id"]


def rss_kib(pid: int) -> int:
    """Return the resident memory of a process in KiB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
