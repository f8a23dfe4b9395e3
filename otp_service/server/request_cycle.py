"""One request and its response: ASGI's `receive` and `send`, and what is sent if the application fails.

It replaces uvicorn's `RequestResponseCycle`, whose attributes uvicorn's protocol uses. It costs less: the head of a
response is written with the first part of the body, in one system call, and headers are checked together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, Protocol

from uvicorn._types import ASGI3Application, HTTPScope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from otp_service.domain.errors import Reason, Refused
from otp_service.observability import LOG
from otp_service.server.error_responses import problem_parts

__all__ = ["RequestCycle", "ServedConnection"]

_STATUSES_WITHOUT_BODY: Final = (204, 304)
_SERVERS_OWN_HEADERS: Final = frozenset({b"connection", b"transfer-encoding"})
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class ServedConnection(Protocol):
    """What a cycle needs of its connection.

    Attributes:
        server_state: Has the headers of every response; uvicorn renews `Date` each second.
        transport: Writes to the client.
        flow: Says whether the client reads, and whether this process does.
    """

    server_state: ServerState
    transport: asyncio.Transport
    flow: FlowControl

    def check_client_reads(self) -> None:
        """Drop a client that sends requests and does not read the responses."""

    def drop(self, reason: str) -> None:
        """Close without a response."""

    def on_response_complete(self) -> None:
        """Continue after a complete response."""


class RequestCycle:
    """Calls the application for one request.

    Attributes:
        keep_alive: Whether the connection stays open after the response.
        body: What has arrived of the body and the application has not received yet.
        more_body: Whether more of the body will arrive.
        disconnected: Whether nothing can be sent any more.
        response_started: Whether a part of the response is written.
        response_complete: Whether the whole response is written.
    """

    __slots__ = (
        "_connection",
        "_expects_100",
        "_has_message",
        "_has_no_body",
        "_head",
        "_left",
        "_message_event",
        "_scope",
        "body",
        "disconnected",
        "keep_alive",
        "more_body",
        "response_complete",
        "response_started",
    )

    def __init__(self, connection: ServedConnection, scope: HTTPScope, *, expects_100: bool, keep_alive: bool) -> None:
        """Serve the request of `scope`; `expects_100`: the client waits for 100 (Continue) before it sends the body."""
        self._connection: ServedConnection | None = connection
        self._scope = scope
        self._expects_100 = expects_100
        self.keep_alive = keep_alive
        self.body, self.more_body = bytearray(), True
        self._has_message = False  # whether `receive` need not wait
        self._message_event: asyncio.Event | None = None  # what it waits for; for most requests it need not
        self.disconnected = self.response_started = self.response_complete = False
        self._head: bytes | None = None  # of the response, until it is written
        self._left: int | None = None  # bytes of the response's body; None: it has no Content-Length
        self._has_no_body = False

    async def run(self, app: ASGI3Application) -> None:
        """Run the application, and send a problem response if it fails."""
        reason = Reason.INTERNAL_ERROR
        try:
            try:
                await app(self._scope, self.receive, self.send)
            except asyncio.CancelledError:  # the grace period of the shutdown is over
                reason = Reason.OVERLOADED
            except Exception:
                LOG.exception("request_failed")
            if not self.response_complete and not self.disconnected:
                await self._fail(reason)
        finally:
            self._connection = None  # a connection that is lost is freed at once, without the garbage collector

    async def _fail(self, reason: Reason) -> None:
        if self.response_started and self._connection is not None:
            self._connection.drop("response_cut_off")
            return
        self._head = None
        status, headers, body = problem_parts(Refused(reason))
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})

    async def receive(self) -> Any:
        """Return the next part of the request body, or that the client has disconnected or the response is complete."""
        connection = self._connection
        if connection is not None and not self.disconnected and not self.response_complete:
            if self._expects_100 and not connection.transport.is_closing():
                self._expects_100 = False
                connection.transport.write(_CONTINUE)
            if connection.flow.read_paused:
                connection.flow.resume_reading()
            if not self._has_message:
                await self._wait_for_message()
            self._has_message = False
        if connection is None or self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body, self.body = bytes(self.body), bytearray()
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def _wait_for_message(self) -> None:
        if self._message_event is None:
            self._message_event = asyncio.Event()
        self._message_event.clear()
        await self._message_event.wait()

    def add_body(self, part: bytes) -> None:
        """Take a part of the body that has arrived."""
        self.body += part
        self._has_message = True
        if self._message_event is not None:
            self._message_event.set()

    def end_body(self) -> None:
        """Record that the body is complete."""
        self.more_body, self._has_message = False, True
        if self._message_event is not None:
            self._message_event.set()

    def disconnect(self) -> None:
        """Record that nothing can be sent any more, unless the whole response is written; drop the body."""
        self.disconnected = not self.response_complete
        self.body = bytearray()
        if self._message_event is not None:
            self._message_event.set()

    async def send(self, message: Any) -> None:
        """Send a message of the application. After a disconnection it is ignored, as ASGI requires."""
        connection = self._connection
        if connection is not None and connection.flow.write_paused and not self.disconnected:
            await connection.flow.drain()
        if connection is None or self.disconnected:
            return
        kind = message["type"]
        if kind == "http.response.body" and self._head is not None and not self.response_complete:
            self._write(connection, message.get("body", b""), is_last=not message.get("more_body", False))
        elif kind == "http.response.start" and self._head is None:
            connection.check_client_reads()
            self._expects_100 = False
            self.keep_alive = self.keep_alive and not self.more_body  # the rest of the body is not a request
            self._head = self._head_of(
                message["status"], [*connection.server_state.default_headers, *message["headers"]]
            )
        else:
            raise RuntimeError(f"the application may not send {kind} now")

    def _head_of(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
        """Return the head of the response. `Connection` and `Transfer-Encoding` are the server's own."""
        self._has_no_body = self._scope["method"] == "HEAD" or status in _STATUSES_WITHOUT_BODY
        lines = [STATUS_LINE[status]]
        for name, value in headers:
            lower = name.lower()
            if lower == b"content-length":
                self._left = int(value)
            elif lower in _SERVERS_OWN_HEADERS:
                if lower == b"connection":
                    self.keep_alive = self.keep_alive and b"close" not in value.lower()
                continue
            lines.append(b"%b: %b\r\n" % (lower, value))
        if self._left is None and not self._has_no_body:
            lines.append(b"transfer-encoding: chunked\r\n")
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        head = b"".join(lines)
        if head.count(b"\r") != len(lines) or head.count(b"\n") != len(lines) or b"\0" in head:
            raise RuntimeError("a response header contains a line end or a null byte")
        return head + b"\r\n"

    def _write(self, connection: ServedConnection, body: bytes, *, is_last: bool) -> None:
        """Write a part of the body, after the head if that is not written yet."""
        if self._has_no_body:
            body = b""
        elif self._left is None:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body = chunk + b"0\r\n\r\n" if is_last else chunk
        else:
            self._left -= len(body)
            if self._left < 0 or (is_last and self._left):
                raise RuntimeError("the response body has another length than its Content-Length")
        if self._head or body:
            connection.transport.write((self._head or b"") + body)
        self._head, self.response_started = b"", True
        if is_last:
            self.response_complete = True
            if self._message_event is not None:
                self._message_event.set()
            connection.on_response_complete()
