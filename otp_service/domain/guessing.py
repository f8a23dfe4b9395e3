"""How many codes an attacker can try for one number in a day, and with what chance, as an upper bound.

The attacker does everything that is allowed at the best moment: requests codes for every purpose, sends wrong ones in
parallel, stops before a wait begins, and goes on at the second at which a limit ends. Every number is a bound for any
86,400 seconds in a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from otp_service.domain.limits import Window

__all__ = [
    "MAX_ATTEMPTS_PER_DAY",
    "MAX_CHANCE_PER_DAY",
    "GuessingBound",
    "GuessingRules",
    "guessing_bound",
    "most_events",
]

MAX_ATTEMPTS_PER_DAY: Final = 100
MAX_CHANCE_PER_DAY: Final = 1e-4
"""The recommended maximum for one number: 100 attempts (NIST SP 800-63B-4, 3.2.2) at a code of six digits."""

_DAY_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class GuessingRules:
    """The settings that limit the attempts at one number of a tenant.

    `purposes` is how many the tenant has, `max_failures` how many wrong codes in a row disable a number.
    """

    code_length: int
    max_attempts: int
    max_failures: int
    recipient_failures: tuple[Window, ...]
    recipient: tuple[Window, ...]
    cooldown_seconds: int
    max_sends: int
    ttl_seconds: int
    purposes: int


@dataclass(frozen=True, slots=True)
class GuessingBound:
    """The most attempts at one number that are compared.

    Attributes:
        code_length: Digits of a code.
        attempts: In a day in which the owner does not log in.
        attempts_with_logins: In a day, however often the owner logs in, which clears the wrong codes.
        until_disabled: In all, until the number is disabled, if the owner never logs in.
    """

    code_length: int
    attempts: int
    attempts_with_logins: int
    until_disabled: int

    def chance(self, attempts: int) -> float:
        """Return an upper bound of the probability that one of `attempts` codes is correct."""
        return min(1.0, attempts * 10.0**-self.code_length)

    @property
    def is_acceptable(self) -> bool:
        """Whether a day without a login of the owner is within both recommended maximums."""
        return self.attempts <= MAX_ATTEMPTS_PER_DAY and self.chance(self.attempts) <= MAX_CHANCE_PER_DAY


def guessing_bound(rules: GuessingRules) -> GuessingBound:
    """Return the bound that follows from the rules of a tenant."""
    with_logins, without = (_most_attempts_by_sends(rules, logins=logins) for logins in (True, False))
    by_failures = most_events(rules.recipient_failures, _DAY_SECONDS, without)
    return GuessingBound(
        code_length=rules.code_length,
        attempts=min(by_failures, rules.max_failures, without),
        attempts_with_logins=with_logins,
        until_disabled=rules.max_failures,
    )


def most_events(windows: Sequence[Window], seconds: int, otherwise: int) -> int:
    """Return an upper bound of the events that sliding windows together allow in any `seconds`.

    A time has at most ceil(seconds / window) spans of a window in a row, each with at most `count` events; a window
    that is longer may be used up in one. All windows apply at once, so the smallest bound holds. Without a window it is
    `otherwise`.
    """
    return min((window.count * -(-seconds // window.seconds) for window in windows), default=otherwise)


def _most_attempts_by_sends(rules: GuessingRules, *, logins: bool) -> int:
    """Return how many attempts the codes have that can be requested for a number in a day, for all purposes.

    Codes of one purpose are a cooldown apart. A chain of `max_sends` codes lasts until the last one expires, unless a
    login ends it. Of each purpose a code of the day before may still be pending.
    """
    by_cooldown = -(-_DAY_SECONDS // rules.cooldown_seconds)
    chain_seconds = (rules.max_sends - 1) * rules.cooldown_seconds + rules.ttl_seconds
    by_chains = rules.max_sends * (-(-_DAY_SECONDS // chain_seconds) + 1)  # the day may begin within a chain
    sends = rules.purposes * (by_cooldown if logins else min(by_cooldown, by_chains))
    pending_before = min(rules.purposes, most_events(rules.recipient, rules.ttl_seconds, rules.purposes))
    return (min(sends, most_events(rules.recipient, _DAY_SECONDS, sends)) + pending_before) * rules.max_attempts
