"""Tables of text with columns of equal width, and those of `check-config`.

`--texts`: every text of the tenants at its longest, with its size. `--security`: how many attempts at one number of
each tenant are compared in a day, at most.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from otp_service.domain.guessing import MAX_ATTEMPTS_PER_DAY, MAX_CHANCE_PER_DAY, GuessingBound
from otp_service.settings.sms_texts import SmsText

__all__ = ["align", "format_bounds", "format_texts"]

_NONE: Final = "-"
_HEADER: Final = ("TENANT", "LOCALE", "PURPOSE", "APP", "CHARACTERS", "ENCODING", "SEGMENTS", "TEXT")
_BOUNDS_HEADER: Final = ("TENANT", "DIGITS", "A DAY", "CHANCE", "WITH LOGINS", "CHANCE", "UNTIL DISABLED", "CHANCE", "")
_BOUNDS_EXPLANATION: Final = (
    "The attempts of an attacker at one number that are compared, at most: in a day, in a day in which its owner logs\n"
    "in as often as the limits allow, and in total until the number is disabled; with the chance that one is correct."
)


def align(lines: Sequence[Sequence[str]]) -> str:
    """Return lines of cells as a table with columns of equal width."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def format_bounds(bounds: Mapping[str, GuessingBound]) -> str:
    """Align the bounds in columns under a header, and explain them; those above the recommended maximum are marked."""
    rows = (_bound_cells(name, bound) for name, bound in bounds.items())
    return f"{align([_BOUNDS_HEADER, *rows])}\n{_BOUNDS_EXPLANATION}"


def format_texts(texts: Iterable[tuple[str, SmsText]]) -> str:
    """Align the texts, each with the name of its tenant, in columns under a header.

    A character counts as the network counts it: one of GSM-7's extension as two, one beyond the BMP as two.
    """
    return align([_HEADER, *(_cells(tenant, text) for tenant, text in texts)])


def _cells(tenant: str, text: SmsText) -> tuple[str, ...]:
    size = text.size
    return (
        tenant,
        text.locale,
        text.purpose,
        f"{text.app} (too long)" if text.misses_line else text.app or _NONE,
        str(size.units),
        size.encoding.value,
        str(size.segments),
        text.text.replace("\n", " / "),
    )


def _bound_cells(name: str, bound: GuessingBound) -> tuple[str, ...]:
    every = (bound.attempts, bound.attempts_with_logins, bound.until_disabled)
    pairs = [text for attempts in every for text in (str(attempts), f"{bound.chance(attempts):.1e}")]
    excess = f"more than {MAX_ATTEMPTS_PER_DAY} attempts or {MAX_CHANCE_PER_DAY:.0e} a day"
    return (name, str(bound.code_length), *pairs, "good" if bound.is_acceptable else excess)
