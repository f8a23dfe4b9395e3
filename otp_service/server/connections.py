"""The limits of connections, and all connections of a process: how many they are and how much memory they use.

When there are too many, a new connection replaces the one that has waited longest: first among those that are being
closed, then among the idle ones, then among those whose request is incomplete. A connection whose request is being
answered is never closed. So a flood of idle connections or incomplete requests does not affect normal clients, which
send their request within milliseconds.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import IntEnum, auto
from typing import Any, Final, Protocol

from otp_service.observability import METRICS

__all__ = ["DEFAULT_MAX_CONNECTIONS", "MAX_BUFFERED_BYTES", "Connection", "Connections", "Phase", "ServerLimits"]

DEFAULT_MAX_CONNECTIONS: Final = 4096
"""Connections of one process if neither the config nor the descriptor limit allows less: about 32 MiB when idle."""

MAX_BUFFERED_BYTES: Final = 32 * 1024 * 1024
"""The memory for unanswered requests of all connections of a process. A normal request has about 1 KiB."""


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Limits of the connections of one process; times are in seconds.

    `head_seconds` and `body_seconds` are until the last byte, so slow sending does not extend them.

    Attributes:
        head_seconds: From the opening of the connection, or from the first byte of a later request, to the end of the
            head.
        body_seconds: From the end of the head to the end of the body.
        write_seconds: How long a response may wait until the client reads it.
        keep_alive_seconds: How long a connection may be idle between requests.
        max_connections: How many connections may be open.
        backlog: How many connections the kernel may hold that are not accepted yet.
    """

    head_seconds: float = 10.0
    body_seconds: float = 10.0
    write_seconds: float = 10.0
    keep_alive_seconds: float = 75.0
    max_connections: int = DEFAULT_MAX_CONNECTIONS
    backlog: int = 1024


class Phase(IntEnum):
    """What a connection is waiting for. A key of dictionaries for each request, so it has the hash of an int."""

    IDLE = auto()
    """The first byte of a request."""
    HEAD = auto()
    """The rest of a request head."""
    BODY = auto()
    """The rest of a request body."""
    RESPONSE = auto()
    """The application's response to a complete request."""
    CLOSE = auto()
    """The end of the connection; incoming bytes are discarded."""


_EVICTION_ORDER: Final = (Phase.CLOSE, Phase.IDLE, Phase.HEAD, Phase.BODY)
_RECEIVING: Final = (Phase.HEAD, Phase.BODY)
_WITHOUT_REQUEST: Final = (Phase.IDLE, Phase.CLOSE)


class Connection(Protocol):
    """What `Connections` needs of a connection."""

    phase: Phase
    buffered_bytes: int

    def evict(self) -> None:
        """Close at once, because there are too many connections or too many buffered bytes."""


class Connections:
    """Counts the connections of a process by phase. In each phase they are ordered by when they entered it."""

    def __init__(self, max_connections: int) -> None:
        """Allow `max_connections` at a time."""
        self._max = max_connections
        self._by_phase: dict[Phase, OrderedDict[Connection, None]] = {phase: OrderedDict() for phase in Phase}
        self._count = 0
        self._buffered_bytes = 0
        self._uvicorn_connections: set[Any] = set()
        self.is_shutting_down = False

    def subscribe_to_shutdown(self, uvicorn_connections: set[Any]) -> None:
        """Join the set whose members uvicorn calls `shutdown` on.

        A connection that is accepted later is not in the set yet, so this object has to remember the shutdown.
        """
        self._uvicorn_connections = uvicorn_connections
        uvicorn_connections.add(self)

    def shutdown(self) -> None:
        """Close every connection that is made from now on (called by uvicorn)."""
        self.is_shutting_down = True
        self._uvicorn_connections.discard(self)

    def admit(self, connection: Connection) -> bool:
        """Count a new connection, and close others if there are too many. Return False if none may be closed."""
        self._by_phase[connection.phase][connection] = None
        self._count += 1
        METRICS.connections.set(self._count)
        while self._count > self._max:
            if (victim := self._longest_waiting(connection)) is None:
                return False
            self._evict(victim, "too_many")
        return True

    def move(self, connection: Connection, phase: Phase) -> None:
        """Record that a connection has entered `phase`. One that has no request any more buffers nothing."""
        if phase in _WITHOUT_REQUEST:
            self._buffered_bytes -= connection.buffered_bytes
            connection.buffered_bytes = 0
        phases = self._by_phase
        if connection in phases[connection.phase]:
            del phases[connection.phase][connection]
            phases[phase][connection] = None
        connection.phase = phase

    def has_room(self, size: int) -> bool:
        """Return whether `size` more buffered bytes close no connection."""
        return self._buffered_bytes + size <= MAX_BUFFERED_BYTES

    def add_buffered(self, connection: Connection, size: int) -> None:
        """Count `size` more buffered bytes. If all connections buffer too much, close the one with the most."""
        connection.buffered_bytes += size
        self._buffered_bytes += size
        while self._buffered_bytes > MAX_BUFFERED_BYTES and (victim := self._largest()) is not None:
            self._evict(victim, "too_much_kept")

    def remove(self, connection: Connection) -> None:
        """Stop counting a connection."""
        self._buffered_bytes -= connection.buffered_bytes
        connection.buffered_bytes = 0
        if connection in self._by_phase[connection.phase]:
            del self._by_phase[connection.phase][connection]
            self._count -= 1
            METRICS.connections.set(self._count)

    def _evict(self, victim: Connection, reason: str) -> None:
        METRICS.connections_dropped.labels(reason).inc()
        self.remove(victim)
        victim.evict()

    def _longest_waiting(self, newest: Connection) -> Connection | None:
        for phase in _EVICTION_ORDER:
            found = next(iter(self._by_phase[phase]), newest)
            if found is not newest:
                return found
        return None

    def _largest(self) -> Connection | None:
        receiving = (connection for phase in _RECEIVING for connection in self._by_phase[phase])
        return max(receiving, key=lambda connection: connection.buffered_bytes, default=None)
