"""What follows from the end of an attempt: the schedule of retries, pauses of an endpoint, and when to give up. Pure.

The delays are those that the Standard Webhooks specification recommends: ten attempts within 75.6 hours. All but the
first are spread by a tenth, so that the events of an outage do not come back at the same moment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from otp_service.domain.events import AttemptResult

__all__ = ["DELAYS_SECONDS", "MAX_RETRY_AFTER_SECONDS", "EndpointResponse", "conclude", "parse_retry_after"]

DELAYS_SECONDS: Final = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""From the end of each failed attempt to the next one: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h."""

JITTER: Final = 0.1
MAX_RETRY_AFTER_SECONDS: Final = 86_400
"""A longer `Retry-After` counts as this."""

MAX_REQUESTED_PAUSE_SECONDS: Final = 3_600
"""For how long, at most, a `Retry-After` stops all attempts at the endpoint; `lua/_webhook_endpoint.lua` knows it."""

PAUSE_AFTER_FAILURES: Final = 3
FIRST_PAUSE_SECONDS: Final = 5
MAX_PAUSE_SECONDS: Final = 300

_GONE: Final = 410
_MAX_DIGITS: Final = 9
_MAX_CHARACTERS: Final = 64


@dataclass(frozen=True, slots=True)
class EndpointResponse:
    """The response of an endpoint, or why there was none.

    Attributes:
        status: The HTTP status; None: there was no response.
        error: What prevented a response: `timeout`, `connect_failed`, `target_refused`, `connection_lost`,
            `not_built`; "": nothing.
        retry_after_seconds: Its `Retry-After`; None without one.
    """

    status: int | None = None
    error: str = ""
    retry_after_seconds: float | None = None

    @property
    def accepted(self) -> bool:
        """Whether the endpoint has accepted the event: any status 2xx. A redirect is a failure."""
        return self.status is not None and 200 <= self.status < 300


def conclude(response: EndpointResponse, attempts: int, failures: int, random: float) -> AttemptResult:
    """Return the end of an attempt.

    Args:
        response: The response of the endpoint.
        attempts: How many attempts at the event had ended before.
        failures: How many attempts at the endpoint had failed in a row before.
        random: A random number from 0 to 1, which spreads the retries.
    """
    result = response.error if response.status is None else str(response.status)
    if response.accepted:
        return AttemptResult(result, accepted=True)
    requested = min(response.retry_after_seconds or 0, MAX_RETRY_AFTER_SECONDS)
    retry_ms = None
    if attempts < len(DELAYS_SECONDS):
        delay = DELAYS_SECONDS[attempts] * (1 - JITTER + 2 * JITTER * random)
        retry_ms = math.ceil(max(delay, requested) * 1000)
    pause = min(requested, MAX_REQUESTED_PAUSE_SECONDS)
    if (doublings := failures + 1 - PAUSE_AFTER_FAILURES) >= 0:
        pause = max(pause, min(FIRST_PAUSE_SECONDS * 2 ** min(doublings, 10), MAX_PAUSE_SECONDS))
    return AttemptResult(result, retry_ms=retry_ms, pause_ms=math.ceil(pause * 1000), disables=response.status == _GONE)


def parse_retry_after(text: str | None, now: float) -> float | None:
    """Return the seconds of a `Retry-After` (RFC 9110, 10.2.3: seconds or a date); None for none or another text."""
    text = (text or "").strip()
    if text.isascii() and text.isdecimal():
        return float(text[:_MAX_DIGITS])
    try:
        at = parsedate_to_datetime(text[:_MAX_CHARACTERS])
        return max(0.0, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now)
    except (ValueError, OverflowError):
        return None
