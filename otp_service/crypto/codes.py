"""One-time codes: uniform, from the operating system's generator, and strings, so that a leading zero is a digit."""

from __future__ import annotations

import secrets

from otp_service.domain.typed_text import LINE_END, normalize_typed

__all__ = ["CODE_LENGTHS", "MAX_TYPED", "new_code", "read_code"]

CODE_LENGTHS = range(4, 11)
MAX_TYPED = 64
"""Characters of the longest text that is looked at: ten digits with marks and spaces between them."""

_IGNORED = str.maketrans("", "", f" -{LINE_END}")


def new_code(length: int) -> str:
    """Make a code of `length` digits; every one of the 10^length is as likely as the others."""
    return f"{secrets.randbelow(10**length):0{length}d}"


def read_code(typed: str) -> str | None:
    """Read what a person typed: 4-10 digits of any script; None for anything else.

    White space, dashes and invisible characters are dropped, as in a phone number.
    """
    if len(typed) > MAX_TYPED:
        return None
    digits = normalize_typed(typed).translate(_IGNORED)
    return digits if len(digits) in CODE_LENGTHS and digits.isascii() and digits.isdecimal() else None
