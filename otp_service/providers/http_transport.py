"""The transport below httpx: one request on one connection, and exact knowledge of whether anything was written.

A repeated send is a second message, so a caller of a gateway must know whether any byte of its request may have left
this process. The pools of client libraries do not expose that, and some of them send a GET again when a kept
connection turns out to be closed. This transport never repeats a request, and sets `request.extensions["written"]` to
True right before it writes the first byte: as long as it is missing, nothing has reached the gateway.

Connections are kept for less time than servers keep theirs. A kept connection that the server has closed meanwhile, or
on which anything has arrived, is dropped before it is written to, and the request goes out on a new one. New TLS
connections resume the server's last session.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

import certifi
import httpx

from otp_service.providers.http_connection import HttpConnection

__all__ = ["AddressLookup", "SingleUseTransport", "TlsContext"]

MAX_IDLE: Final = 64
"""Idle connections kept for one origin."""

MAX_SESSIONS: Final = 64
"""Origins whose last TLS session is remembered."""

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

_LINE_ENDS: Final = re.compile(rb"[\r\n\0]")

Origin = tuple[str, str, int]

AddressLookup = Callable[[str, int], Awaitable[Sequence[str]]]


class TlsContext(ssl.SSLContext):
    """A client's TLS context that checks certificates and resumes the last session of each server name.

    asyncio offers no parameter for a session, but makes its TLS objects by `wrap_bio`.
    """

    def __new__(cls, _cafile: str | None = None) -> TlsContext:
        """Make a context of the newest protocol that both sides have."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, cafile: str | None = None) -> None:
        """Trust the authorities of `cafile` (PEM); by default those of certifi."""
        self._sessions: dict[str, ssl.SSLSession] = {}
        self.load_verify_locations(cafile or certifi.where())
        self.set_alpn_protocols(["http/1.1"])

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Make a TLS object; offer the last session that the server gave."""
        session = session or self._sessions.get(str(server_hostname))
        return super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)

    def remember(self, tls: ssl.SSLObject | None) -> None:
        """Keep the session of a connection that has read data: TLS 1.3 sends it after the handshake."""
        if tls is None or tls.session is None or not tls.session.has_ticket:
            return
        self._sessions.pop(str(tls.server_hostname), None)
        while len(self._sessions) >= MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[str(tls.server_hostname)] = tls.session


class SingleUseTransport(httpx.AsyncBaseTransport):
    """Sends each request once, as HTTP/1.1.

    Raises `httpx.LocalProtocolError` for a header with a line end, `httpx.ConnectError` when no connection can be made,
    `httpx.ReadError` when it breaks and `httpx.RemoteProtocolError` when the response is not HTTP. It has no timeouts:
    a call that is cancelled closes its connection.
    """

    def __init__(
        self,
        keepalive_seconds: float,
        *,
        tls: Callable[[], TlsContext] = TlsContext,
        clock: Callable[[], float] = time.monotonic,
        address_of: AddressLookup | None = None,
    ) -> None:
        """Keep idle connections for `keepalive_seconds` (0: close each after its response).

        `tls` makes the context of https connections, when the first one is needed. `address_of` returns the addresses
        of a host and port that may be connected to, which are tried in their order; None: what the system resolves.
        """
        self._keepalive_seconds = keepalive_seconds
        self._make_tls = tls
        self._tls: TlsContext | None = None
        self._clock = clock
        self._address_of = address_of
        self._idle: dict[Origin, deque[tuple[float, HttpConnection]]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request`; return as soon as the head of the response is there."""
        url = request.url
        origin = (url.scheme, url.host, url.port or _DEFAULT_PORTS[url.scheme])
        data = _head_of(request) + await _body_of(request)
        connection = self._take_idle(origin) or await self._connect(origin)
        try:
            request.extensions["written"] = True
            connection.send(data)
            status, headers = await connection.read_head()
        except BaseException:
            connection.close()
            raise
        return httpx.Response(status, headers=headers, stream=_Body(connection, self, origin), request=request)

    async def aclose(self) -> None:
        """Close the idle connections."""
        for kept in self._idle.values():
            for _, connection in kept:
                connection.close()
        self._idle.clear()

    def finish(self, origin: Origin, connection: HttpConnection) -> None:
        """Keep a connection whose response was read to its end; close any other."""
        if self._tls is not None:
            self._tls.remember(connection.tls)
        kept, now = self._idle.setdefault(origin, deque()), self._clock()
        while kept and (now - kept[0][0] >= self._keepalive_seconds or len(kept) >= MAX_IDLE):
            kept.popleft()[1].close()
        if self._keepalive_seconds > 0 and connection.is_reusable():
            kept.append((now, connection))
        else:
            connection.close()

    def _take_idle(self, origin: Origin) -> HttpConnection | None:
        """Take the idle connection that was used last; close those that are too old or not usable any more."""
        kept, now = self._idle.get(origin), self._clock()
        while kept:
            since, connection = kept.pop()
            if now - since < self._keepalive_seconds and connection.is_quiet():
                return connection
            connection.close()
        return None

    async def _connect(self, origin: Origin) -> HttpConnection:
        scheme, host, port = origin
        if scheme == "https" and self._tls is None:
            self._tls = self._make_tls()
        tls = self._tls if scheme == "https" else None
        name = host if tls else None
        try:
            addresses = [host] if self._address_of is None else await self._address_of(host, port)
        except OSError as problem:
            raise httpx.ConnectError(type(problem).__name__) from problem
        for address in addresses:
            try:
                loop = asyncio.get_running_loop()
                _, connection = await loop.create_connection(
                    HttpConnection, address, port, ssl=tls, server_hostname=name
                )
            except OSError as problem:  # ssl.SSLError is one
                if address == addresses[-1]:
                    raise httpx.ConnectError(type(problem).__name__) from problem
            else:
                return connection
        raise httpx.ConnectError("no address")


class _Body(httpx.AsyncByteStream):
    """The body of a response."""

    def __init__(self, connection: HttpConnection, transport: SingleUseTransport, origin: Origin) -> None:
        self._connection = connection
        self._transport = transport
        self._origin = origin
        self._is_closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._connection

    async def aclose(self) -> None:
        """Give the connection back once, or close it when the body was not read to its end."""
        if not self._is_closed:
            self._is_closed = True
            self._transport.finish(self._origin, self._connection)


def _head_of(request: httpx.Request) -> bytes:
    """Return the request line and headers; raises `httpx.LocalProtocolError` if one would be read as several lines."""
    target = request.extensions.get("target") or request.url.raw_path
    lines = [request.method.encode("ascii") + b" " + target + b" HTTP/1.1"]
    lines += [name + b": " + value for name, value in request.headers.raw]
    if _LINE_ENDS.search(b"".join(lines)):
        raise httpx.LocalProtocolError("a header holds a line end")
    return b"\r\n".join(lines) + b"\r\n\r\n"


async def _body_of(request: httpx.Request) -> bytes:
    """Return the content; httpx checks what kind of stream it has against protocols, which takes 20 us."""
    stream = request.stream
    return b"".join(stream) if isinstance(stream, httpx.ByteStream) else await request.aread()
