"""Replays synthetic traffic through the rules of the guard with a virtual clock, and sums up what they stopped.

A week of honest traffic alone comes first, so that the guard has a past. Then honest traffic and attacks are replayed
twice: in the mode `observe`, which shows what each rule would have found while everything was sent, and in `deny`.
"""

from __future__ import annotations

import hashlib
import heapq
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

from otp_service.domain.conversion import number_prefix
from otp_service.domain.guard import GuardMode, GuardPolicy, GuardRule, GuardSubject
from otp_service.domain.guard_counts import GuardCounted
from otp_service.domain.guard_rules import check
from otp_service.sandbox.guard_counts_in_memory import GuardCountsInMemory
from otp_service.sandbox.synthetic_traffic import ATTACKS, DAY_MS, HONEST, Request, attack_requests, honest_requests

__all__ = ["Replay", "Score", "Simulation", "simulate"]

START_MS: Final = 1_767_225_600_000
"""Midnight (UTC) of the first simulated day, chosen arbitrarily."""

TENANT: Final = "simulated"
PAST_DAYS: Final = 7


@dataclass(slots=True)
class Replay:
    """What happened to the messages of one replay, by their source: `honest` or the kind of attack.

    `found`: requests that a rule found something in, by rule and source. `stopped`: requests in which any did, and
    `known_stopped` those of them that were honest, from numbers which had verified a code before.
    """

    requested: Counter[str] = field(default_factory=Counter)
    stopped: Counter[str] = field(default_factory=Counter)
    known_stopped: int = 0
    found: dict[GuardRule, Counter[str]] = field(default_factory=lambda: {rule: Counter() for rule in GuardRule})


@dataclass(frozen=True, slots=True)
class Score:
    """How well a rule distinguishes attacks from honest people."""

    attack_stopped: int
    attack_total: int
    honest_stopped: int
    honest_total: int

    @property
    def precision(self) -> float:
        """The share of stopped messages that belonged to an attack."""
        return self.attack_stopped / max(1, self.attack_stopped + self.honest_stopped)

    @property
    def recall(self) -> float:
        """The share of the attack's messages that were stopped."""
        return self.attack_stopped / max(1, self.attack_total)

    @property
    def honest_share(self) -> float:
        """The share of honest messages that were stopped."""
        return self.honest_stopped / max(1, self.honest_total)


def score(requested: Counter[str], stopped: Counter[str], kind: str = "") -> Score:
    """Return the score of what was stopped, for all attacks or one kind."""
    attacks = [source for source in requested if source != HONEST and kind in ("", source)]
    return Score(
        sum(stopped[source] for source in attacks),
        sum(requested[source] for source in attacks),
        stopped[HONEST],
        requested[HONEST],
    )


@dataclass(frozen=True, slots=True)
class Simulation:
    """The two replays of one simulation."""

    observed: Replay
    denied: Replay


def simulate(
    policy: GuardPolicy, *, seed: int, days: int = 7, per_week: int = 20_000, kinds: Collection[str] = tuple(ATTACKS)
) -> Simulation:
    """Simulate `days` days of honest traffic and of attacks of some `kinds`."""
    past_days = PAST_DAYS
    history = list(honest_requests(START_MS, past_days + days, per_week, seed))
    start_ms = START_MS + past_days * DAY_MS
    attacks = [request for kind in kinds for request in attack_requests(kind, start_ms, days, seed)]
    requests = sorted(history + attacks)
    observe, deny = replace(policy, mode=GuardMode.OBSERVE), replace(policy, mode=GuardMode.DENY)
    return Simulation(replay(observe, requests, start_ms), replay(deny, requests, start_ms))


def replay(policy: GuardPolicy, requests: Sequence[Request], count_from_ms: int) -> Replay:
    """Replay `requests`, which are ordered by time; those before `count_from_ms` only make the past."""
    counts, result = GuardCountsInMemory(policy), Replay()
    entered: list[tuple[int, int, GuardCounted]] = []
    for number, request in enumerate(requests):
        while entered and entered[0][0] <= request.at_ms:
            counts.verify(heapq.heappop(entered)[2])
        subject = _subject(request)
        counted = counts.acquire(subject, request.at_ms)
        decision = check(policy, subject, counted.figures)
        counts.change_breakers(counted)
        if request.at_ms >= count_from_ms:
            result.requested[request.source] += 1
            if decision:
                result.stopped[request.source] += 1
                result.known_stopped += request.source == HONEST and decision.known
                for rule in decision.rules:
                    result.found[GuardRule(rule)][request.source] += 1
        if decision and decision.denies:
            counts.release(counted)
        elif request.verified_ms:
            heapq.heappush(entered, (request.verified_ms, number, counted))
    return result


def _subject(request: Request) -> GuardSubject:
    return GuardSubject(
        tenant=TENANT,
        country=request.country,
        area=number_prefix(request.phone),
        block=_hash(request.phone[:-4]),
        recipient=_hash(request.phone),
        address=request.address,
    )


@lru_cache(maxsize=100_000)
def _hash(text: str) -> str:
    """Return a replacement for a keyed hash, in the same form."""
    return urlsafe_b64encode(hashlib.sha256(text.encode()).digest()[:16]).rstrip(b"=").decode()
