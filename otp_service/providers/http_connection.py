"""One HTTP/1.1 connection of the client: a request is written whole, the response is parsed as it arrives."""

from __future__ import annotations

import asyncio
import select
import ssl
from collections import deque
from collections.abc import AsyncIterator
from typing import Final, cast

import httptools
import httpx

__all__ = ["HttpConnection"]

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_BUFFERED_BYTES: Final = 128 * 1024
"""A connection stops reading above this, until the body is consumed."""


class HttpConnection(asyncio.Protocol, AsyncIterator[bytes]):
    """One connection; at most one request at a time. Iterating over it reads the body of the response."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._poll = select.poll()
        self._is_lost = False
        self._is_busy = False

    @property
    def tls(self) -> ssl.SSLObject | None:
        """The TLS object; None without TLS."""
        return cast("ssl.SSLObject | None", self._transport.get_extra_info("ssl_object"))

    def send(self, request: bytes) -> None:
        """Write a whole request."""
        self._is_busy = True
        self._is_complete = self._ends_with_connection = self._keeps_alive = False
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = self._buffered = 0
        self._chunks: deque[bytes] = deque()
        self._problem: Exception | None = None
        self._more: asyncio.Future[None] | None = None
        self._head: asyncio.Future[None] = self._loop.create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(request)

    async def read_head(self) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Wait for the status and the headers of the response."""
        await self._head
        return self._parser.get_status_code(), self._headers

    async def __anext__(self) -> bytes:
        """Read the body; raises `httpx.ReadError` or `httpx.RemoteProtocolError` when it ends before its end."""
        while not self._chunks:
            if self._is_complete:
                raise StopAsyncIteration
            if self._problem is not None:
                raise self._problem
            if not self._is_lost:
                self._transport.resume_reading()
            self._more = self._loop.create_future()
            await self._more
        chunk = self._chunks.popleft()
        self._buffered -= len(chunk)
        return chunk

    def is_reusable(self) -> bool:
        """Return whether the response was read to its end and both sides keep the connection open."""
        self._is_busy = not (self._is_complete and self._keeps_alive)
        return not (self._is_busy or self._is_lost or self._transport.is_closing())

    def is_quiet(self) -> bool:
        """Return whether nothing has arrived, neither data nor the end: asked of the kernel, not of the event loop."""
        if self._is_busy or self._is_lost or self._transport.is_closing():
            return False
        return not self._poll.poll(0)

    def close(self) -> None:
        """Close at once."""
        self._is_lost = True
        self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        """Parse a part of the response; data that belongs to no request ends the connection."""
        if not self._is_busy or self._is_complete:
            self.close()
            return
        is_head = not self._head.done()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail(httpx.RemoteProtocolError("the response is not HTTP"))
            return
        self._head_bytes += len(data) if is_head else 0
        if not self._head.done() and self._head_bytes > MAX_HEAD_BYTES:
            self._fail(httpx.RemoteProtocolError("the head of the response is too large"))
        elif self._buffered > MAX_BUFFERED_BYTES:
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """End a body that has no length; anything else that is not complete is broken."""
        self._is_lost = True
        if not self._is_busy or self._is_complete:
            return
        if self._head.done() and self._ends_with_connection and exc is None:
            self._is_complete = True
            self._wake()
        else:
            self._fail(httpx.ReadError("the connection was closed"))

    # httptools.HttpResponseParser

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; ignore a trailer."""
        if not self._head.done():
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Let the caller continue, unless the response is an interim one (1xx)."""
        if 100 <= self._parser.get_status_code() < 200:
            self._headers = []
            return
        names = {name.lower() for name, _ in self._headers}
        self._ends_with_connection = not names & {b"content-length", b"transfer-encoding"}
        if not self._head.done():
            self._head.set_result(None)

    def on_message_begin(self) -> None:
        """Notice a response that nobody has asked for behind the one that is complete."""
        if self._is_complete:
            self._keeps_alive = False

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        if self._is_complete:
            return
        self._chunks.append(body)
        self._buffered += len(body)
        self._wake()

    def on_message_complete(self) -> None:
        """End the body, unless the response was an interim one."""
        if self._head.done() and not self._is_complete:
            self._is_complete = True
            self._keeps_alive = self._parser.should_keep_alive() and not self._ends_with_connection
            self._wake()

    def _fail(self, problem: Exception) -> None:
        self._problem = problem
        if not self._head.done():
            self._head.set_exception(problem)
        self._wake()
        self.close()

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)
