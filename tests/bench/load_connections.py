"""The two sides that the load generator plays: a connection to the service, and the gateway that its messages go to.

Both are plain asyncio protocols over httptools: the generator costs a fraction of what it measures.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import ClassVar, Final, cast
from urllib.parse import unquote_plus

import httptools

__all__ = ["Caller", "Gateway"]

CODE: Final = re.compile(r"\b(\d{6})\b")


class Gateway(asyncio.Protocol):
    """EIMS V1 `sendsms` without its checks: accepts each message, and tells its code and its time to who waits."""

    waiting: ClassVar[dict[str, asyncio.Future[tuple[str, float]]]] = {}
    ids = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start parsing."""
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived."""
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """Pass the code of the message on. Its time is that of the request line, before any work."""
        arrived = time.monotonic()
        query = dict(pair.split("=", 1) for pair in url.decode().partition("?")[2].split("&"))
        self._number, found = query["numbers"], CODE.search(unquote_plus(query["content"]))
        assert found
        waiting = Gateway.waiting.pop(self._number, None)
        if waiting is not None and not waiting.done():
            waiting.set_result((found[1], arrived))

    def on_message_complete(self) -> None:
        """Accept it."""
        Gateway.ids += 1
        body = f'{{"status":0,"success":1,"fail":0,"array":[["{self._number}",{Gateway.ids}]]}}'.encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self._transport.write(head + body)


class Caller(asyncio.Protocol):
    """One connection to the service; one request at a time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be ready."""
        self._transport = cast("asyncio.Transport", transport)
        self.closed = False
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    def data_received(self, data: bytes) -> None:
        """Parse an answer."""
        self._parser.feed_data(data)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Fail the request that waits."""
        self.closed = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("closed"))

    def on_body(self, body: bytes) -> None:
        """Keep the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """Give the answer."""
        assert self._answer is not None
        if not self._answer.done():
            self._answer.set_result((self._parser.get_status_code(), self._body))

    async def post(self, path: str, headers: str, body: bytes) -> tuple[int, bytes]:
        """Send one request; return the status and the body of its answer.

        Raises:
            ConnectionError: The connection was closed before the answer.
        """
        self._parser, self._body = httptools.HttpResponseParser(self), b""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(
            b"POST %s HTTP/1.1\r\nHost: otp\r\n%sContent-Length: %d\r\n\r\n%s"
            % (path.encode(), headers.encode(), len(body), body)
        )
        return await self._answer
