"""What the guard counts: messages and verifications by level and by span of time, numbers of a block, the breaker.

A scope is one country, or all countries (`ALL_COUNTRIES_SCOPE`). Its levels are named by a letter and what follows:
`c` all of the scope, `t|acme` a tenant, `a|+62812` an area, `b|<keyed hash>` a block, `q` the quiet countries. A
message counts in the minute, hour and day (UTC) in which it was requested, and so does its verification.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from otp_service.domain.guard import GuardDecision, GuardPolicy, GuardRequest, GuardSubject

__all__ = [
    "ALL_COUNTRIES_SCOPE",
    "BURST_HOURS",
    "PAST_DAYS",
    "PENDING_MINUTES",
    "BreakerCounts",
    "Counts",
    "GuardCounted",
    "GuardFigures",
    "KnownMember",
    "LevelCounts",
    "QuietCountries",
    "ScopeCounts",
    "country_levels",
    "everywhere_levels",
    "is_quiet",
    "known_member",
    "mark_of",
]

ALL_COUNTRIES_SCOPE: Final = "all"

PENDING_MINUTES: Final = 3
"""Codes that were requested in this and the two minutes before may still be entered; most are within a minute."""

BURST_HOURS: Final = 2
PAST_DAYS: Final = 7

KNOWN_SHARDS: Final = 4096
"""The known numbers of a country are spread over this many sets of at most 512 numbers of four bytes."""

_MEMBER_BITS: Final = 31


class Counts(NamedTuple):
    """Messages, and how many of them were verified."""

    sent: int = 0
    verified: int = 0

    @property
    def unverified(self) -> int:
        """Messages without a verification, at least 0: a code may be entered after its message's count was undone."""
        return max(0, self.sent - self.verified)

    def plus(self, other: Counts) -> Counts:
        """Return the sums."""
        return Counts(self.sent + other.sent, self.verified + other.verified)


class LevelCounts(NamedTuple):
    """The counts of one level, with this request.

    `pending`: the last `PENDING_MINUTES`. `burst`: this and the last hour. `window`: the last `window_hours`. `today`:
    this day (UTC). `past`: the `PAST_DAYS` days before today.
    """

    pending: Counts = Counts()
    burst: Counts = Counts()
    window: Counts = Counts()
    today: Counts = Counts()
    past: Counts = Counts()


class BreakerCounts(NamedTuple):
    """The breaker of a scope, with this request. Times are in ms.

    `sent`, `verified`: in the current window of a closed breaker. `until_ms`: until when it is or was open; 0: it is
    closed. `next_probe_ms`: when the next probe is let through. `is_probe`: this request is one. `probes`: the
    probes since it opened.
    """

    sent: int = 0
    verified: int = 0
    until_ms: int = 0
    next_probe_ms: int = 0
    is_probe: bool = False
    probes: Counts = Counts()


@dataclass(frozen=True, slots=True)
class ScopeCounts:
    """The counts of one scope: by level, its breaker, and the different numbers of the block."""

    now_ms: int
    levels: dict[str, LevelCounts]
    breaker: BreakerCounts
    numbers: int = 0
    is_known: bool = False


@dataclass(frozen=True, slots=True)
class GuardFigures:
    """All counts that the rules need for one request.

    `address_numbers` is how many different numbers without a verified code the client's address requested; 0 if the
    address is not known. `is_quiet`: the country had few verifications in the past, as far as was known.
    """

    country: ScopeCounts
    everywhere: ScopeCounts = field(default_factory=lambda: ScopeCounts(0, {}, BreakerCounts()))
    address_numbers: int = 0
    is_quiet: bool = False


@dataclass(frozen=True, slots=True)
class GuardCounted:
    """What was counted for one request, so that it can be undone, and the counts with it.

    `added_in_block`: the request is among those for numbers of the block. `added_at_address_ms`: when it was added to
    those of the address; 0: it was not. `decision`: what the rules found.
    """

    request: GuardRequest
    figures: GuardFigures
    added_in_block: bool
    added_at_address_ms: int
    decision: GuardDecision | None = None


class KnownMember(NamedTuple):
    """Where a known number is remembered: which of the country's sets, and as which number in it."""

    shard: int
    member: int


def known_member(keyed_hash: str) -> KnownMember:
    """Return where a recipient is remembered, from its keyed hash (base64url); 43 bits distinguish recipients."""
    bits = 0
    for character in keyed_hash[:8]:
        bits = bits << 6 | _DIGITS.index(character)
    return KnownMember((bits >> _MEMBER_BITS) % KNOWN_SHARDS, bits & (1 << _MEMBER_BITS) - 1)


_DIGITS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def country_levels(subject: GuardSubject) -> tuple[str, str, str, str]:
    """Return the levels of a request in the scope of its country: country, tenant, area and block."""
    return ("c", f"t|{subject.tenant}", f"a|{subject.area}", f"b|{subject.block}")


def everywhere_levels(*, is_quiet: bool) -> tuple[str, ...]:
    """Return the levels of a request in the scope of all countries."""
    return ("c", "q") if is_quiet else ("c",)


def is_quiet(country: LevelCounts, policy: GuardPolicy) -> bool:
    """Return whether a country had few verified messages in the past."""
    return country.past.verified < policy.quiet_verified


def mark_of(counted: GuardCounted | None) -> str:
    """Return what a record keeps of how a message was counted; "" for one that was not, is not sent, or relayed.

    It is `k` (known) or `n`, `q` (a quiet country) or `-`, and the keyed hash of the address.
    """
    if counted is None or counted.request.subject.decoy or counted.request.subject.relayed:
        return ""
    figures = counted.figures
    kind, quiet = "k" if figures.country.is_known else "n", "q" if figures.is_quiet else "-"
    return f"{kind}{quiet}{counted.request.subject.address}"


class QuietCountries:
    """Which countries had few verifications when this process last read their counts; all others are quiet."""

    def __init__(self) -> None:
        self._busy: set[str] = set()

    def __contains__(self, country: str) -> bool:
        return country not in self._busy

    def learn(self, country: str, counts: ScopeCounts, policy: GuardPolicy) -> None:
        """Remember what the counts of a country say."""
        if is_quiet(counts.levels["c"], policy):
            self._busy.discard(country)
        else:
            self._busy.add(country)
