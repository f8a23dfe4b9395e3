"""One-time codes: uniform, from the operating system's generator, and strings, so that a leading zero is a digit."""

from __future__ import annotations

import secrets
import unicodedata

__all__ = ["CODE_LENGTHS", "new_code", "read_code"]

CODE_LENGTHS = range(4, 11)
_IGNORED = frozenset(" -\u00a0\u2010\u2011\u2012\u2013\u2014\u2212\u202f")


def new_code(length: int) -> str:
    """Make a code of `length` digits; every one of the 10^length is as likely as the others."""
    return f"{secrets.randbelow(10**length):0{length}d}"


def read_code(typed: str) -> str | None:
    """Read what a person typed: 4-10 digits of any script, spaces and dashes dropped; None for anything else."""
    digits = []
    for character in typed:
        if character in _IGNORED:
            continue
        digit = unicodedata.decimal(character, None)
        if digit is None:
            return None
        digits.append(str(digit))
    return "".join(digits) if len(digits) in CODE_LENGTHS else None
