"""All connections of a process: how many there are, what they keep in memory, and who has to go when that is too much.

A new connection is worth more than one that waits: when there are too many, the one that has waited longest goes, first
of those that are being closed, then of the idle ones, then of those whose request is not complete. A connection whose
request is being answered never goes. So a flood of idle or half-sent requests takes nothing from honest callers, who
send their request within milliseconds.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum, auto
from typing import Any, Final, Protocol

from otp_service.observability import METRICS

__all__ = ["MAX_KEPT_BYTES", "Connections", "Member", "Phase"]

MAX_KEPT_BYTES: Final = 32 * 1024 * 1024
"""What the unanswered requests of a process may keep in memory, all together. An honest one is about 1 KiB."""


class Phase(Enum):
    """What a connection is waiting for."""

    IDLE = auto()
    """The first byte of a request."""
    HEAD = auto()
    """The rest of a head."""
    BODY = auto()
    """The rest of a body."""
    ANSWER = auto()
    """The response of the application to a complete request."""
    CLOSE = auto()
    """Its end: whatever still comes is thrown away."""


_EXPENDABLE: Final = (Phase.CLOSE, Phase.IDLE, Phase.HEAD, Phase.BODY)
_RECEIVING: Final = (Phase.HEAD, Phase.BODY)


class Member(Protocol):
    """A connection, as those who count it see it."""

    phase: Phase
    kept_bytes: int

    def evict(self) -> None:
        """End at once, because there are too many connections, or too much is kept."""


class Connections:
    """Counts connections by phase, each phase in the order of its beginning."""

    def __init__(self, max_connections: int) -> None:
        """Allow `max_connections` at a time."""
        self._max = max_connections
        self._by_phase: dict[Phase, OrderedDict[Member, None]] = {phase: OrderedDict() for phase in Phase}
        self._count = 0
        self._kept_bytes = 0
        self._uvicorns: set[Any] = set()
        self.ending = False

    def told_by(self, connections: set[Any]) -> None:
        """Be among those whom uvicorn tells of the end of the process, for connections that it does not know yet."""
        self._uvicorns = connections
        connections.add(self)

    def shutdown(self) -> None:
        """Let every connection that is made from now on end at once (called by uvicorn)."""
        self.ending = True
        self._uvicorns.discard(self)

    def admit(self, member: Member) -> bool:
        """Count a new connection and make room for it; False if all others are being answered."""
        self._by_phase[member.phase][member] = None
        self._count += 1
        METRICS.connections.set(self._count)
        while self._count > self._max:
            if (victim := self._longest_waiting(member)) is None:
                return False
            self._evict(victim, "too_many")
        return True

    def move(self, member: Member, phase: Phase) -> None:
        """Note that a connection now waits for something else."""
        phases = self._by_phase
        if member in phases[member.phase]:
            del phases[member.phase][member]
            phases[phase][member] = None
        member.phase = phase

    def keep(self, member: Member, size: int) -> None:
        """Count `size` more bytes that a connection keeps; when all keep too much, the one with most goes."""
        member.kept_bytes += size
        self._kept_bytes += size
        while self._kept_bytes > MAX_KEPT_BYTES and (victim := self._largest()) is not None:
            self._evict(victim, "too_much_kept")

    def release(self, member: Member) -> None:
        """Note that a connection keeps nothing any more."""
        self._kept_bytes -= member.kept_bytes
        member.kept_bytes = 0

    def leave(self, member: Member) -> None:
        """Count a connection no more."""
        self.release(member)
        if member in self._by_phase[member.phase]:
            del self._by_phase[member.phase][member]
            self._count -= 1
            METRICS.connections.set(self._count)

    def _evict(self, victim: Member, reason: str) -> None:
        METRICS.connections_dropped.labels(reason).inc()
        self.leave(victim)
        victim.evict()

    def _longest_waiting(self, newest: Member) -> Member | None:
        for phase in _EXPENDABLE:
            found = next(iter(self._by_phase[phase]), newest)
            if found is not newest:
                return found
        return None

    def _largest(self) -> Member | None:
        receipt_store = (member for phase in _RECEIVING for member in self._by_phase[phase])
        return max(receipt_store, key=lambda member: member.kept_bytes, default=None)
