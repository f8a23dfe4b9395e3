"""A small HTTP server for tests of the HTTP client: it counts connections and requests, and answers as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[bool]]


class Server:
    """A server that answers each request by a handler; it counts connections and requests."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None = None) -> None:
        self._handler, self._tls = handler, tls
        self.connections, self.requests, self.ended = 0, 0, 0
        self.heads: list[bytes] = []
        self.resumed: list[bool] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Server:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        for writer in self.writers:
            writer.close()
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Its address."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/send?to=%2B62"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        if tls := writer.get_extra_info("ssl_object"):
            self.resumed.append(tls.session_reused)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                self.requests += 1
                if not await self._handler(reader, writer, self.requests):
                    break
        self.ended += 1
        writer.close()


async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int) -> bool:
    """Answer, and keep the connection."""
    writer.write(OK)
    return True


def once_then(second: Handler) -> Handler:
    """Answer the first request; leave the later ones to `second`."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        return await (answer if number == 1 else second)(reader, writer, number)

    return handle


def raw(text: bytes, *, keep: bool = True) -> Handler:
    """Answer each request with `text`."""

    async def handle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int) -> bool:
        writer.write(text)
        return keep

    return handle


async def close(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _number: int) -> bool:
    """Close without an answer."""
    return False
