"""Lenient reading of what gateways send: JSON with stray bytes or in a wrong encoding, and integers sent as text.

Every function is total: input that cannot be read gives None or an empty value, never an exception.
"""

from __future__ import annotations

import codecs
import contextlib
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

__all__ = [
    "MAX_ERROR_TEXT_CHARS",
    "MAX_INTEGER_CHARS",
    "body_text",
    "id_text",
    "json_object",
    "json_value",
    "parse_amount",
    "parse_integer",
]

MAX_ERROR_TEXT_CHARS: Final = 1000
"""Longest part of an error text that is examined."""

MAX_INTEGER_CHARS: Final = 32
"""An integer that arrives as a longer string is ignored."""

_MAX_AMOUNT_CHARS: Final = 32

_PADDING: Final = " \t\r\n\v\f\0\ufeff\u00a0\u200b\u2028\u2029"
_PADDING_BYTES: Final = b" \t\r\n\v\f\0"
_NUL_SEARCH_BYTES: Final = 4
"""JSON starts with ASCII, so in UTF-16 one of the first four bytes is NUL."""


def json_value(body: bytes | str) -> Any:
    """Decode JSON; return None if the body is not JSON.

    Some gateways add a byte order mark, NUL bytes or white space around the JSON, or declare a charset that they do
    not use. The declared charset is therefore ignored: UTF-8 is tried first, then UTF-16 (recognized by its byte order
    mark or its NUL bytes), then Latin-1.
    """
    for candidate in _decoding_candidates(body):
        try:
            return msgspec.json.decode(candidate)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
    return None


def json_object(body: bytes | str) -> dict[str, Any]:
    """Decode a JSON object as `json_value` does; return an empty one for any other body."""
    decoded = json_value(body)
    return decoded if isinstance(decoded, dict) else {}


def body_text(body: bytes) -> str:
    """Return at most 1,000 characters of a body as text, in UTF-8 or UTF-16, without the padding around it."""
    head = body[: 4 * MAX_ERROR_TEXT_CHARS].strip(_PADDING_BYTES[:-1])
    if _is_utf_16(head):
        has_mark = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = head.decode("utf-16" if has_mark else "utf-16-be" if head[0] == 0 else "utf-16-le", "ignore")
    else:
        text = head.decode("utf-8", "ignore")
    return text.strip(_PADDING)[:MAX_ERROR_TEXT_CHARS]


def parse_integer(value: object) -> int | None:
    """Read an integer that a gateway sends as a JSON number (also `1.0`) or as a string; None for anything else."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and len(value) > MAX_INTEGER_CHARS:
        return None
    try:
        return int(value) if isinstance(value, int | str) and not isinstance(value, bool) else None
    except ValueError:
        return None


def id_text(value: object) -> str:
    """Return an id that a gateway sends as a JSON number (`5` and `5.0` are the same) or as a string."""
    return str(parse_integer(value) if isinstance(value, float) and value.is_integer() else value)


def parse_amount(value: object) -> Decimal | None:
    """Read an amount of money that a gateway sends as a JSON number or as a string; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value)
    if len(text) > _MAX_AMOUNT_CHARS:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def _decoding_candidates(body: bytes | str) -> Iterator[bytes | str]:
    """Yield the body without padding, in each encoding that it may have."""
    if isinstance(body, str):
        yield body.strip(_PADDING)
        return
    yield body.removeprefix(codecs.BOM_UTF8).strip(_PADDING_BYTES).removeprefix(codecs.BOM_UTF8)
    with contextlib.suppress(UnicodeDecodeError):
        yield body.decode().strip(_PADDING)
    if _is_utf_16(body):
        encodings: tuple[str, ...] = ("utf-16", "utf-16-le", "utf-16-be")
    else:
        encodings = ("latin-1",)
    for encoding in encodings:
        with contextlib.suppress(UnicodeDecodeError):
            yield body.decode(encoding).strip(_PADDING)


def _is_utf_16(body: bytes) -> bool:
    return b"\0" in body[:_NUL_SEARCH_BYTES] or body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
