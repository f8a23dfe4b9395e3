"""What gateways write, read without trust: JSON that may be none, numbers as text, answers that are not theirs."""

from __future__ import annotations

import codecs
import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.domain.phone import PhoneInvalid, parse
from otp_service.providers.http_client import GatewayResponse

__all__ = [
    "LONGEST_ID",
    "LONGEST_REMARK",
    "foreign_answer",
    "integer",
    "is_page",
    "json_object",
    "json_value",
    "names_destination",
    "number_of",
    "seconds_to_wait",
    "text_of_body",
    "without_echo",
]

LONGEST_ID: Final = 64
"""Characters of a gateway's id that are kept."""

LONGEST_NUMBER: Final = 32
"""Digits of a number that comes as text; longer ones are none."""

FEWEST_OWN_DIGITS: Final = 7
"""The last digits of our number, so many at least, are our number: a spelling without its country code."""

LONGEST_REMARK: Final = 1000
"""Characters of a refusal's words that are looked at."""

_DESTINATION: Final = re.compile(
    r"countr(y|ies)|\bregions?\b|destination|\bcoverage\b|\binternational\b|routable|\bno[ _-](route|channel|supplier)"
    r"|国家|地区|国际",
    re.IGNORECASE,
)
_NUMBER: Final = re.compile(
    r"number|phone|mobile|msisdn|recipient|carrier|operator|network|prefix|\barea\b|手机|号码|号段|运营商",
    re.IGNORECASE,
)
_NOT_SERVED: Final = re.compile(
    r"unsupported|\bnot (currently |yet )?(supported|served|covered|enabled|available|allowed|permitted|reachable)\b"
    r"|\b(does|do|can|is|are) ?not (support|serve|reach|cover|send|deliver)|permission|不支持|未开通",
    re.IGNORECASE,
)
"""No gateway documents these words; they are assumed."""

_MASKS: Final = frozenset("*xX#•…")
"""A number that is not shown in full cannot be told from another one."""

_PAGE: Final = re.compile(r"<(!doctype\s{1,20}html|html|head|body)\b", re.IGNORECASE)

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


def text_of_body(body: bytes) -> str:
    """Read a body that is no JSON as text, dressed as `json_value` bears it; at most 1,000 characters."""
    head = body[: 4 * LONGEST_REMARK].strip(_AROUND_BYTES[:-1])
    if _is_utf_16(head):
        marked = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = head.decode("utf-16" if marked else "utf-16-be" if head[0] == 0 else "utf-16-le", "ignore")
    else:
        text = head.decode("utf-8", "ignore")
    return text.strip(_AROUND)[:LONGEST_REMARK]


def is_page(text: str) -> bool:
    """Say whether a text is an HTML page: a web server's or a proxy's, not the gateway's own word."""
    return text.startswith("<") and _PAGE.search(text) is not None


def names_destination(words: str) -> bool:
    """Say whether a refusal's words (bounded) are about a country, a network or a number that is not served.

    Such a refusal is no verdict about the recipient: another gateway may reach the number.
    """
    return bool(_DESTINATION.search(words) or (_NUMBER.search(words) and _NOT_SERVED.search(words)))


def without_echo(words: str, text: str) -> str:
    """Leave the message's own text out of a refusal's words: a brand may be "Credit Union"."""
    for echo in (text, msgspec.json.encode(text).decode()[1:-1]):
        words = words.replace(echo, " ") if echo else words
    return words


def _texts(body: bytes | str) -> Iterator[bytes | str]:
    """Give the ways to read a body, without what is around the JSON in it."""
    if isinstance(body, str):
        yield body.strip(_AROUND)
        return
    yield body.removeprefix(codecs.BOM_UTF8).strip(_AROUND_BYTES).removeprefix(codecs.BOM_UTF8)
    if _is_utf_16(body):
        encodings: tuple[str, ...] = ("utf-16", "utf-16-le", "utf-16-be")
    else:
        encodings = ("latin-1",)
    for encoding in encodings:
        with contextlib.suppress(UnicodeDecodeError):
            yield body.decode(encoding).strip(_AROUND)


def _is_utf_16(body: bytes) -> bool:
    return b"\0" in body[:_MARK_BYTES] or body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))


def number_of(echoed: object, e164: str, country: str) -> str | None:
    """Read the number that a gateway names in its answer about `e164`, however it spells it: `62…`, `08…`, `+62 …`.

    `country` reads a national spelling; the last digits of ours are ours without it. None for what is no number that
    can be read: it may be a spelling of ours.
    """
    if isinstance(echoed, bool) or not isinstance(echoed, str | int):
        return None
    text = str(echoed)[:LONGEST_NUMBER].strip()
    digits = "".join(char for char in text if char in "0123456789").lstrip("0")
    if len(digits) >= FEWEST_OWN_DIGITS and e164.endswith(digits) and not set(text) & _MASKS:
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


def foreign_answer(reply: GatewayResponse) -> SendResult:
    """Judge an answer that is not the gateway's own: a proxy's, a login page, a crash.

    Only 401 surely concerns the account. A 403 or 404 may be about this one request: it counts, and trips nothing.
    """
    if reply.status == 401:
        return SendResult(Outcome.CONFIG_ERROR)
    if reply.status in (403, 404):
        return SendResult.undocumented()
    if reply.status == 429:
        return SendResult(Outcome.THROTTLED, retry_after=seconds_to_wait(reply.headers))
    if reply.status == 503 and "retry-after" in reply.headers:  # who says this did not pass the request on
        return SendResult(Outcome.TRANSIENT, retry_after=seconds_to_wait(reply.headers))
    return SendResult(Outcome.AMBIGUOUS)
