"""The rules of the guard at their limits: N pass, and the next one is found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from otp_service.domain.guard import BreakerPolicy, GuardFinding, GuardMode, GuardPolicy, GuardRule, GuardSubject
from otp_service.domain.guard_counts import (
    BreakerCounts,
    Counts,
    GuardFigures,
    LevelCounts,
    ScopeCounts,
    country_levels,
    known_member,
)
from otp_service.domain.guard_rules import BreakerChange, check, check_breaker, usual_conversion

POLICY = GuardPolicy(mode=GuardMode.DENY)
SUBJECT = GuardSubject("acme", "ID", "+62812", "block", "number", "address")
COUNTRY, TENANT, AREA, BLOCK = country_levels(SUBJECT)
NOW = 1_800_000_000_000
GOOD_PAST = Counts(1000, 800)


def figures(*, numbers: int = 1, known: bool = False, quiet: bool = False, **more: Any) -> GuardFigures:
    """Return figures with some levels of the country (`levels`) and of all countries (`quiet_counts`)."""
    country = ScopeCounts(NOW, more.get("levels", {}), more.get("breaker", BreakerCounts()), numbers, known)
    everywhere = ScopeCounts(NOW, {"q": more.get("quiet_counts", LevelCounts())}, BreakerCounts())
    return GuardFigures(country, everywhere, more.get("address_numbers", 0), quiet)


def found(counts: GuardFigures, policy: GuardPolicy = POLICY, subject: GuardSubject = SUBJECT) -> list[tuple[str, str]]:
    """Return the rules and levels that find something."""
    decision = check(policy, subject, counts)
    return [(finding.rule.value, finding.level) for finding in decision.findings] if decision else []


@pytest.mark.parametrize(("more", "expected"), [(0, []), (1, [("sequence", "block")])])
def test_numbers_of_a_block_at_the_limit(more: int, expected: list[tuple[str, str]]) -> None:
    """The eleventh number of a block in the window is found, the tenth is not."""
    assert found(figures(numbers=POLICY.sequence.count + more)) == expected


@pytest.mark.parametrize(("more", "expected"), [(0, []), (1, [("address", "address")])])
def test_numbers_of_an_address_at_the_limit(more: int, expected: list[tuple[str, str]]) -> None:
    """The eleventh number of one address without a verified code is found, unless the number is known."""
    numbers = POLICY.address.count + more

    assert found(figures(address_numbers=numbers)) == expected
    assert found(figures(address_numbers=numbers, known=True)) == []


@pytest.mark.parametrize(("more", "expected"), [(0, []), (1, [("unverified", "block")])])
def test_unverified_messages_to_a_block_at_the_limit(more: int, expected: list[tuple[str, str]]) -> None:
    """Today and the past count together; one unverified message more than allowed is found."""
    past = Counts(POLICY.unverified_block - 3)
    levels = {BLOCK: LevelCounts(today=Counts(3 + more), past=past)}

    assert found(figures(levels=levels)) == expected


def test_the_first_request_of_a_day_in_a_block_passes() -> None:
    """However bad its past is, a block gets one message a day, so that it can be used again."""
    past = Counts(1000)

    assert found(figures(levels={BLOCK: LevelCounts(today=Counts(1), past=past)})) == []
    assert found(figures(levels={BLOCK: LevelCounts(today=Counts(2), past=past)})) == [("unverified", "block")]


def test_a_denied_block_is_retried_within_the_hour() -> None:
    """The counts of a block change by the day, but verifications may end a denial before: callers wait an hour."""
    levels = {BLOCK: LevelCounts(today=Counts(50))}
    at = {
        ms: replace(figures(levels=levels).country, now_ms=ms) for ms in (NOW, NOW + 86_400_000 - NOW % 86_400_000 - 5)
    }
    waits = [check(POLICY, SUBJECT, GuardFigures(country)) for country in at.values()]

    assert [decision.wait_ms for decision in waits if decision] == [3_600_000, 5]


def test_a_block_whose_codes_are_verified_is_not_found() -> None:
    """Many messages are no attack while their conversion is above half of the usual one, here 0.3."""
    bad, good = Counts(100, 29), Counts(100, 31)

    assert found(figures(levels={BLOCK: LevelCounts(today=bad)})) == [("unverified", "block")]
    assert found(figures(levels={BLOCK: LevelCounts(today=good)})) == []


@pytest.mark.parametrize(("more", "expected"), [(0, []), (1, [("unverified", "area")])])
def test_unverified_messages_to_an_area_at_the_limit(more: int, expected: list[tuple[str, str]]) -> None:
    """The messages of the last hours count against the area's own past."""
    levels = {AREA: LevelCounts(window=Counts(POLICY.unverified_area + more), past=GOOD_PAST)}

    assert found(figures(levels=levels)) == expected
    assert found(figures(levels=levels, known=True)) == []


@pytest.mark.parametrize(("more", "expected"), [(0, []), (1, [("unverified", "area")])])
def test_a_busy_area_is_compared_with_its_own_past(more: int, expected: list[tuple[str, str]]) -> None:
    """2,800 unverified messages in seven days are 100 in six hours; six times as many are allowed."""
    past = Counts(14_000, 11_200)
    levels = {AREA: LevelCounts(window=Counts(600 + more), past=past)}

    assert found(figures(levels=levels)) == expected


def test_an_area_with_a_bad_past_is_compared_with_the_country() -> None:
    """An attack of many days does not become usual: half of the country's conversion is the least that is usual."""
    ever_bad = LevelCounts(window=Counts(200, 20), past=Counts(10_000, 100))
    levels = {AREA: ever_bad, COUNTRY: LevelCounts(past=GOOD_PAST)}

    assert found(figures(levels=levels)) == [("unverified", "area")]


@pytest.mark.parametrize(("more", "expected"), [(0, []), (1, [("burst", "tenant")])])
def test_a_burst_in_a_new_country_at_the_limit(more: int, expected: list[tuple[str, str]]) -> None:
    """Without a past, the twenty-first unverified message of two hours is found; to known numbers, none is."""
    levels = {TENANT: LevelCounts(burst=Counts(POLICY.burst + more))}

    assert found(figures(levels=levels)) == expected
    assert found(figures(levels=levels, known=True)) == []


@pytest.mark.parametrize(("more", "expected"), [(0, []), (1, [("burst", "tenant")])])
def test_a_burst_in_a_busy_country_is_a_multiple_of_its_past(more: int, expected: list[tuple[str, str]]) -> None:
    """840 unverified messages in seven days are ten in two hours; six times as many are allowed."""
    past = Counts(4200, 3360)
    levels = {TENANT: LevelCounts(burst=Counts(60 + more), past=past), COUNTRY: LevelCounts(past=past)}

    assert found(figures(levels=levels)) == expected


def test_codes_that_may_still_be_entered_count_in_part() -> None:
    """At a usual conversion of 0.6, fifty messages of the last minutes are as many as twenty unverified ones."""

    def burst_of(sent: int) -> GuardFigures:
        return figures(levels={TENANT: LevelCounts(pending=Counts(sent), burst=Counts(sent))})

    assert found(burst_of(50)) == []
    assert found(burst_of(51)) == [("burst", "tenant")]


@pytest.mark.parametrize(("more", "expected"), [(0, []), (1, [("burst", "quiet_countries")])])
def test_a_burst_over_all_quiet_countries(more: int, expected: list[tuple[str, str]]) -> None:
    """A few messages to each of many quiet countries are found together; requests to other countries are not."""
    counts = LevelCounts(burst=Counts(POLICY.quiet_burst + more))

    assert found(figures(quiet=True, quiet_counts=counts)) == expected
    assert found(figures(quiet=False, quiet_counts=counts)) == []
    assert found(figures(quiet=True, known=True, quiet_counts=counts)) == []


def breaker(**counts: Any) -> tuple[GuardFinding | None, BreakerChange | None]:
    """Check a breaker with these counts."""
    return check_breaker(POLICY, "country", ScopeCounts(NOW, {}, BreakerCounts(**counts)))


def test_a_breaker_opens_below_the_conversion_after_enough_messages() -> None:
    """It opens at 101 messages of which less than 15 % were verified, not before."""
    assert breaker(sent=100) == (None, None)
    finding, change = breaker(sent=101, verified=15)
    assert finding is not None
    assert (finding.rule, change) == (GuardRule.BREAKER, BreakerChange.OPEN)
    assert breaker(sent=101, verified=16) == (None, None)


def test_a_breaker_waits_for_pending_messages() -> None:
    """Messages of the last minutes are not held against the conversion."""
    levels = {"c": LevelCounts(pending=Counts(50, 10))}
    _, change = check_breaker(POLICY, "country", ScopeCounts(NOW, levels, BreakerCounts(sent=140)))

    assert change is None
    _, change = check_breaker(POLICY, "country", ScopeCounts(NOW, levels, BreakerCounts(sent=141)))
    assert change is BreakerChange.OPEN


def test_an_open_breaker_lets_probes_through_only() -> None:
    """A probe passes; others wait for the next probe, or for the end."""
    until, next_probe = NOW + 60_000, NOW + 5_000
    finding, change = breaker(until_ms=until, next_probe_ms=next_probe)

    assert finding is not None
    assert (finding.wait_ms, change) == (5_000, None)
    assert breaker(until_ms=until, next_probe_ms=next_probe, is_probe=True) == (None, None)


def test_probes_close_a_breaker_or_keep_it_open() -> None:
    """Five probes of which one was verified close it at once; without one it opens again at the end of its time."""
    assert breaker(until_ms=NOW + 1, probes=Counts(5, 1)) == (None, BreakerChange.CLOSE)
    assert breaker(until_ms=NOW, probes=Counts(5, 1)) == (None, BreakerChange.CLOSE)
    assert breaker(until_ms=NOW, probes=Counts(4, 0)) == (None, BreakerChange.CLOSE)
    finding, change = breaker(until_ms=NOW, probes=Counts(5, 0))
    assert (finding is not None, change) == (True, BreakerChange.OPEN)


def test_a_breaker_without_a_floor_never_opens() -> None:
    """`conversion` 0 turns it off, also one that is open."""
    policy = replace(POLICY, breaker=BreakerPolicy(conversion=0.0))

    assert check_breaker(policy, "all", ScopeCounts(NOW, {}, BreakerCounts(sent=10_000))) == (None, None)
    assert check_breaker(policy, "all", ScopeCounts(NOW, {}, BreakerCounts(until_ms=NOW + 1))) == (None, None)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (figures(numbers=POLICY.relayed_sequence.count), []),
        (figures(numbers=POLICY.relayed_sequence.count + 1), [("sequence", "relayed_block")]),
        (figures(address_numbers=1000), []),
        (figures(levels={BLOCK: LevelCounts(today=Counts(1000)), AREA: LevelCounts(window=Counts(1000))}), []),
        (figures(breaker=BreakerCounts(sent=1000)), []),
        (figures(breaker=BreakerCounts(until_ms=NOW + 1000, next_probe_ms=NOW)), [("breaker", "country")]),
    ],
)
def test_a_relayed_code_is_stopped_only_by_what_needs_no_verification(
    counts: GuardFigures, expected: list[tuple[str, str]]
) -> None:
    """Numbers of its block and an open breaker: neither conversions nor a breaker that a code of ours would open."""
    assert found(counts, subject=replace(SUBJECT, relayed=True)) == expected


def test_an_open_breaker_does_not_stop_known_numbers() -> None:
    """People who have verified a code before get theirs."""
    is_open = BreakerCounts(until_ms=NOW + 1000, next_probe_ms=NOW + 500)

    assert found(figures(breaker=is_open)) == [("breaker", "country")]
    assert found(figures(breaker=is_open, known=True)) == []


def test_a_decision_names_every_rule_with_its_figures() -> None:
    """All findings are there, and the wait is the longest."""
    levels = {BLOCK: LevelCounts(today=Counts(9)), TENANT: LevelCounts(burst=Counts(21))}
    decision = check(POLICY, SUBJECT, figures(numbers=11, levels=levels))

    assert decision is not None
    assert decision.rules == ("sequence", "unverified", "burst")
    assert decision.findings[1].figures == {
        "sent": 9,
        "verified": 0,
        "unverified": 9,
        "limit": 8,
        "usual_conversion": 0.6,
    }
    assert decision.wait_ms == max(finding.wait_ms for finding in decision.findings)


def test_usual_conversion_grows_certain_with_its_past() -> None:
    """Few messages leave it near the assumed one."""
    assert usual_conversion(Counts(), 0.6) == 0.6
    assert usual_conversion(Counts(20, 0), 0.6) == pytest.approx(0.3)
    assert usual_conversion(Counts(1000, 800), 0.6) == pytest.approx(0.796, abs=0.001)


def test_known_members_are_spread() -> None:
    """A keyed hash names one of 4096 sets and one of 2^31 numbers in it."""
    assert known_member("AAAAAAAAAAAAAAAAAAAAAA") == (0, 0)
    assert known_member("________AAAAAAAAAAAAAA") == (4095, 2**31 - 1)
    assert known_member("-_AB-_cdXYZ") == (2016, 33290013)
