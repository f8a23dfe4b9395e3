"""Read the requests of a connection one at a time, within limits, and answer them in order.

A request is read only after the one before it has been answered. Until then at most one buffer of received data is in
memory; the rest waits in the kernel and at the client. So pipelining costs no memory, and the error response to a
later request cannot be mixed into an earlier response.
"""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any, Final
from urllib.parse import unquote

import httptools
from uvicorn._types import HTTPScope
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.server import ServerState

from otp_service.domain.errors import Reason, Refused
from otp_service.server.connections import Connections, Phase, ServerLimits
from otp_service.server.framing import MAX_HEADERS, MAX_TRAILERS, RequestFraming
from otp_service.server.request_cycle import RequestCycle
from otp_service.server.timed_connection import RECEIVING, TimedConnection

__all__ = ["HttpConnection", "HttpConnectionFactory"]

_VERSIONS: Final = ("1.0", "1.1")


class HttpConnectionFactory:
    """Makes the connections of one process (uvicorn's `http` option). It can be pickled before it has made one."""

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self._connections: Connections | None = None

    def __call__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> HttpConnection:
        """Return the protocol of an accepted connection (called by asyncio)."""
        if self._connections is None:
            self._connections = Connections(self._limits.max_connections)
            self._connections.subscribe_to_shutdown(server_state.connections)
        return HttpConnection(
            config, server_state, app_state, _loop, limits=self._limits, connections=self._connections
        )


class HttpConnection(TimedConnection):
    """A connection that speaks HTTP/1.1 (or 1.0)."""

    def __init__(self, *arguments: Any, limits: ServerLimits, connections: Connections, **named: Any) -> None:
        super().__init__(*arguments, limits=limits, connections=connections, **named)
        self._framing = RequestFraming()
        self._data, self._parsed_until = b"", 0  # received bytes, and how many of them are parsed
        self._uncounted_bytes = 0  # parsed ones that `Connections` has not counted yet
        self._progress = Phase.IDLE  # the phase after the parsed bytes; it is entered when all received ones are parsed
        self._headers_seen, self._keeps_alive = 0, True
        self._head_complete = self._message_complete = self._has_data_after_end = False
        self._has_answered = False

    def connection_lost(self, exc: Exception | None) -> None:
        """Free all memory at once: the garbage collector runs rarely."""
        super().connection_lost(exc)
        self._data, self._parsed_until = b"", 0

    # received bytes

    def data_received(self, data: bytes) -> None:
        """Parse received bytes up to the end of a request, and keep the rest until that request is answered."""
        if self.phase is Phase.CLOSE:
            self._discard(len(data))
            return
        self._data, self._parsed_until = self._data[self._parsed_until :] + data, 0
        self._parse_received()

    def _parse_received(self) -> None:
        """Parse up to the end of the request, and enter the phase after that; those before it are not entered."""
        try:
            while self._parsed_until < len(self._data) and self._progress in RECEIVING:
                self._parse_next_slice()
            if self._progress is not self.phase:
                self._advance()
            self._count_bytes()
        except Refused as refused:
            self._refuse(refused)
        if self.phase is Phase.CLOSE:
            self._data, self.headers = b"", []
        elif self._parsed_until < len(self._data):
            self.flow.pause_reading()
        elif self._data:
            self._data, self._parsed_until = b"", 0

    def _advance(self) -> None:
        """Enter the phase after the parsed bytes. If they are too many for all connections, this one may be closed."""
        if self._progress is Phase.RESPONSE and not self._connections.has_room(self._uncounted_bytes):
            self._enter(Phase.BODY)  # only with an incomplete request it can be closed
            self._count_bytes()
        if self.phase is not Phase.CLOSE:
            self._enter(self._progress)

    def _count_bytes(self) -> None:
        """Count the parsed bytes. That may close this connection."""
        size, self._uncounted_bytes = self._uncounted_bytes, 0
        self._connections.add_buffered(self, size)

    def _parse_next_slice(self) -> None:
        """Parse a slice, and start or complete a request if its head or body ends there. Raises `Refused`."""
        start, end = self._parsed_until, self._framing.slice_end(self._data, self._parsed_until)
        self._parsed_until = end
        is_head = self._progress is not Phase.BODY
        try:
            self.parser.feed_data(memoryview(self._data)[start:end])
        except httptools.HttpParserUpgrade:
            self._parse_without_upgrade()
        except httptools.HttpParserError as error:
            if not self._has_data_after_end:
                raise error.__context__ if isinstance(error.__context__, Refused) else _malformed() from None
        if self._progress is Phase.HEAD:
            self._uncounted_bytes += end - start
            if self._head_complete:
                self._start_request()
        if self._message_complete and self._progress is Phase.BODY:
            self._progress = Phase.RESPONSE
        elif not (is_head and self._progress is Phase.BODY):
            self._framing.count_slice(self._data, start, end)

    def _parse_without_upgrade(self) -> None:
        """Parse the head again without `Upgrade`, which is not supported and would make the parser skip the body."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            raise _malformed()
        lines = [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        head = b"\r\n".join([method + b" " + self.url + b" HTTP/1.1", *lines, b"", b""])
        self._progress = Phase.IDLE
        self.parser = httptools.HttpRequestParser(self)
        try:
            self.parser.feed_data(head)
        except httptools.HttpParserError:
            raise _malformed() from None

    # callbacks of the parser

    def on_message_begin(self) -> None:
        """Start a head. Data after a chunked body in the same slice is not read, and the connection is closed then."""
        if self._message_complete and self._progress is not Phase.IDLE:
            self._has_data_after_end = True
            raise _malformed()
        self._progress = Phase.HEAD
        self._head_complete = self._message_complete = self.expect_100_continue = False
        self._headers_seen = 0
        self.url, self.headers = b"", []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header, as uvicorn does; count and discard a trailer."""
        self._headers_seen += 1
        if self._progress is Phase.BODY:
            if self._headers_seen > MAX_TRAILERS:
                raise Refused(Reason.REQUEST_MALFORMED, f"Send at most {MAX_TRAILERS} trailers.")
            return
        if self._headers_seen > MAX_HEADERS:
            raise Refused(Reason.HEADERS_TOO_LARGE, f"Send at most {MAX_HEADERS} headers.")
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Record it. The request starts later, when the parser has accepted the whole head."""
        self._head_complete = True
        self._keeps_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        """Count a part of the body, and pass it to the application."""
        self._framing.count_content(len(body))
        self._uncounted_bytes += len(body)
        if self.cycle.response_complete:
            return
        self.cycle.add_body(body)
        if len(self.cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()

    def on_message_complete(self) -> None:
        """Record it."""
        self._message_complete = True

    # requests and responses

    def _start_request(self) -> None:
        """Start the application for a request whose head is complete. Raises `Refused`."""
        version = self.parser.get_http_version()
        if version not in _VERSIONS:
            raise _malformed()
        try:
            self.scope = self._make_scope(version)
        except (httptools.HttpParserError, UnicodeDecodeError, AttributeError):  # the target has no path
            raise _malformed() from None
        self._progress, self._headers_seen = Phase.BODY, 0
        self.cycle = RequestCycle(
            self,
            self.scope,
            expects_100=self.expect_100_continue and version == "1.1",
            keep_alive=self._keeps_alive and not self._connections.is_shutting_down,
        )
        # a new context: this may be called from the one of the previous request
        task = self.loop.create_task(self.cycle.run(self.app), context=contextvars.Context())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        self._framing.head_complete(self.headers)

    def _make_scope(self, version: str) -> HTTPScope:
        """Return the ASGI scope of the request whose head was parsed."""
        target = httptools.parse_url(self.url)
        path = target.path.decode("ascii")
        if "%" in path:
            path = unquote(path)
        return {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,  # type: ignore[typeddict-item]  # it is known since the connection was made
            "method": self.parser.get_method().decode("ascii"),
            "root_path": self.root_path,
            "path": self.root_path + path,
            "raw_path": self.root_path.encode("ascii") + target.path,
            "query_string": target.query or b"",
            "headers": self.headers,
            "state": self.app_state.copy(),
        }

    def _enter(self, phase: Phase) -> None:
        """Enter a phase, with its deadline."""
        self._connections.move(self, phase)
        if phase is Phase.RESPONSE:
            self.cycle.end_body()
            self.cycle.keep_alive = self.cycle.keep_alive and not self._has_data_after_end
            self._framing.next_request()
            self._set_response_deadline()
        elif phase is Phase.BODY:
            self._deadline.set(self._limits.body_seconds)
        elif self._has_answered:
            self._deadline.set(self._limits.head_seconds)
        else:  # the deadline of the first head runs since the connection was opened
            self._deadline.set(self._idle_until - self.loop.time())

    def on_response_complete(self) -> None:
        """Continue with the next request, or close the connection."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.phase is not Phase.RESPONSE or not self.cycle.keep_alive or self._connections.is_shutting_down:
            self._finish(expects_data=self.phase is not Phase.RESPONSE or self._parsed_until < len(self._data))
            return
        self._has_answered = True
        self._progress = Phase.IDLE
        self._connections.move(self, Phase.IDLE)
        self._wait_idle(self._limits.keep_alive_seconds)
        if self._data:
            self._parse_received()
        if self._peer_finished and self._is_receiving():
            self._close_soon()
        elif self.flow.read_paused and not self._data:
            self.flow.resume_reading()

    def _is_receiving(self) -> bool:
        return self.phase in RECEIVING


def _malformed() -> Refused:
    return Refused(Reason.REQUEST_MALFORMED, "Send a well-formed HTTP/1.1 request.")
