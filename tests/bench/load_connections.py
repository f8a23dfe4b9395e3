"""The two sides that the load generator plays: a connection to the service, and the gateway that its messages go to.

Both are plain asyncio protocols over httptools: the generator costs a fraction of what it measures.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any, ClassVar, Final, cast
from urllib.parse import unquote_plus

import httptools

__all__ = ["Caller", "Gateway", "WebhookGateway"]

CODE: Final = re.compile(r"\b(\d{6})\b")


class Gateway(asyncio.Protocol):
    """EIMS V1 `sendsms` without its checks: accepts each message, and tells its code and its time to who waits."""

    waiting: ClassVar[dict[str, asyncio.Future[tuple[str, float]]]] = {}
    ids = 0

    @classmethod
    def expect_message(cls, number: str) -> asyncio.Future[tuple[str, float]]:
        """Return a future of the code and the time of the next message to a number (digits only)."""
        arrived: asyncio.Future[tuple[str, float]] = asyncio.get_running_loop().create_future()
        Gateway.waiting[number] = arrived
        return arrived

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
        self._number = query["numbers"]
        self._pass_on(self._number, unquote_plus(query["content"]), arrived)

    def on_message_complete(self) -> None:
        """Accept it."""
        Gateway.ids += 1
        self._answer(f'{{"status":0,"success":1,"fail":0,"array":[["{self._number}",{Gateway.ids}]]}}'.encode())

    def _pass_on(self, number: str, text: str, arrived: float) -> None:
        found = CODE.search(text)
        assert found
        waiting = Gateway.waiting.pop(number, None)
        if waiting is not None and not waiting.done():
            waiting.set_result((found[1], arrived))

    def _answer(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self._transport.write(head + body)


class WebhookGateway(Gateway):
    """A webhook that takes `{"otp": {"to": NUMBER, ...}, "body": TEXT, ...}`, as the peer posts its messages.

    Other members contain the code, too; only the text is read, because that is what a person receives.
    """

    def on_url(self, _url: bytes) -> None:
        """Begin a message. Its time is that of the request line."""
        self._arrived, self._body = time.monotonic(), b""

    def on_body(self, body: bytes) -> None:
        """Keep the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """Pass the code on, and accept the message."""
        message: dict[str, Any] = json.loads(self._body)
        self._pass_on(message["otp"]["to"].removeprefix("+"), message["body"], self._arrived)
        self._answer(b"{}")


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

    async def send(self, target: str, headers: str, body: bytes) -> tuple[int, bytes]:
        """Send one request to a target (method and path); return the status and the body of its answer.

        Raises:
            ConnectionError: The connection was closed before the answer.
        """
        self._parser, self._body = httptools.HttpResponseParser(self), b""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(
            b"%s HTTP/1.1\r\nHost: otp\r\n%sContent-Length: %d\r\n\r\n%s"
            % (target.encode(), headers.encode(), len(body), body)
        )
        return await self._answer
