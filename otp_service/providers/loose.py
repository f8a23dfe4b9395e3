"""What gateways write, read without trust: JSON that may be none, numbers as text, answers that are not theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from otp_service.domain.outcomes import Delivered, Outcome
from otp_service.providers.http import Reply

__all__ = ["LONGEST_ID", "foreign_answer", "integer", "json_object", "seconds_to_wait"]

LONGEST_ID: Final = 64
"""Characters of a gateway's id that are kept."""

LONGEST_NUMBER: Final = 32
"""Digits of a number that comes as text; longer ones are none."""


def json_object(body: bytes | str) -> dict[str, Any]:
    """Read a JSON object; anything else is an empty one."""
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return decoded if isinstance(decoded, dict) else {}


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
    """Judge an answer that is not the gateway's own: a proxy's, a login page, a crash."""
    if reply.status in (401, 403, 404):
        return Delivered(Outcome.CONFIG_ERROR)
    if reply.status == 429:
        return Delivered(Outcome.THROTTLED, retry_after=seconds_to_wait(reply.headers))
    if reply.status == 503 and "retry-after" in reply.headers:  # who says this did not pass the request on
        return Delivered(Outcome.TRANSIENT, retry_after=seconds_to_wait(reply.headers))
    return Delivered(Outcome.AMBIGUOUS)
