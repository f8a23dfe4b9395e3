"""The guard against SMS pumping (artificially inflated traffic): its policy, what it counts, and its decisions.

An attacker of this kind makes the service send messages to numbers that earn money for somebody; nobody enters the
codes. So the guard looks for messages without verifications. It counts by country, tenant, area (the leading digits of
a number) and block (the number less its last four digits), and keeps numbers that have verified a code before (`known`)
apart from others: an attack on new numbers neither hides among the codes of known users nor locks them out.

The counts are in `domain.guard_counts`, the rules in `domain.guard_rules`, both without I/O and clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from otp_service.domain.limits import Window

__all__ = [
    "BreakerPolicy",
    "GuardDecision",
    "GuardFinding",
    "GuardMode",
    "GuardPolicy",
    "GuardRequest",
    "GuardRule",
    "GuardStore",
    "GuardSubject",
    "GuardVerified",
    "RecordedDecision",
]


DEFAULT_NUMBERS: Final = Window(10, 3600)

DEFAULT_RELAYED_NUMBERS: Final = Window(30, 3600)
"""Of 10,000 people an hour with numbers of 1,000 blocks, more than 30 are in one block once in 12,500 hours.

That is the Poisson distribution with a mean of 10.
"""


class GuardMode(StrEnum):
    """Whether the guard counts and records (`observe`), and whether it also denies (`deny`)."""

    OFF = "off"
    OBSERVE = "observe"
    DENY = "deny"


class GuardRule(StrEnum):
    """The rules, as they are named in decisions, metrics and logs."""

    UNVERIFIED = "unverified"
    BURST = "burst"
    SEQUENCE = "sequence"
    ADDRESS = "address"
    BREAKER = "breaker"


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """The breaker of a country, and that of all countries together.

    Tenants that only observe share breakers of their own: their messages must not stop those of others.

    Attributes:
        sends: It opens only after this many messages within `window_seconds`.
        conversion: It opens when a smaller share of them was verified; 0: there is no breaker.
        window_seconds: How long messages are counted before the count starts again.
        open_seconds: How long it stays open, unless enough probes are verified before.
        probe_seconds: While it is open, one message is let through in each period of this length.
        probes: After this many probes their conversion decides: it closes, or it stays open for another period.
    """

    sends: int = 100
    conversion: float = 0.15
    window_seconds: int = 21_600
    open_seconds: int = 3_600
    probe_seconds: int = 120
    probes: int = 5


@dataclass(frozen=True, slots=True)
class GuardPolicy:
    """The thresholds of the rules. A rule finds something when its count is above its limit.

    Attributes:
        unverified_block: Unverified messages to one block in today and the seven days before.
        unverified_area: Unverified messages to one area in the last `window_hours`.
        conversion_drop: Unverified messages count only if their conversion is below this share of the usual one.
        usual_conversion: The conversion that is assumed where there are no messages of the past.
        window_hours: How many hours `unverified_area` looks back; the current one counts as one.
        burst: Unverified messages of one tenant to a country in this and the last hour, if it has no past.
        burst_factor: In a country or area with a past: the multiple of its usual number of unverified messages.
        quiet_burst: Unverified messages in this and the last hour to all quiet countries together.
        quiet_verified: A country with fewer verified messages in the seven days before today is quiet.
        sequence: Different numbers of one block without a verified code in a window of at most an hour.
        relayed_sequence: Different numbers of one block to which codes of other products are sent in a window; whether
            they are verified is not known.
        address: Different numbers without a verified code that one client address requests in a window.
        breaker: When all messages of a country stop.
    """

    mode: GuardMode = GuardMode.OFF
    unverified_block: int = 8
    unverified_area: int = 50
    conversion_drop: float = 0.5
    usual_conversion: float = 0.6
    window_hours: int = 6
    burst: int = 20
    burst_factor: float = 6.0
    quiet_burst: int = 40
    quiet_verified: int = 20
    sequence: Window = DEFAULT_NUMBERS
    relayed_sequence: Window = DEFAULT_RELAYED_NUMBERS
    address: Window = DEFAULT_NUMBERS
    breaker: BreakerPolicy = BreakerPolicy()


@dataclass(frozen=True, slots=True)
class GuardSubject:
    """One request for a code to a phone number, as the guard sees it. Everything private is a keyed hash.

    Attributes:
        tenant: The tenant.
        country: The country of the number.
        area: Its leading digits (`domain.conversion.number_prefix`).
        block: The keyed hash of its block.
        recipient: The keyed hash of the number.
        address: The keyed hash of the client's address (IPv6: its /64); "" if it is not known.
        decoy: No message is sent, so none is counted as sent. All rules apply as to any other request.
        relayed: Another product has made the code and verifies it. Only the number counts, apart from others.
    """

    tenant: str
    country: str
    area: str
    block: str
    recipient: str
    address: str = ""
    decoy: bool = False
    relayed: bool = False


@dataclass(frozen=True, slots=True)
class GuardRequest:
    """A request that the guard counts and checks."""

    subject: GuardSubject
    policy: GuardPolicy


@dataclass(frozen=True, slots=True)
class GuardFinding:
    """What one rule found: which counts (`level`: block, area, tenant, ...), with its figures and its limit."""

    rule: GuardRule
    level: str
    figures: Mapping[str, float]
    wait_ms: int


@dataclass(frozen=True, slots=True)
class GuardDecision:
    """What the guard decided on one request. It holds no number; `area` is at most the first five digits of one.

    Attributes:
        at_ms: When it was decided, in ms of the store's clock.
        mode: The mode of the tenant.
        tenant: The tenant.
        country: The country of the number.
        area: The leading digits of the number.
        known: The number has verified a code before.
        findings: What the rules found, at least one.
    """

    at_ms: int
    mode: GuardMode
    tenant: str
    country: str
    area: str
    known: bool
    findings: tuple[GuardFinding, ...] = field(default=())

    @property
    def denies(self) -> bool:
        """Whether the request is denied."""
        return self.mode is GuardMode.DENY

    @property
    def wait_ms(self) -> int:
        """In how many ms, at the earliest, no rule may find anything any more."""
        return max((finding.wait_ms for finding in self.findings), default=0)

    @property
    def rules(self) -> tuple[str, ...]:
        """The names of the rules that found something, each once."""
        return tuple(dict.fromkeys(finding.rule.value for finding in self.findings))


@dataclass(frozen=True, slots=True)
class GuardVerified:
    """The code of a message that the guard has counted was verified.

    `requested_ms` is when the message was requested; the rest is how it was counted then.
    """

    request: GuardRequest
    requested_ms: int
    is_known: bool
    is_quiet: bool


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """Equal decisions of one moment. `decision` is the last of them, `count` how many there were."""

    decision: GuardDecision
    count: int


class GuardStore(Protocol):
    """What the guard keeps for later; the counts of a request are acquired by `Verifications.admit`."""

    async def count_verified(self, verified: Sequence[GuardVerified]) -> None:
        """Count verifications, and remember their numbers as known."""

    async def record(self, decisions: Sequence[RecordedDecision]) -> None:
        """Add decisions to the list that operators read, which keeps the newest 1,000."""
