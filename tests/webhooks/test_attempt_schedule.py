"""What follows from the end of an attempt: the published schedule, `Retry-After`, pauses, and the last attempt."""

from __future__ import annotations

import itertools

import pytest

from otp_service.domain.events import AttemptResult
from otp_service.webhooks.attempt_schedule import DELAYS_SECONDS, EndpointResponse, conclude, parse_retry_after

MINUTE, HOUR = 60, 3600
PUBLISHED = [5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR]
"""Standard Webhooks 1.0.0, "Retries and failures": after an immediate first attempt."""

NOW = 1_700_000_000.0


def failed(
    status: int = 500, *, attempts: int = 0, failures: int = 0, retry_after: float | None = None
) -> AttemptResult:
    """Conclude a failed attempt, without jitter."""
    return conclude(EndpointResponse(status, retry_after_seconds=retry_after), attempts, failures, 0.5)


def test_the_published_schedule() -> None:
    """Nine delays after the first attempt; after the tenth the event is given up."""
    assert [failed(attempts=done).retry_ms for done in range(9)] == [seconds * 1000 for seconds in PUBLISHED]
    assert failed(attempts=9).retry_ms is None
    assert sum(PUBLISHED) * 1.1 < 84 * HOUR


def test_retries_are_spread_by_a_tenth() -> None:
    """The delays of an outage's events are between 0.9 and 1.1 times the published ones."""
    for attempts, random in itertools.product(range(9), (0.0, 0.25, 1.0)):
        retry_ms = conclude(EndpointResponse(500), attempts, 0, random).retry_ms
        assert retry_ms is not None
        assert retry_ms == pytest.approx(DELAYS_SECONDS[attempts] * 1000 * (0.9 + 0.2 * random), abs=1)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_a_success(status: int) -> None:
    """Every 2xx accepts the event; nothing is paused."""
    assert conclude(EndpointResponse(status), 3, 5, 0.5) == AttemptResult(str(status), accepted=True)


@pytest.mark.parametrize("status", [100, 199, 300, 301, 302, 307, 308, 400, 401, 404, 429, 500, 503])
def test_everything_else_is_a_failure(status: int) -> None:
    """Redirects, too; only 410 disables the endpoint."""
    result = failed(status)

    assert (result.accepted, result.disables, result.retry_ms, result.result) == (False, False, 5000, str(status))


def test_gone_disables() -> None:
    """410 disables the endpoint, and its event keeps its place in the schedule."""
    assert failed(410, attempts=2) == AttemptResult("410", retry_ms=1_800_000, disables=True)


@pytest.mark.parametrize("error", ["timeout", "connect_failed", "target_refused", "connection_lost"])
def test_no_answer(error: str) -> None:
    """Without an answer the result says why."""
    assert conclude(EndpointResponse(error=error), 1, 0, 0.5) == AttemptResult(error, retry_ms=300_000)


@pytest.mark.parametrize(
    ("retry_after", "retry_ms", "pause_ms"),
    [
        (None, 5_000, 0),
        (0, 5_000, 0),
        (2, 5_000, 2_000),
        (120, 120_000, 120_000),
        (7_200, 7_200_000, 3_600_000),
        (1e9, 86_400_000, 3_600_000),
    ],
)
def test_retry_after(retry_after: float | None, retry_ms: int, pause_ms: int) -> None:
    """It delays the event by a day at most, never shortens the schedule, and pauses the endpoint by an hour at most."""
    result = failed(429, retry_after=retry_after)

    assert (result.retry_ms, result.pause_ms) == (retry_ms, pause_ms)


def test_an_endpoint_that_fails_is_called_less_and_less() -> None:
    """From the third failure in a row on it is paused: 5 s, doubled each time, at most five minutes."""
    pauses = [failed(failures=before).pause_ms // 1000 for before in range(11)]

    assert pauses == [0, 0, 5, 10, 20, 40, 80, 160, 300, 300, 300]
    assert failed(failures=10**6).pause_ms == 300_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tue, 14 Nov 2023 22:12:20 GMT", 0.0),
        ("9" * 5000, 999_999_999.0),
        (None, None),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
        ("Tue, 99 Nov 2023 22:14:20 GMT", None),
        ("Mon, 01 Jan 0001 00:00:00 +2359", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str | None, seconds: float | None) -> None:
    """Anything else is ignored, at any length."""
    parsed = parse_retry_after(text, NOW)

    assert parsed == seconds or (seconds is None and parsed in (None, 0.0))
