"""What operators read of the guard, and change by hand: breakers, counts of the last hours, the newest decisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from otp_service.domain.guard import GuardPolicy, RecordedDecision
from otp_service.domain.guard_counts import Counts

__all__ = [
    "KEPT_HOURS",
    "MAX_DECISIONS",
    "BreakerReason",
    "BreakerReport",
    "GuardReport",
    "GuardReports",
    "ScopeReport",
]

KEPT_HOURS: Final = 48
"""How many hours of counts operators can read."""

MAX_DECISIONS: Final = 1_000
"""How many of the newest decisions are kept; equal ones of half a second are one entry."""


NO_MESSAGES: Final = Counts()


class BreakerReason(StrEnum):
    """Why a breaker is open: too few messages were verified, too few probes of the last opening, or by hand."""

    CONVERSION = "conversion"
    PROBES = "probes"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class BreakerReport:
    """A breaker. Times are in ms.

    Attributes:
        open_until_ms: Until when it is open; 0: it is closed.
        since_ms: Since when it is open, or when its current counts began; 0: it has none.
        reason: Why it is open; None: it is closed, or a version that did not record reasons has opened it.
        cause: The messages, or the probes, on which it opened.
        probes: The probes since it opened.
    """

    open_until_ms: int = 0
    since_ms: int = 0
    reason: BreakerReason | None = None
    cause: Counts = NO_MESSAGES
    probes: Counts = NO_MESSAGES


@dataclass(frozen=True, slots=True)
class ScopeReport:
    """The breakers of a scope and its counts.

    Attributes:
        breaker: The breaker of the tenants whose mode is `deny`.
        observed_breaker: The breaker of those whose mode is `observe`; it denies nothing.
        hours: By hour since 1970, the messages to new and to known numbers.
        areas: By area, the messages to new and to known numbers in all hours.
    """

    breaker: BreakerReport = BreakerReport()
    observed_breaker: BreakerReport = BreakerReport()
    hours: Mapping[int, tuple[Counts, Counts]] = field(default_factory=dict)
    areas: Mapping[str, tuple[Counts, Counts]] = field(default_factory=dict)

    @property
    def total(self) -> tuple[Counts, Counts]:
        """The messages to new and to known numbers in all hours."""
        new, known = Counts(), Counts()
        for of_new, of_known in self.hours.values():
            new, known = new.plus(of_new), known.plus(of_known)
        return new, known

    @property
    def is_used(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.hours or self.breaker.open_until_ms or self.observed_breaker.open_until_ms)


@dataclass(frozen=True, slots=True)
class GuardReport:
    """What operators see: the newest decisions first, and the scopes that were asked for."""

    decisions: Sequence[RecordedDecision]
    scopes: Mapping[str, ScopeReport]


class GuardReports(Protocol):
    """Reads and changes the guard for operators. Each method may raise `Refused` (`store_unavailable`)."""

    async def report(self, scopes: Iterable[str], *, hours: int, decisions: int) -> GuardReport:
        """Read the newest `decisions` and the counts of the last `hours` (at most `KEPT_HOURS`) of some scopes."""

    async def open_breaker(self, scope: str, policy: GuardPolicy, open_ms: int) -> int:
        """Open the breaker of a scope from now on, in whatever state it is; return until when, in ms."""

    async def close_breaker(self, scope: str, policy: GuardPolicy) -> bool:
        """Close the breakers of a scope and reset their counts; return whether one had any state."""
