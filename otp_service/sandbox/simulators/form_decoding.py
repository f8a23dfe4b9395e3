"""What the simulators share when they decode a form or a query strictly: the decoder, and how they refuse a request."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

__all__ = ["FORM", "InvalidRequest", "decode_form", "decode_pair_list", "decode_pairs"]

FORM: Final = "application/x-www-form-urlencoded"

_ENCODED: Final = re.compile(r"(?:[A-Za-z0-9&=._~+*-]|%[0-9A-F]{2})*")


class InvalidRequest(Exception):
    """The request does not follow the document; the text is the reason."""


def decode_form(encoded: str) -> dict[str, str]:
    """Decode a form, in which a space is + or %20; raises `InvalidRequest`."""
    return _as_fields(decode_pair_list(encoded))


def decode_pair_list(encoded: str) -> list[tuple[str, str]]:
    """Decode a form in which a name may be given several times; raises `InvalidRequest`."""
    if not _ENCODED.fullmatch(encoded):
        raise InvalidRequest("Percent-encode everything but letters, digits and -._~* in a form.")
    return _decoded(encoded.replace("+", " "))


def decode_pairs(encoded: str) -> dict[str, str]:
    """Decode `name=value` pairs; raises `InvalidRequest` if a name is given twice or a value is not UTF-8."""
    return _as_fields(_decoded(encoded))


def _as_fields(pairs: list[tuple[str, str]]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name in fields:
            raise InvalidRequest(f"{name} is given twice.")
        fields[name] = value
    return fields


def _decoded(encoded: str) -> list[tuple[str, str]]:
    pairs = []
    for name, _, value in (pair.partition("=") for pair in encoded.split("&")):
        try:
            pairs.append((name, unquote_to_bytes(value).decode()))
        except UnicodeDecodeError:
            raise InvalidRequest(f"{name} is not valid UTF-8.") from None
    return pairs
