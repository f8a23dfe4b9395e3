"""What the adapters share when they read a gateway's responses and receipts: error texts, ids, numbers."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.domain.phone import PhoneInvalid, parse
from otp_service.providers.http_client import GatewayResponse
from otp_service.providers.lenient_json import parse_integer

__all__ = [
    "MAX_ID_CHARS",
    "describes_unsupported_destination",
    "international_number",
    "is_html_page",
    "is_message_id",
    "is_success",
    "parse_date",
    "parse_echoed_number",
    "receipt_number",
    "remove_echoed_message",
    "retry_after_seconds",
    "undocumented_response",
]

MAX_ID_CHARS: Final = 64
"""Characters of a gateway's message id that are stored."""

_MESSAGE_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,36}", re.ASCII)
_RECEIPT_NUMBER: Final = re.compile(r"\+?[1-9][0-9]{6,14}", re.ASCII)

_NO_DIGITS: Final = re.compile(r"[^0-9]+")

_MAX_NUMBER_CHARS: Final = 32

_MIN_MATCHING_DIGITS: Final = 7
"""An echoed number without its country code is ours if it has at least this many digits and they end our number."""

_MASK_CHARS: Final = frozenset("*xX#•…")
"""A number with masked digits cannot be compared with ours."""

# No gateway documents these texts: the patterns are assumptions.
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
_HTML_PAGE: Final = re.compile(r"<(!doctype\s{1,20}html|html|head|body)\b", re.IGNORECASE)


def undocumented_response(response: GatewayResponse) -> SendResult:
    """Classify a response that the gateway does not document: from a proxy, a login page or a crashed server.

    Only a 401 is certain to concern the account. A 403 or 404 may concern this request alone: it counts as a failure,
    and does not open the circuit at once.
    """
    if response.status == 401:
        return SendResult(Outcome.CONFIG_ERROR)
    if response.status in (403, 404):
        return SendResult.undocumented()
    if response.status == 429:
        return SendResult(Outcome.THROTTLED, retry_after=retry_after_seconds(response.headers))
    if response.status == 503 and "retry-after" in response.headers:  # the sender did not forward the request
        return SendResult(Outcome.TRANSIENT, retry_after=retry_after_seconds(response.headers))
    return SendResult(Outcome.AMBIGUOUS)


def is_success(status: int) -> bool:
    """Whether an HTTP status is 2xx."""
    return 200 <= status < 300


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Return `Retry-After` if it is a number of seconds; a date is ignored."""
    seconds = parse_integer(headers.get("retry-after"))
    return float(seconds) if seconds is not None and seconds >= 0 else None


def parse_date(header: str) -> float | None:
    """Read a `Date` header as Unix seconds; None if it cannot be read."""
    try:
        return parsedate_to_datetime(header[:MAX_ID_CHARS]).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def is_html_page(text: str) -> bool:
    """Whether a text is an HTML page, which a web server or a proxy wrote and not the gateway's API."""
    return text.startswith("<") and _HTML_PAGE.search(text) is not None


def describes_unsupported_destination(error_text: str) -> bool:
    """Whether an error text says that a country, a network or a range of numbers is not served.

    Such a refusal does not make the recipient invalid: another gateway may reach the number. The caller bounds the
    length of `error_text`.
    """
    return bool(_DESTINATION.search(error_text) or (_NUMBER.search(error_text) and _NOT_SERVED.search(error_text)))


def remove_echoed_message(error_text: str, message_text: str) -> str:
    """Remove the message's own text from an error text, so that a brand such as "Credit Union" is not matched."""
    for echo in (message_text, msgspec.json.encode(message_text).decode()[1:-1]):
        error_text = error_text.replace(echo, " ") if echo else error_text
    return error_text


def parse_echoed_number(echoed: object, e164: str, country: str) -> str | None:
    """Read the number that a gateway names in its response to a message for `e164`.

    Args:
        echoed: The number as the gateway writes it, for example `62…`, `08…` or `+62 …`.
        e164: The number that the message was sent to.
        country: The country of `e164`, by which a national spelling is read.

    Returns:
        `e164` if the two are the same number, another number in E.164 if they differ, and None if `echoed` cannot be
        read, which does not rule out that it is ours.
    """
    if isinstance(echoed, float):
        echoed = parse_integer(echoed)
    if isinstance(echoed, bool) or not isinstance(echoed, str | int):
        return None
    text = str(echoed)[:_MAX_NUMBER_CHARS].strip()
    digits = _NO_DIGITS.sub("", text).lstrip("0")
    if len(digits) >= _MIN_MATCHING_DIGITS and e164.endswith(digits) and _MASK_CHARS.isdisjoint(text):
        return e164
    for spelling in (text, f"+{text}"):
        with contextlib.suppress(PhoneInvalid):
            return parse(spelling, country).e164
    return None


def is_message_id(text: str) -> bool:
    """Return whether a text in a receipt can be our id of a message."""
    return _MESSAGE_ID.fullmatch(text) is not None


def international_number(digits: str) -> str:
    """Return a number that begins with its country code in E.164; "" if it is not a phone number."""
    try:
        return parse(f"+{digits[:_MAX_NUMBER_CHARS]}", "").e164
    except PhoneInvalid:
        return ""


def receipt_number(text: str) -> str:
    """Return the recipient's number of a receipt, with or without a plus; "" for anything else.

    `00` in front is the plus. A national number is "", as a masked one is: without its country it cannot be compared.
    """
    number = text[:_MAX_NUMBER_CHARS].strip().removeprefix("00")
    return number if _RECEIPT_NUMBER.fullmatch(number) else ""
