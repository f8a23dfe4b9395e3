"""The bound on the attempts at one number: each rule that limits them, and the chance of a correct code."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from otp_service.domain.guessing import GuessingRules, guessing_bound, most_events
from otp_service.domain.limits import Window

RULES = GuessingRules(
    code_length=6,
    max_attempts=5,
    max_failures=100,
    recipient_failures=(Window(20, 86400),),
    recipient=(Window(5, 3600), Window(10, 86400)),
    cooldown_seconds=30,
    max_sends=5,
    ttl_seconds=300,
    purposes=3,
)


def test_the_defaults_are_good() -> None:
    """20 attempts a day at six digits: 2e-5; with logins all attempts of 10 codes and 3 older ones."""
    bound = guessing_bound(RULES)
    assert (bound.attempts, bound.attempts_with_logins, bound.until_disabled) == (20, 65, 100)
    assert bound.chance(bound.attempts) == pytest.approx(2e-5)
    assert bound.is_acceptable


@pytest.mark.parametrize(
    ("changes", "attempts", "with_logins"),
    [
        ({"max_failures": 7}, 7, 65),
        ({"recipient_failures": (Window(3, 3600), Window(40, 86400))}, 40, 65),
        ({"recipient_failures": (Window(3, 3600),)}, 65, 65),  # 72 by the windows, but only 65 by the codes
        ({"recipient": (Window(1, 86400),)}, 10, 10),  # one code, and one that is pending when the day begins
        ({"recipient": (Window(1, 86400),), "max_attempts": 1}, 2, 2),
        ({"recipient": (), "cooldown_seconds": 3600, "purposes": 1, "max_attempts": 1}, 20, 25),
        ({"recipient": (Window(20, 172800),)}, 20, 115),  # a longer window may be used up in one day
    ],
)
def test_the_tightest_rule_holds(changes: dict[str, Any], attempts: int, with_logins: int) -> None:
    """Whichever limit is reached first is the bound."""
    bound = guessing_bound(replace(RULES, **changes))
    assert (bound.attempts, bound.attempts_with_logins) == (attempts, with_logins)


def test_a_chain_limits_the_codes_without_logins() -> None:
    """Without limits of the number, a chain of codes delays the next one until the last has expired."""
    rules = replace(
        RULES,
        recipient=(),
        recipient_failures=(Window(100, 3600),),
        max_sends=1,
        ttl_seconds=600,
        purposes=1,
        max_attempts=1,
    )
    bound = guessing_bound(replace(rules, max_failures=10_000))
    assert bound.attempts == 86400 // 600 + 1 + 1
    assert bound.attempts_with_logins == 86400 // 30 + 1


@pytest.mark.parametrize(("length", "good"), [(4, False), (5, False), (6, True), (10, True)])
def test_short_codes_are_not_good(length: int, good: bool) -> None:
    """20 attempts a day are more than 1e-4 below six digits."""
    assert guessing_bound(replace(RULES, code_length=length)).is_acceptable is good


def test_no_sequence_exceeds_the_bound_of_windows() -> None:
    """Events that sliding windows admit never are more in any span than `most_events` says."""
    draw = random.Random(7)  # noqa: S311 - examples
    for _ in range(300):
        windows = [Window(draw.randint(1, 5), draw.choice([7, 10, 25, 60, 200])) for _ in range(draw.randint(1, 3))]
        span, events = draw.choice([20, 60, 100]), list[int]()
        for now in range(400):
            if all(sum(now - one.seconds < at for at in events) < one.count for one in windows):
                events.append(now)
        densest = max(sum(last - span < at <= last for at in events) for last in events)
        assert densest <= most_events(windows, span, 0)
