"""The rules of the guard: pure functions of the policy and the counts, which the simulation calls as well.

Every count includes the request in question, so a rule with the limit N lets N pass and finds the next one. Messages of
the last minutes count as verified in part, because their codes may still be entered: at the usual conversion.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from otp_service.domain.guard import GuardDecision, GuardFinding, GuardPolicy, GuardRule, GuardSubject
from otp_service.domain.guard_counts import (
    BURST_HOURS,
    PAST_DAYS,
    BreakerCounts,
    Counts,
    GuardFigures,
    LevelCounts,
    ScopeCounts,
    country_levels,
)

__all__ = ["GUARD_LIMIT", "BreakerChange", "check", "check_breaker", "usual_conversion"]

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
GUARD_LIMIT: Final = "guard"
"""The name of the limit in the response to a request that the guard denies."""

PRIOR_SENDS: Final = 20
"""The past of a country or a prefix is averaged with this many messages at the usual conversion of the level above."""

LEAST_OF_USUAL: Final = 0.5
"""A prefix that was bad in the past is compared with at least this share of its country's usual conversion."""


class BreakerChange(StrEnum):
    """What happens to a breaker."""

    OPEN = "open"
    CLOSE = "close"


def check(policy: GuardPolicy, subject: GuardSubject, figures: GuardFigures) -> GuardDecision | None:
    """Return what the rules find for a request; None: nothing."""
    if subject.relayed:
        findings = [*_relayed(policy, figures)]
    else:
        findings = [*_numbers(policy, figures), *_conversions(policy, subject, figures)]
        findings += [] if figures.country.is_known else _breakers(policy, figures)
    if not findings:
        return None
    at_ms, known = figures.country.now_ms, figures.country.is_known
    return GuardDecision(at_ms, policy.mode, subject.tenant, subject.country, subject.area, known, tuple(findings))


def _relayed(policy: GuardPolicy, figures: GuardFigures) -> Iterator[GuardFinding]:
    """Find too many different numbers in one block, or an open breaker, for a code of another product.

    Its verification is not known here, so no rule of conversions applies, and none of its numbers leaves the count
    before the window ends. The addresses of its users are counted by the limit `client_ip`.
    """
    window = policy.relayed_sequence
    if figures.country.numbers > window.count:
        counted = {"numbers": figures.country.numbers, "limit": window.count}
        yield GuardFinding(GuardRule.SEQUENCE, "relayed_block", counted, window.seconds * 1000)
    yield from _breakers(policy, figures, only_open=True)


def _breakers(policy: GuardPolicy, figures: GuardFigures, *, only_open: bool = False) -> Iterator[GuardFinding]:
    for level, counts in (("country", figures.country), ("all", figures.everywhere)):
        finding, _ = check_breaker(policy, level, counts)
        if finding and (counts.breaker.until_ms or not only_open):
            yield finding


def usual_conversion(past: Counts, prior: float) -> float:
    """Return the conversion of the past; with few messages it is near to `prior`."""
    return (min(past.verified, past.sent) + PRIOR_SENDS * prior) / (past.sent + PRIOR_SENDS)


def _numbers(policy: GuardPolicy, figures: GuardFigures) -> Iterator[GuardFinding]:
    """Find too many different numbers in one block, or from one address."""
    window = policy.sequence
    if figures.country.numbers > window.count:
        counted = {"numbers": figures.country.numbers, "limit": window.count}
        yield GuardFinding(GuardRule.SEQUENCE, "block", counted, window.seconds * 1000)
    window = policy.address
    if figures.address_numbers > window.count and not figures.country.is_known:
        counted = {"numbers": figures.address_numbers, "limit": window.count}
        yield GuardFinding(GuardRule.ADDRESS, "address", counted, window.seconds * 1000)


@dataclass(frozen=True, slots=True)
class _Check:
    """One comparison of counts with a limit, and with the usual conversion."""

    rule: GuardRule
    level: str
    counts: Counts
    pending: Counts
    usual: float
    limit: float
    wait_ms: int


def _conversions(policy: GuardPolicy, subject: GuardSubject, figures: GuardFigures) -> Iterator[GuardFinding]:
    """Find too many unverified messages to a block, an area, the tenant's country, or all quiet countries."""
    for one in _conversion_checks(policy, subject, figures):
        credit = one.usual * one.pending.unverified
        unverified = one.counts.unverified - credit
        if unverified > one.limit and one.counts.verified < policy.conversion_drop * one.usual * one.counts.sent:
            counted = {
                "sent": one.counts.sent,
                "verified": one.counts.verified,
                "unverified": round(unverified, 1),
                "limit": round(one.limit, 1),
                "usual_conversion": round(one.usual, 3),
            }
            yield GuardFinding(one.rule, one.level, counted, one.wait_ms)


def _conversion_checks(policy: GuardPolicy, subject: GuardSubject, figures: GuardFigures) -> Iterator[_Check]:
    scope = figures.country
    country, tenant, area, block = (scope.levels.get(level, LevelCounts()) for level in country_levels(subject))
    to_hour = HOUR_MS - scope.now_ms % HOUR_MS
    to_day = min(HOUR_MS, DAY_MS - scope.now_ms % DAY_MS)  # the codes of others may be entered before the day ends
    usual = usual_conversion(country.past, policy.usual_conversion)
    if block.today.sent > 1:  # the first request of a day is let through, so that no block is locked permanently
        own, week = _own_usual(block, usual), block.today.plus(block.past)
        yield _Check(GuardRule.UNVERIFIED, "block", week, block.pending, own, policy.unverified_block, to_day)
    if scope.is_known:
        return  # what may be an outage of a gateway does not stop them
    own = _own_usual(area, usual)
    limit = _scaled(policy, policy.unverified_area, area.past, own, policy.window_hours)
    yield _Check(GuardRule.UNVERIFIED, "area", area.window, area.pending, own, limit, to_hour)
    limit = _scaled(policy, policy.burst, tenant.past, usual, BURST_HOURS)
    yield _Check(GuardRule.BURST, "tenant", tenant.burst, tenant.pending, usual, limit, to_hour)
    if figures.is_quiet:
        quiet = figures.everywhere.levels.get("q", LevelCounts())
        usual = policy.usual_conversion
        yield _Check(GuardRule.BURST, "quiet_countries", quiet.burst, quiet.pending, usual, policy.quiet_burst, to_hour)


def _scaled(policy: GuardPolicy, least: int, past: Counts, usual: float, hours: int) -> float:
    """Return a limit that is a multiple of the usual number of unverified messages in some hours, at least `least`.

    It grows with verified messages only, so that attacks of the past do not raise it.
    """
    unverified = min(past.unverified, past.verified * (1 - usual) / usual)
    return max(least, policy.burst_factor * unverified * hours / (24 * PAST_DAYS))


def _own_usual(level: LevelCounts, country: float) -> float:
    return max(LEAST_OF_USUAL * country, usual_conversion(level.past, country))


def check_breaker(
    policy: GuardPolicy, level: str, scope: ScopeCounts
) -> tuple[GuardFinding | None, BreakerChange | None]:
    """Return what a scope's breaker finds for a request to a number that is not known, and how the breaker changes.

    An open breaker finds every request that is not a probe. It closes when enough probes are verified, or at the end of
    its time; if the probes were not verified, it opens again.
    """
    rules, counts, now_ms = policy.breaker, scope.breaker, scope.now_ms
    if not rules.conversion:
        return None, None
    tested = counts.probes.sent >= rules.probes
    converts = counts.probes.verified >= rules.conversion * counts.probes.sent
    if counts.until_ms > now_ms:
        if tested and converts:
            return None, BreakerChange.CLOSE
        wait_ms = max(1, min(counts.until_ms, counts.next_probe_ms) - now_ms)
        return (None if counts.is_probe else _breaker_finding(policy, level, counts.probes, wait_ms)), None
    if counts.until_ms:
        if not tested or converts:
            return None, BreakerChange.CLOSE
        return _breaker_finding(policy, level, counts.probes, rules.probe_seconds * 1000), BreakerChange.OPEN
    if not _is_too_low(policy, counts, scope.levels.get("c", LevelCounts()).pending):
        return None, None
    found = _breaker_finding(policy, level, Counts(counts.sent, counts.verified), rules.probe_seconds * 1000)
    return found, BreakerChange.OPEN


def _is_too_low(policy: GuardPolicy, counts: BreakerCounts, pending: Counts) -> bool:
    """Return whether a closed breaker opens: pending messages do not count."""
    settled = counts.sent - min(pending.unverified, counts.sent)
    return settled > policy.breaker.sends and counts.verified < policy.breaker.conversion * settled


def _breaker_finding(policy: GuardPolicy, level: str, counts: Counts, wait_ms: int) -> GuardFinding:
    counted = {"sent": counts.sent, "verified": counts.verified, "floor": policy.breaker.conversion}
    return GuardFinding(GuardRule.BREAKER, level, counted, wait_ms)
