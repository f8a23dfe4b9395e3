"""One connection: its phases, its deadlines, and how it is closed.

A client that exceeds a limit gets a problem response, and the connection is closed: first for writing, while incoming
bytes are discarded for a short time, so that a TCP reset does not destroy the response; then completely. Every wait
for the client has a deadline.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from otp_service.domain.errors import Reason, Refused
from otp_service.observability import METRICS
from otp_service.server.connections import Connections, Phase, ServerLimits
from otp_service.server.deadline import Deadline
from otp_service.server.error_responses import problem_response
from otp_service.server.request_cycle import RequestCycle

__all__ = ["RECEIVING", "TimedConnection"]

LINGER_SECONDS: Final = 2.0
LINGER_BYTES: Final = 1024 * 1024
"""How long, and how many bytes, are discarded after a problem response before the connection is closed."""

SHUTDOWN_SECONDS: Final = 0.2
"""How long an incomplete request may continue to arrive after the shutdown has begun."""

RECEIVING: Final = (Phase.IDLE, Phase.HEAD, Phase.BODY)
_INCOMPLETE: Final = (Phase.HEAD, Phase.BODY)


class TimedConnection(HttpToolsProtocol):
    """A connection that keeps to `limits` and is counted in `connections`. A subclass reads the requests."""

    cycle: RequestCycle  # type: ignore[assignment]  # ours has what uvicorn's protocol uses of it

    def __init__(self, *arguments: Any, limits: ServerLimits, connections: Connections, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.phase = Phase.IDLE
        self.buffered_bytes = 0
        self._limits = limits
        self._connections = connections
        self._deadline = Deadline(self.loop, self._on_deadline)
        self._idle_until = 0.0
        self._unread_since = math.inf
        self._discarded_bytes = 0
        self._peer_finished = False

    # opening and shutdown

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Join the connections of the process, or refuse. The first head has to arrive within its deadline."""
        super().connection_made(transport)
        self._wait_idle(self._limits.head_seconds)
        if not self._connections.admit(self):
            self._refuse(Refused(Reason.OVERLOADED, "Too many requests are in progress. Try again later."))
        elif self._connections.is_shutting_down:
            self.shutdown()

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn's returns None
        """Keep the connection open if a complete request still needs its response (half-close)."""
        self._peer_finished = True
        return self.phase is Phase.RESPONSE

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the connections of the process."""
        self._connections.remove(self)
        self._deadline.close()
        if self.cycle is not None:
            self.cycle.disconnect()
            self.cycle = None  # type: ignore[assignment]  # as before the first request; uvicorn knows another class
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close because the process ends: at once, unless a complete request is being answered."""
        self._connections.is_shutting_down = True
        if self.phase in RECEIVING:
            self.loop.call_later(SHUTDOWN_SECONDS, self._drop_incomplete)
            return
        if self.phase is Phase.RESPONSE:
            self.cycle.keep_alive = False
        if self.phase is Phase.CLOSE or self.flow.write_paused:
            self._deadline.set(self._write_seconds())

    def _drop_incomplete(self) -> None:
        if self.phase in RECEIVING:
            self.drop("shutdown")

    def evict(self) -> None:
        """Close at once; `Connections` no longer counts it. A client that is sending a request gets a problem."""
        if self._has_unread_data() or self._has_started_response():
            self.transport.abort()
            return
        if self.phase in _INCOMPLETE:
            self._write_problem(Refused(Reason.OVERLOADED, "Too many connections are open. Try again later."))
        self._close_soon()

    # closing

    def _finish(self, *, expects_data: bool) -> None:
        """Close after a response: at once, or if the client may still send, after it had time to read the response."""
        if expects_data and not self._peer_finished:
            self._linger()
        else:
            self._close_soon()

    def _refuse(self, refused: Refused) -> None:
        """Send a problem response in place of the application, and close the connection."""
        if self.phase is Phase.CLOSE:
            return
        if self._has_started_response():
            self.drop(refused.reason.value)
            return
        METRICS.connections_dropped.labels(refused.reason.value).inc()
        self._write_problem(refused)
        self._finish(expects_data=True)

    def _has_started_response(self) -> bool:
        """Return whether a part of the application's response is sent, so that no other response may be."""
        return self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete

    def _write_problem(self, refused: Refused) -> None:
        if self.cycle is not None:
            self.cycle.disconnect()
        self.transport.write(problem_response(refused, self.server_state.default_headers))

    def _linger(self) -> None:
        """Send nothing more, and discard incoming bytes for a short time."""
        if self.transport.is_closing():
            return
        self._connections.move(self, Phase.CLOSE)
        self.transport.write_eof()
        self.flow.resume_reading()
        self._deadline.set(SHUTDOWN_SECONDS if self._connections.is_shutting_down else LINGER_SECONDS)

    def _discard(self, size: int) -> None:
        """Count `size` bytes that arrived after the end and are discarded."""
        self._discarded_bytes += size
        if self._discarded_bytes > LINGER_BYTES:
            self.transport.abort()

    def _close_soon(self) -> None:
        """Close when everything is sent, at the latest at the deadline."""
        self._connections.move(self, Phase.CLOSE)
        self.transport.close()
        self._deadline.set(self._write_seconds())

    def drop(self, reason: str) -> None:
        """Close without a response."""
        METRICS.connections_dropped.labels(reason).inc()
        self.transport.abort()

    # deadlines

    def _wait_idle(self, seconds: float) -> None:
        """Wait for a request, and before that time ends, check whether the last response is being read."""
        self._idle_until = self.loop.time() + seconds
        self._deadline.set(min(seconds, self._limits.write_seconds))

    def _on_deadline(self) -> None:
        """Close the connection, or wait on if the idle time is not over yet."""
        if self.phase in _INCOMPLETE:
            self._refuse(Refused(Reason.REQUEST_TIMEOUT, "Send the request again, without pauses."))
        elif self._has_unread_data():
            self.drop("write_timeout")
        elif self.phase is not Phase.IDLE:
            self.transport.abort()
        elif (left := self._idle_until - self.loop.time()) > 0:
            self._deadline.set(left)
        else:
            METRICS.connections_dropped.labels("idle").inc()
            self._close_soon()

    def _write_seconds(self) -> float:
        seconds = self._limits.write_seconds
        return min(seconds, LINGER_SECONDS) if self._connections.is_shutting_down else seconds

    def _has_unread_data(self) -> bool:
        """Return whether data waits to be sent because the kernel's buffer is full."""
        return self.transport.get_write_buffer_size() > 0

    def check_client_reads(self) -> None:
        """Drop a client that sends requests and does not read the responses."""
        if not self.transport.get_write_buffer_size():
            self._unread_since = math.inf
            return
        now = self.loop.time()
        self._unread_since = min(self._unread_since, now)
        if now - self._unread_since > self._limits.write_seconds:
            self.drop("write_timeout")

    def pause_writing(self) -> None:
        """Give the client a deadline to read the response."""
        super().pause_writing()
        if self.phase is Phase.RESPONSE:
            self._set_response_deadline()

    def resume_writing(self) -> None:
        """Remove the deadline to read the response."""
        super().resume_writing()
        if self.phase is Phase.RESPONSE:
            self._set_response_deadline()

    def _set_response_deadline(self) -> None:
        """Set the deadline while the client does not read, and none while the application works.

        Earlier responses may be unread, too; then this one cannot be sent.
        """
        if self.flow.write_paused:
            self._deadline.set(self._write_seconds())
        else:
            self._deadline.clear()
