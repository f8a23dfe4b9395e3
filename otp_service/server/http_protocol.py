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
        self._has_answered = False
        self._next_request()

    def _next_request(self) -> None:
        self._headers_seen = 0
        self._keeps_alive = True
        self._head_complete = self._request_started = self._message_complete = self._has_data_after_end = False

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
        try:
            while self._parsed_until < len(self._data) and self.phase in RECEIVING:
                self._parse_next_slice()
        except Refused as refused:
            self._refuse(refused)
        if self.phase is Phase.CLOSE:
            self._data, self.headers = b"", []
        elif self._parsed_until < len(self._data):
            self.flow.pause_reading()
        elif self._data:
            self._data, self._parsed_until = b"", 0

    def _parse_next_slice(self) -> None:
        start, end = self._parsed_until, self._framing.slice_end(self._data, self._parsed_until)
        self._parsed_until = end
        is_head = not self._request_started or self.phase is Phase.IDLE
        self._parse(memoryview(self._data)[start:end])
        if is_head and self.phase in (Phase.HEAD, Phase.BODY):
            self._connections.add_buffered(self, end - start)
        if self.phase in RECEIVING and not (is_head and self.phase is Phase.BODY):
            self._framing.count_slice(self._data, start, end)

    def _parse(self, data: bytes | memoryview) -> None:
        """Parse a slice, and start or complete a request if it ends there. Raises `Refused`."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._parse_without_upgrade()
            return
        except httptools.HttpParserError as error:
            if not self._has_data_after_end:
                raise error.__context__ if isinstance(error.__context__, Refused) else _malformed() from None
        if self._head_complete and not self._request_started:
            self._start_request()
        if self._message_complete and self.phase is Phase.BODY:
            self._complete_request()

    def _parse_without_upgrade(self) -> None:
        """Parse the head again without `Upgrade`, which is not supported and would make the parser skip the body."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            raise _malformed()
        lines = [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        head = b"\r\n".join([method + b" " + self.url + b" HTTP/1.1", *lines, b"", b""])
        self._next_request()
        self.parser = httptools.HttpRequestParser(self)
        self._parse(head)

    # callbacks of the parser

    def on_message_begin(self) -> None:
        """Start a head. Data after a chunked body in the same slice is not read, and the connection is closed then."""
        if self._message_complete and self.phase is not Phase.IDLE:
            self._has_data_after_end = True
            raise _malformed()
        self._next_request()
        if self.phase is Phase.IDLE:
            self._connections.move(self, Phase.HEAD)
            # the deadline of the first head runs since the connection was opened
            left = self._limits.head_seconds if self._has_answered else self._idle_until - self.loop.time()
            self._deadline.set(left)
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header, as uvicorn does; count and discard a trailer."""
        self._headers_seen += 1
        if self._request_started:
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
        self._connections.add_buffered(self, len(body))
        if self.cycle.response_complete:
            return
        self.cycle.body += body
        if len(self.cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        self.cycle.message_event.set()

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
            self._complete_scope(version)
        except (httptools.HttpParserError, UnicodeDecodeError, AttributeError):  # the target has no path
            raise _malformed() from None
        self._request_started, self._headers_seen = True, 0
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
        self._connections.move(self, Phase.BODY)
        self._deadline.set(self._limits.body_seconds)

    def _complete_scope(self, version: str) -> None:
        """Add method, version and target to the ASGI scope."""
        target = httptools.parse_url(self.url)
        path = target.path.decode("ascii")
        if "%" in path:
            path = unquote(path)
        scope = self.scope
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["http_version"] = version
        scope["path"] = self.root_path + path
        scope["raw_path"] = self.root_path.encode("ascii") + target.path
        scope["query_string"] = target.query or b""

    def _complete_request(self) -> None:
        if not self.cycle.response_complete:
            self.cycle.more_body = False
            self.cycle.message_event.set()
        self.cycle.keep_alive = self.cycle.keep_alive and not self._has_data_after_end
        self._framing.next_request()
        self._connections.move(self, Phase.RESPONSE)
        self._set_response_deadline()

    def on_response_complete(self) -> None:
        """Continue with the next request, or close the connection."""
        self.server_state.total_requests += 1
        self._connections.release_buffered(self)
        if self.transport.is_closing():
            return
        if self.phase is not Phase.RESPONSE or not self.cycle.keep_alive or self._connections.is_shutting_down:
            self._finish(expects_data=self.phase is not Phase.RESPONSE or self._parsed_until < len(self._data))
            return
        self._has_answered = True
        self._connections.move(self, Phase.IDLE)
        self._wait_idle(self._limits.keep_alive_seconds)
        self._parse_received()
        if self._peer_finished and self._is_receiving():
            self._close_soon()
        elif self.flow.read_paused and not self._data:
            self.flow.resume_reading()

    def _is_receiving(self) -> bool:
        return self.phase in RECEIVING


def _malformed() -> Refused:
    return Refused(Reason.REQUEST_MALFORMED, "Send a well-formed HTTP/1.1 request.")
