"""A connection from its opening to its end: its phases, its deadlines, and the ways in which it is closed.

Whoever breaks a bound gets a problem, and the connection ends: it is closed for writing, what still comes is thrown
away for a moment, so that the problem is read instead of lost with a reset, and then it is gone. Nothing holds a
connection for longer than a deadline.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from otp_service.domain.errors import Reason, Refused
from otp_service.observability import METRICS
from otp_service.server.connection_limits import ServerLimits
from otp_service.server.connections import Connections, Phase
from otp_service.server.deadline import Deadline
from otp_service.server.error_responses import problem_response

__all__ = ["RECEIVING", "TimedConnection"]

LINGER_SECONDS: Final = 2.0
LINGER_BYTES: Final = 1024 * 1024
"""For how long, and how much of, what comes after a problem is thrown away before the connection is gone."""

SHUTDOWN_SECONDS: Final = 0.2
"""How long a request that is not complete may go on arriving once the process is told to end."""

RECEIVING: Final = (Phase.IDLE, Phase.HEAD, Phase.BODY)
_INCOMPLETE: Final = (Phase.HEAD, Phase.BODY)


class TimedConnection(HttpToolsProtocol):
    """A connection within `limits`, known to `connections`. A subclass reads the requests."""

    def __init__(self, *arguments: Any, limits: ServerLimits, connections: Connections, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.phase = Phase.IDLE
        self.kept_bytes = 0
        self._limits = limits
        self._all = connections
        self._deadline = Deadline(self.loop, self._too_late)
        self._idle_until = 0.0
        self._unread_since = math.inf
        self._drained = 0
        self._sent_all = False

    # from its opening

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Be admitted, or refused; a silent connection has as long as a head."""
        super().connection_made(transport)
        self._wait_idle(self._limits.head_seconds)
        if not self._all.admit(self):
            self._refuse(Refused(Reason.OVERLOADED, "Too many requests are being answered. Try again."))
        elif self._all.ending:
            self.shutdown()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer what was sent completely before the other side closed its half."""
        self._sent_all = True
        return self.phase is Phase.ANSWER

    def connection_lost(self, exc: Exception | None) -> None:
        """Be forgotten."""
        self._all.leave(self)
        self._deadline.close()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """End because the process does: at once, but for a complete request that is being answered."""
        self._all.ending = True
        if self.phase in RECEIVING:
            self.loop.call_later(SHUTDOWN_SECONDS, self._drop_incomplete)
            return
        if self.phase is Phase.ANSWER:
            self.cycle.keep_alive = False
        if self.phase is Phase.CLOSE or self.flow.write_paused:
            self._deadline.set(self._write_seconds())

    def _drop_incomplete(self) -> None:
        if self.phase in RECEIVING:
            self._drop("shutdown")

    def evict(self) -> None:
        """End at once (`Connections` has counted it out); who is sending a request is told why."""
        if self._unread() or self._has_begun_to_answer():
            self.transport.abort()
            return
        if self.phase in _INCOMPLETE:
            self._write_problem(Refused(Reason.OVERLOADED, "Too many connections are open. Try again."))
        self._close_soon()

    # to its end

    def _finish(self, *, more_may_come: bool) -> None:
        """End after an answer: at once if the other side sends no more, else when it has had time to read it."""
        if more_may_come and not self._sent_all:
            self._linger()
        else:
            self._close_soon()

    def _refuse(self, refused: Refused) -> None:
        """Answer with a problem instead of the application, and end the connection."""
        if self.phase is Phase.CLOSE:
            return
        if self._has_begun_to_answer():
            self._drop(refused.reason.value)
            return
        METRICS.connections_dropped.labels(refused.reason.value).inc()
        self._write_problem(refused)
        self._finish(more_may_come=True)

    def _has_begun_to_answer(self) -> bool:
        """Tell whether a part of the application's response is written, so that nothing else may be."""
        return self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete

    def _write_problem(self, refused: Refused) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(problem_response(refused, self.server_state.default_headers))

    def _linger(self) -> None:
        """Send nothing more; throw away what still comes, for a moment."""
        if self.transport.is_closing():
            return
        self._enter(Phase.CLOSE)
        self._all.release(self)
        self.transport.write_eof()
        self.flow.resume_reading()
        self._deadline.set(SHUTDOWN_SECONDS if self._all.ending else LINGER_SECONDS)

    def _drain(self, size: int) -> None:
        """Throw away `size` bytes that came after the end."""
        self._drained += size
        if self._drained > LINGER_BYTES:
            self.transport.abort()

    def _close_soon(self) -> None:
        """Close when everything is written, and in any case after a moment."""
        self._enter(Phase.CLOSE)
        self.transport.close()
        self._deadline.set(self._write_seconds())

    def _drop(self, reason: str) -> None:
        """Close without another word."""
        METRICS.connections_dropped.labels(reason).inc()
        self.transport.abort()

    # in time

    def _enter(self, phase: Phase) -> None:
        self._all.move(self, phase)

    def _wait_idle(self, seconds: float) -> None:
        """Wait for a request for so long, and, before that ends, look whether the last answer is being read."""
        self._idle_until = self.loop.time() + seconds
        self._deadline.set(min(seconds, self._limits.write_seconds))

    def _too_late(self) -> None:
        """End what has taken too long."""
        if self.phase in _INCOMPLETE:
            self._refuse(Refused(Reason.REQUEST_TIMEOUT, "Send the request again, without a pause in it."))
        elif self._unread():
            self._drop("write_timeout")
        elif self.phase is not Phase.IDLE:
            self.transport.abort()
        elif (left := self._idle_until - self.loop.time()) > 0:
            self._deadline.set(left)
        else:
            METRICS.connections_dropped.labels("idle").inc()
            self._close_soon()

    def _write_seconds(self) -> float:
        return min(self._limits.write_seconds, LINGER_SECONDS) if self._all.ending else self._limits.write_seconds

    def _unread(self) -> bool:
        """Tell whether the kernel's buffer is full: uvloop writes at once what goes into that."""
        return self.transport.get_write_buffer_size() > 0

    def _check_reader(self) -> None:
        """Drop who goes on asking and does not read what was answered."""
        now = self.loop.time()
        self._unread_since = min(self._unread_since, now) if self._unread() else math.inf
        if now - self._unread_since > self._limits.write_seconds:
            self._drop("write_timeout")

    def pause_writing(self) -> None:
        """Wait for the reader, but not for ever."""
        super().pause_writing()
        if self.phase is Phase.ANSWER:
            self._wait_for_reader()

    def resume_writing(self) -> None:
        """Go on."""
        super().resume_writing()
        if self.phase is Phase.ANSWER:
            self._wait_for_reader()

    def _wait_for_reader(self) -> None:
        """An answer takes as long as the application does, and no longer than allowed while it is not read.

        Also the answers before it may be unread still: then this one cannot be written.
        """
        if self.flow.write_paused:
            self._deadline.set(self._write_seconds())
        else:
            self._deadline.clear()
