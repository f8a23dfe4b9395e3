"""One-time codes: uniformly random digits, kept as a string so that leading zeros are digits too."""

from __future__ import annotations

import secrets

from otp_service.domain.typed_text import LINE_END, normalize_typed

__all__ = ["CODE_LENGTHS", "MAX_INPUT_CHARS", "generate_code", "parse_code"]

CODE_LENGTHS = range(4, 11)
MAX_INPUT_CHARS = 64
"""Longer texts are refused unread: ten digits with spaces and invisible characters between them are shorter."""

_IGNORED = str.maketrans("", "", f" -{LINE_END}")


def generate_code(length: int) -> str:
    """Return a code of `length` digits, uniform over all 10^length codes."""
    return f"{secrets.randbelow(10**length):0{length}d}"


def parse_code(typed: str) -> str | None:
    """Return the 4-10 digits of a code that a person typed, in ASCII; None for anything else.

    Digits of any script count. White space, dashes and invisible characters are dropped, as in a phone number.
    """
    if len(typed) > MAX_INPUT_CHARS:
        return None
    digits = normalize_typed(typed).translate(_IGNORED)
    return digits if len(digits) in CODE_LENGTHS and digits.isascii() and digits.isdecimal() else None
