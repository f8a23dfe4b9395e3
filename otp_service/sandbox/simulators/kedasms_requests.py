"""The bodies of requests to KedaSMS, and how each is read and refused."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from otp_service.domain.phone import PhoneInvalid, parse
from otp_service.sandbox.simulators.http_server import Request

__all__ = ["JSON", "Envelope", "Limits", "Payload", "Refusal", "ShortLink", "e164", "format_time", "read_body"]

JSON: Final = "application/json"

_T = TypeVar("_T")


class Envelope(Struct, rename="camel", forbid_unknown_fields=True):
    """The plain members of a send request."""

    api_key: str
    timestamp: int
    iv: str
    cipher_text: str


class Payload(Struct, rename="camel", forbid_unknown_fields=True):
    """The encrypted members of a send request."""

    country_code: Annotated[str, Meta(pattern=r"\A[A-Z]{2}\Z")]
    phone_numbers: Annotated[list[str], Meta(min_length=1)]
    content: Annotated[str, Meta(min_length=1)]
    sender_id: Annotated[str, Meta(min_length=1)] = "KedaSMS"
    track_click: bool = True
    callback_url: str = ""


class ShortLink(Struct, forbid_unknown_fields=True):
    """The encrypted members of a request for a short link; their names are not documented."""

    url: Annotated[str, Meta(pattern=r"\Ahttps?://[!-~]{1,2048}\Z")]


class Limits(Struct, rename="camel", forbid_unknown_fields=True):
    """The body of `PUT limits`; money is a JSON number."""

    api_key: str
    alert_threshold: Annotated[float, Meta(ge=0, le=1)]
    block_on_limit: bool
    daily_sms_cap: Annotated[int, Meta(ge=0)] | None = None
    daily_spend_cap: Annotated[float, Meta(ge=0)] | None = None


class Refusal(Exception):
    """The request is rejected, with an HTTP status and a text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def read_body(request: Request, kind: type[_T]) -> _T:
    """Decode a JSON body; raises `Refusal`."""
    media_type = request.headers.get("content-type", "")
    if media_type.partition(";")[0].strip().lower() != JSON:
        raise Refusal(415, f"Content-Type must be {JSON}")
    try:
        return msgspec.json.decode(request.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise Refusal(400, f"Invalid payload: {problem}") from None


def format_time(at: datetime) -> str:
    """Return a time as callbacks and states have it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def e164(number: str, country: str) -> str:
    """Convert a national number (the digits after the country code) of `country` to E.164."""
    try:
        found = parse(number, country)
    except PhoneInvalid:
        raise Refusal(400, "Invalid phone number") from None
    if (found.national_digits, found.country) != (number, country):
        raise Refusal(400, "Invalid phone number: not national, or of another country")
    return found.e164
