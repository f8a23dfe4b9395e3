"""The requests of a connection: read one at a time, bounded before they are read, answered in order.

A request is read only when the one before it is answered: what arrives meanwhile stays where it is, at most one
buffer of it with us, the rest in the kernel and with the sender. So pipelining costs no memory, and a mistake in a
later request cannot get between the lines of an earlier response.
"""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any, Final

import httptools
from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from otp_service.domain.errors import Reason, Refused
from otp_service.observability import LOG
from otp_service.server.connection import RECEIVING, TimedConnection
from otp_service.server.connection_limits import ServerLimits
from otp_service.server.connections import Connections, Phase
from otp_service.server.error_responses import problem_parts
from otp_service.server.framing import MAX_HEADERS, MAX_TRAILERS, RequestFraming

__all__ = ["BoundedHttp", "HttpConnections"]

_VERSIONS: Final = ("1.0", "1.1")


class HttpConnections:
    """Makes the connections of one process, for uvicorn's `http` option. May be pickled before it has made one."""

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self._all: Connections | None = None

    def __call__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> BoundedHttp:
        """Make a connection that was accepted."""
        if self._all is None:
            self._all = Connections(self._limits.max_connections)
            self._all.told_by(server_state.connections)
        return BoundedHttp(config, server_state, app_state, _loop, limits=self._limits, connections=self._all)


class BoundedHttp(TimedConnection):
    """A connection that speaks HTTP/1.1 (or 1.0)."""

    def __init__(self, *arguments: Any, limits: ServerLimits, connections: Connections, **named: Any) -> None:
        super().__init__(*arguments, limits=limits, connections=connections, **named)
        self._framing = RequestFraming()
        self._responses = _ResponseTransport(self)
        self._data, self._at = b"", 0  # what has arrived, and where that begins which is not parsed
        self._answered = False
        self._next_request()

    def _next_request(self) -> None:
        self._headers_seen = 0
        self._keeps_alive = True
        self._head_done = self._begun = self._message_done = self._is_followed = False

    def connection_lost(self, exc: Exception | None) -> None:
        """Be forgotten, and leave nothing to the garbage collector, which runs seldom."""
        super().connection_lost(exc)
        self._responses.connection = None
        self._data, self._at = b"", 0

    # what arrives

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived, up to the end of a request; keep the rest until that is answered."""
        if self.phase is Phase.CLOSE:
            self._drain(len(data))
            return
        self._data, self._at = self._data[self._at :] + data, 0
        self._go_on()

    def _go_on(self) -> None:
        try:
            while self._at < len(self._data) and self.phase in RECEIVING:
                self._take_slice()
        except Refused as refused:
            self._refuse(refused)
        if self.phase is Phase.CLOSE:
            self._data, self.headers = b"", []
        elif self._at < len(self._data):
            self.flow.pause_reading()
        elif self._data:
            self._data, self._at = b"", 0

    def _take_slice(self) -> None:
        start, end = self._at, self._framing.slice_end(self._data, self._at)
        self._at = end
        of_head = not self._begun or self.phase is Phase.IDLE
        self._parse(memoryview(self._data)[start:end])
        if of_head and self.phase in (Phase.HEAD, Phase.BODY):
            self._all.keep(self, end - start)
        if self.phase in RECEIVING and not (of_head and self.phase is Phase.BODY):
            self._framing.slice_parsed(self._data, start, end)

    def _parse(self, data: bytes | memoryview) -> None:
        """Let the parser take a slice, and do what it completes. Raises `Refused`."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._parse_without_upgrade()
            return
        except httptools.HttpParserError as error:
            if not self._is_followed:
                raise error.__context__ if isinstance(error.__context__, Refused) else _malformed() from None
        if self._head_done and not self._begun:
            self._begin_request()
        if self._message_done and self.phase is Phase.BODY:
            self._request_complete()

    def _parse_without_upgrade(self) -> None:
        """Let a new parser take the head once more without `Upgrade`: none is offered, and it would hide the body."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            raise _malformed()
        lines = [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        head = b"\r\n".join([method + b" " + self.url + b" HTTP/1.1", *lines, b"", b""])
        self._next_request()
        self.parser = httptools.HttpRequestParser(self)
        self._parse(head)

    # what the parser says

    def on_message_begin(self) -> None:
        """Begin a head. What follows a request in its last slice (of a chunked body) is not read, and none after it."""
        if self._message_done and self.phase is not Phase.IDLE:
            self._is_followed = True
            raise _malformed()
        self._next_request()
        if self.phase is Phase.IDLE:
            self._enter(Phase.HEAD)
            # the first head has been due since the connection was opened
            left = self._limits.head_seconds if self._answered else self._idle_until - self.loop.time()
            self._deadline.set(left)
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; count a trailer, and throw it away."""
        self._headers_seen += 1
        if self._begun:
            if self._headers_seen > MAX_TRAILERS:
                raise Refused(Reason.REQUEST_MALFORMED, f"Send at most {MAX_TRAILERS} trailers.")
        elif self._headers_seen > MAX_HEADERS:
            raise Refused(Reason.HEADERS_TOO_LARGE, f"Send at most {MAX_HEADERS} headers.")
        else:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Note it: the request begins when the parser has found nothing wrong with the whole head."""
        self._head_done = True
        self._keeps_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        """Hand a part of the body on."""
        self._framing.content(len(body))
        self._all.keep(self, len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note it."""
        self._message_done = True

    # the request

    def _begin_request(self) -> None:
        """Have the application begin with a request whose head is complete. Raises `Refused`."""
        version = self.parser.get_http_version()
        if version not in _VERSIONS:
            raise _malformed()
        self.expect_100_continue = self.expect_100_continue and version == "1.1"
        self._begun, self._headers_seen = True, 0
        try:
            super().on_headers_complete()
        except (httptools.HttpParserError, UnicodeDecodeError, AttributeError):  # the target has no path
            raise _malformed() from None
        self.cycle.keep_alive = self._keeps_alive and not self._all.ending
        self.cycle.transport = self._responses  # type: ignore[assignment]
        self._framing.head_complete(self.headers)
        self._enter(Phase.BODY)
        self._deadline.set(self._limits.body_seconds)

    def _request_complete(self) -> None:
        super().on_message_complete()
        self.cycle.keep_alive = self.cycle.keep_alive and not self._is_followed
        self._framing.next_request()
        self._enter(Phase.ANSWER)
        self._wait_for_reader()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Run the application in a context of its own: this may be called from within the request before."""

        async def answer(_: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
            await self._answer(cycle, app, receive, send)

        contextvars.Context().run(super()._start_asgi_task, cycle, answer)

    async def _answer(
        self, cycle: RequestResponseCycle, app: ASGI3Application, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Run the application, and answer in its place if it fails."""

        async def checked(message: ASGISendEvent) -> None:
            if message["type"] == "http.response.start":
                self._check_reader()
                cycle.keep_alive = cycle.keep_alive and not cycle.more_body  # what would follow is not a request
            await send(message)

        reason = Reason.INTERNAL_ERROR
        try:
            await app(cycle.scope, receive, checked)
        except asyncio.CancelledError:  # the process ends, and has waited long enough
            reason = Reason.OVERLOADED
        except Exception:
            LOG.exception("request_failed")
        if cycle.response_complete or cycle.disconnected:
            return
        if cycle.response_started:
            self._drop("response_cut_off")
            return
        status, headers, body = problem_parts(Refused(reason))
        await checked({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    def on_response_complete(self) -> None:
        """Go on with the next request, or end the connection."""
        self.server_state.total_requests += 1
        self._all.release(self)
        if self.transport.is_closing():
            return
        if self.phase is not Phase.ANSWER or not self.cycle.keep_alive or self._all.ending:
            self._finish(more_may_come=self.phase is not Phase.ANSWER or self._at < len(self._data))
            return
        self._answered = True
        self._enter(Phase.IDLE)
        self._wait_idle(self._limits.keep_alive_seconds)
        self._go_on()
        if self._sent_all and self._receives():
            self._close_soon()
        elif not self._data:
            self.flow.resume_reading()

    def _receives(self) -> bool:
        return self.phase in RECEIVING


class _ResponseTransport:
    """What a response is written to: as a transport, but the connection, while there is one, decides how it closes."""

    def __init__(self, connection: BoundedHttp) -> None:
        self.connection: BoundedHttp | None = connection

    def write(self, data: bytes) -> None:
        if self.connection is not None:
            self.connection.transport.write(data)

    def is_closing(self) -> bool:
        return self.connection is None or self.connection.transport.is_closing()

    def close(self) -> None:
        """Leave a complete response to `on_response_complete`; cut off any other."""
        if self.connection is not None and not self.connection.cycle.response_complete:
            self.connection.transport.abort()


def _malformed() -> Refused:
    return Refused(Reason.REQUEST_MALFORMED, "Send a well-formed HTTP/1.1 request.")
