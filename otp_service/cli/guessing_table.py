"""The output of `check-config --security`: what one number of each tenant withstands in a day."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from otp_service.cli.provider_table import align
from otp_service.domain.guessing import MAX_ATTEMPTS_PER_DAY, MAX_CHANCE_PER_DAY, GuessingBound

__all__ = ["format_bounds"]

_HEADER: Final = ("TENANT", "DIGITS", "A DAY", "CHANCE", "WITH LOGINS", "CHANCE", "UNTIL DISABLED", "CHANCE", "")
_EXPLANATION: Final = (
    "The attempts of an attacker at one number that are compared, at most: in a day, in a day in which its owner logs\n"
    "in as often as the limits allow, and in all until the number is disabled; with the chance that one is correct."
)


def format_bounds(bounds: Mapping[str, GuessingBound]) -> str:
    """Align the bounds in columns under a header, and explain them; each is marked that exceeds what it should be."""
    return f"{align([_HEADER, *(_cells(name, bound) for name, bound in bounds.items())])}\n{_EXPLANATION}"


def _cells(name: str, bound: GuessingBound) -> tuple[str, ...]:
    every = (bound.attempts, bound.attempts_with_logins, bound.until_disabled)
    pairs = [text for attempts in every for text in (str(attempts), f"{bound.chance(attempts):.1e}")]
    excess = f"more than {MAX_ATTEMPTS_PER_DAY} attempts or {MAX_CHANCE_PER_DAY:.0e} a day"
    return (name, str(bound.code_length), *pairs, "good" if bound.is_acceptable else excess)
