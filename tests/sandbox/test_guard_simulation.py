"""The simulation of attacks over honest traffic: its figures by seed, and what attackers who adapt achieve."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest

from otp_service.domain.guard import GuardMode, GuardPolicy, GuardRule
from otp_service.sandbox.guard_simulation import START_MS, Replay, replay, score, simulate
from otp_service.sandbox.synthetic_traffic import ATTACKS, DAY_MS, HONEST, HOUR_MS, Request, honest_requests

DENY = GuardPolicy(mode=GuardMode.DENY)
ATTACKED_MS = START_MS + 7 * DAY_MS
SMALL_WEEK = 3_000


@pytest.fixture(scope="module")
def honest() -> list[Request]:
    """Return an honest week as the past, and a day beside which attacks are replayed."""
    return list(honest_requests(START_MS, 8, SMALL_WEEK, seed=5))


def attacked(honest: list[Request], attack: Iterator[Request], policy: GuardPolicy = DENY) -> Replay:
    """Replay an attack beside honest traffic."""
    return replay(policy, sorted([*honest, *attack]), ATTACKED_MS)


def stopped_share(result: Replay, source: str = "attack") -> float:
    """Return which share of the messages of a source was stopped."""
    return result.stopped[source] / result.requested[source]


def test_the_week_of_all_attacks() -> None:
    """With the default thresholds, at least 92 % of the attack is stopped, and fewer than 40 honest requests.

    Nobody of those who verified a code before is stopped. The attack stops about as many newcomers of a busier week:
    55 of 20,000, which `simulate-traffic` replays in four times the time.
    """
    found = simulate(GuardPolicy(), seed=1, per_week=SMALL_WEEK)
    total = score(found.denied.requested, found.denied.stopped)

    assert total.attack_total == sum(plan.messages for plan in ATTACKS.values())
    assert total.recall >= 0.92
    assert total.honest_stopped < 40
    assert total.honest_total > 2_900
    assert total.precision >= 0.99
    assert found.denied.known_stopped == 0
    assert all(found.observed.found[rule].total() > 0 for rule in GuardRule)
    for kind, least in {"sequential": 0.98, "spread": 0.95, "countries": 0.85, "scattered": 0.9, "drip": 0.8}.items():
        assert score(found.denied.requested, found.denied.stopped, kind).recall >= least


def test_equal_seeds_give_equal_results() -> None:
    """A simulation depends on its seed only."""
    first, again, other = (simulate(GuardPolicy(), seed=seed, days=1, per_week=100) for seed in (3, 3, 4))

    assert first == again
    assert first != other


def test_an_honest_week_alone_is_hardly_stopped(honest: list[Request]) -> None:
    """Without an attack, fewer than one request in a thousand."""
    result = attacked(honest, iter(()))

    assert result.requested[HONEST] > 400
    assert result.stopped[HONEST] <= result.requested[HONEST] // 1000


def in_blocks(count: int, *, hours: float, messages: int, verified: float = 0.0) -> Iterator[Request]:
    """Yield an attack on blocks of one Indonesian prefix, with another address for each message."""
    source = random.Random(9)  # noqa: S311 - the same attack each time
    for number in range(messages):
        at_ms = ATTACKED_MS + int(number * hours * HOUR_MS / messages)
        phone = f"+62812{source.randrange(count):04d}{source.randrange(10_000):04d}"
        entered_ms = at_ms + 15_000 if source.random() < verified else 0
        yield Request(at_ms, "attack", phone, "ID", f"address {number}", entered_ms)


@pytest.mark.parametrize(("blocks", "least"), [(1, 0.95), (10, 0.8), (60, 0.8), (10_000, 0.8)])
def test_numbers_spread_over_blocks(honest: list[Request], blocks: int, least: float) -> None:
    """An attacker who spreads 1,000 messages over more blocks is found by the area and the country instead."""
    assert stopped_share(attacked(honest, in_blocks(blocks, hours=6, messages=1000))) >= least


@pytest.mark.parametrize(("verified", "least"), [(0.1, 0.7), (0.2, 0.6)])
def test_verified_messages_mixed_in(honest: list[Request], verified: float, least: float) -> None:
    """An attacker who enters the codes of one message in five still loses most of the others."""
    result = attacked(honest, in_blocks(20, hours=6, messages=1000, verified=verified))

    assert stopped_share(result) >= least


def test_a_slow_attack_on_few_blocks_ends(honest: list[Request]) -> None:
    """A message every six minutes to three blocks: after eight unverified ones, each gets one a day."""
    result = attacked(honest, in_blocks(3, hours=24, messages=240))

    assert result.requested["attack"] - result.stopped["attack"] <= 3 * 9


def test_an_attack_on_a_busy_prefix_locks_out_no_known_person(honest: list[Request]) -> None:
    """Whatever an attacker requests, those who have verified before get their codes, and others after its end."""
    result = attacked(honest, in_blocks(10_000, hours=6, messages=3000))
    later = [request for request in honest if request.at_ms >= ATTACKED_MS + 14 * HOUR_MS]
    before = replay(DENY, sorted([*honest, *in_blocks(10_000, hours=6, messages=3000)]), ATTACKED_MS + 14 * HOUR_MS)

    assert result.known_stopped == 0
    assert result.stopped[HONEST] <= result.requested[HONEST] * 0.08
    assert before.requested[HONEST] == len(later) > 50
    assert before.stopped[HONEST] == 0


def test_a_launch_in_a_new_country_is_not_stopped() -> None:
    """400 honest newcomers within an hour in a country without a past, of whom four in five enter their code."""
    source = random.Random(2)  # noqa: S311 - the same launch each time
    requests = [
        Request(
            at_ms := ATTACKED_MS + number * 9_000,
            HONEST,
            f"+336{source.randrange(10**8):08d}",
            "FR",
            f"address {number}",
            at_ms + 20_000 if source.random() < 0.8 else 0,
        )
        for number in range(400)
    ]
    assert all(one.at_ms <= other.at_ms for one, other in pairwise(requests))

    assert replay(DENY, requests, ATTACKED_MS).stopped == {}


def test_a_higher_threshold_stops_less(honest: list[Request]) -> None:
    """The replay uses the policy that it is given."""
    loose = replace(DENY, unverified_block=1000, unverified_area=1000, burst=1000, quiet_burst=1000)
    strict, lax = (stopped_share(attacked(honest, in_blocks(60, hours=6, messages=500), one)) for one in (DENY, loose))

    assert strict > lax + 0.3
