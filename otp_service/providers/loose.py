"""What gateways write, read without trust: JSON that may be none, numbers as text, answers that are not theirs."""

from __future__ import annotations

import codecs
import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from otp_service.domain.outcomes import Delivered, Outcome
from otp_service.domain.phone import PhoneInvalid, parse
from otp_service.providers.http import Reply

__all__ = ["LONGEST_ID", "foreign_answer", "integer", "json_object", "json_value", "number_of", "seconds_to_wait"]

LONGEST_ID: Final = 64
"""Characters of a gateway's id that are kept."""

LONGEST_NUMBER: Final = 32
"""Digits of a number that comes as text; longer ones are none."""

_AROUND: Final = " \t\r\n\v\f\0\ufeff\u00a0\u200b\u2028\u2029"
_AROUND_BYTES: Final = b" \t\r\n\v\f\0"
_MARK_BYTES: Final = 4
"""In UTF-16 one of the first two characters of JSON has a NUL byte."""


def json_value(body: bytes | str) -> Any:
    """Read JSON, whatever it is dressed in; None for what is none.

    Gateways put a byte order mark in front, NULs or white space around, and name a charset that is not the one they
    write: UTF-8 is tried first, then UTF-16 (by its mark or its NULs), then Latin-1. The label is not believed at all.
    """
    for text in _texts(body):
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
    return None


def json_object(body: bytes | str) -> dict[str, Any]:
    """Read a JSON object as `json_value` does; anything else is an empty one."""
    decoded = json_value(body)
    return decoded if isinstance(decoded, dict) else {}


def _texts(body: bytes | str) -> Iterator[bytes | str]:
    """Give the ways to read a body, without what is around the JSON in it."""
    if isinstance(body, str):
        yield body.strip(_AROUND)
        return
    yield body.removeprefix(codecs.BOM_UTF8).strip(_AROUND_BYTES).removeprefix(codecs.BOM_UTF8)
    if b"\0" in body[:_MARK_BYTES] or body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings: tuple[str, ...] = ("utf-16", "utf-16-le", "utf-16-be")
    else:
        encodings = ("latin-1",)
    for encoding in encodings:
        with contextlib.suppress(UnicodeDecodeError):
            yield body.decode(encoding).strip(_AROUND)


def number_of(echoed: object, e164: str, country: str) -> str | None:
    """Read the number that a gateway names in its answer about `e164`, however it spells it: `62…`, `08…`, `+62 …`.

    `country` reads a national spelling. None for what is no number that can be read: it may be a spelling of ours.
    """
    if isinstance(echoed, bool) or not isinstance(echoed, str | int):
        return None
    text = str(echoed)[:LONGEST_NUMBER].strip()
    if text.lstrip("+") == e164.lstrip("+"):
        return e164
    for spelling in (text, f"+{text}"):
        with contextlib.suppress(PhoneInvalid):
            return parse(spelling, country).e164
    return None


def integer(value: object) -> int | None:
    """Read a number that comes as a number or as a string."""
    if isinstance(value, str) and len(value) > LONGEST_NUMBER:
        return None
    try:
        return int(value) if isinstance(value, int | str) and not isinstance(value, bool) else None
    except ValueError:
        return None


def seconds_to_wait(headers: Mapping[str, str]) -> float | None:
    """Read `Retry-After` where it is a number of seconds; a date is not worth a parser here."""
    seconds = integer(headers.get("retry-after"))
    return float(seconds) if seconds is not None and seconds >= 0 else None


def foreign_answer(reply: Reply) -> Delivered:
    """Judge an answer that is not the gateway's own: a proxy's, a login page, a crash.

    Only 401 surely concerns the account. A 403 or 404 may be about this one request: it counts, and trips nothing.
    """
    if reply.status == 401:
        return Delivered(Outcome.CONFIG_ERROR)
    if reply.status in (403, 404):
        return Delivered.undocumented()
    if reply.status == 429:
        return Delivered(Outcome.THROTTLED, retry_after=seconds_to_wait(reply.headers))
    if reply.status == 503 and "retry-after" in reply.headers:  # who says this did not pass the request on
        return Delivered(Outcome.TRANSIENT, retry_after=seconds_to_wait(reply.headers))
    return Delivered(Outcome.AMBIGUOUS)
