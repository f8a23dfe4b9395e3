"""The retry policy: one test per rule."""

from __future__ import annotations

import pytest

from otp_service.delivery.retry_policy import (
    CallProvider,
    CodeLifetime,
    Finish,
    RetryRules,
    WaitFor,
    next_step,
    report_query_delay_ms,
)
from otp_service.domain.channel_route import ChannelRoute
from otp_service.domain.message import Channel
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.verification import Delivery

ROUTE = ("a", "b", "c")
CREATED, NOW, EXPIRES = 1_000_000, 1_010_000, 1_300_000
HOLD = 15_000

DEFINITELY_NOT_SENT = [outcome.value for outcome in Outcome if outcome.definitely_not_sent]
RECIPIENT_REJECTED = [outcome.value for outcome in Outcome if outcome.rejects_recipient]
FAIL_OVER = [outcome for outcome in DEFINITELY_NOT_SENT if outcome not in RECIPIENT_REJECTED]
RETRYABLE = [Outcome.TRANSIENT.value, Outcome.THROTTLED.value]


def delivery(provider: str, status: str, error: str = "", at: int = NOW, channel: Channel = Channel.SMS) -> Delivery:
    """Return the state of a message at a provider."""
    return Delivery(provider, DeliveryStatus(status), at, error, channel=channel.value)


def step(
    *deliveries: Delivery,
    route: tuple[str, ...] = ROUTE,
    routes: tuple[ChannelRoute, ...] = (),
    hold: int = HOLD,
    max_texts: int = 2,
    now: int = NOW,
    idempotent_send: tuple[str, ...] = (),
    channel_hold: int = 0,
    **excluded: int,
) -> CallProvider | WaitFor | Finish:
    """Return the next step for these deliveries, by default of one channel with the providers of `route`.

    Further keywords are excluded providers, and until when.
    """
    rules = RetryRules(hold, max_texts, idempotent_send, channel_hold)
    routes = routes or (ChannelRoute(Channel.SMS, route),)
    return next_step(deliveries, routes, rules, CodeLifetime(CREATED, EXPIRES, now), excluded)


def test_first_of_route_is_called_first() -> None:
    """Without a result, or while the first provider is queued, the first provider is called."""
    assert step() == CallProvider("a")
    assert step(delivery("a", "queued")) == CallProvider("a")


@pytest.mark.parametrize("error", FAIL_OVER)
def test_definitely_unsent_message_fails_over_at_once(error: str) -> None:
    """Any such failure leads to the next provider without a delay."""
    assert step(delivery("a", "failed", error)) == CallProvider("b")
    assert step(delivery("a", "queued", error), delivery("b", "failed", error)) == CallProvider("c")


@pytest.mark.parametrize("error", RECIPIENT_REJECTED)
def test_rejected_recipient_is_final(error: str) -> None:
    """No other provider is called, even if one could be retried."""
    assert step(delivery("a", "failed", error)) == Finish()
    assert step(delivery("a", "queued", "transient"), delivery("b", "failed", error)) == Finish()


@pytest.mark.parametrize("status", ["sent", "delivered"])
def test_accepted_message_is_finished(status: str) -> None:
    """No other provider is called."""
    assert step(delivery("a", status)) == Finish()
    assert step(delivery("a", "unknown", "ambiguous"), delivery("b", status)) == Finish()
    assert step(delivery("a", "queued", "transient"), delivery("b", status), now=NOW + 60_000) == Finish()


def test_ambiguous_outcome_fails_over_after_hold() -> None:
    """The hold counts from the moment of the ambiguous outcome."""
    unknown = delivery("a", "unknown", "ambiguous", at=NOW - 5_000)

    assert step(unknown) == WaitFor(HOLD - 5_000)
    assert step(unknown, now=NOW + HOLD - 5_001) == WaitFor(1)
    assert step(unknown, now=NOW + HOLD - 5_000) == CallProvider("b")


def test_rejection_after_hold_fails_over() -> None:
    """A provider that definitely does not have the message does not count for `max_texts`."""
    unknown = delivery("a", "unknown", "ambiguous", at=NOW - HOLD)

    assert step(unknown, delivery("b", "failed", "funds")) == CallProvider("c")


def test_max_texts_counts_ambiguous_outcomes() -> None:
    """With `max_texts` 2 no provider is called after the second ambiguous outcome."""
    unknown = delivery("a", "unknown", "ambiguous", at=NOW), delivery("b", "unknown", "ambiguous", at=NOW)

    assert step(*unknown, now=NOW + 60_000) == Finish()
    assert step(*unknown, now=NOW + 60_000, max_texts=3) == CallProvider("c")
    assert step(*unknown, now=NOW + 1_000, max_texts=3) == WaitFor(HOLD - 1_000)


def test_max_texts_one_never_fails_over_after_ambiguous_outcome() -> None:
    """Definite rejections still fail over."""
    assert step(delivery("a", "unknown", "ambiguous"), max_texts=1, now=NOW + 60_000) == Finish()
    assert step(delivery("a", "failed", "config_error"), max_texts=1) == CallProvider("b")


def test_hold_zero_never_fails_over_after_ambiguous_outcome() -> None:
    """Definite rejections still fail over."""
    assert step(delivery("a", "unknown", "ambiguous"), hold=0, now=NOW + 60_000) == Finish()
    assert step(delivery("a", "failed", "funds"), hold=0) == CallProvider("b")


def test_no_hold_without_another_provider() -> None:
    """The message is finished if no provider is left that could be called after the hold."""
    assert step(delivery("a", "unknown", "ambiguous"), route=("a",)) == Finish()
    assert step(delivery("a", "failed", "funds"), delivery("b", "unknown", "ambiguous"), route=("a", "b")) == Finish()


def test_retryable_failure_is_called_after_hold() -> None:
    """After the hold, a provider with a retryable failure is called like one that was not called yet."""
    failed, unknown = delivery("a", "queued", "transient", at=NOW - 100), delivery("b", "unknown", "ambiguous")

    assert step(failed, unknown, route=("a", "b")) == WaitFor(HOLD)
    assert step(failed, unknown, route=("a", "b"), now=NOW + HOLD) == CallProvider("a")


def test_idempotent_provider_is_called_again_after_backoff() -> None:
    """It deduplicates by our message id, so neither the hold nor `max_texts` applies."""
    unknown = delivery("a", "unknown", "ambiguous", at=CREATED + 8_000)

    assert step(unknown, route=("a",), idempotent_send=("a",), now=CREATED + 8_000) == WaitFor(2_000)
    assert step(unknown, route=("a",), idempotent_send=("a",), now=CREATED + 10_000) == CallProvider("a")
    assert step(unknown, route=("a",), idempotent_send=("a",), now=CREATED + 10_000, max_texts=1) == CallProvider("a")
    assert step(unknown, route=("a",), idempotent_send=("a",), now=CREATED + 10_000, hold=0) == CallProvider("a")


def test_repeated_call_does_not_restart_the_hold() -> None:
    """The hold counts from the first ambiguous outcome; after it, another provider comes before one more repeat."""
    since = NOW - HOLD
    unknown = Delivery("a", DeliveryStatus.UNKNOWN, NOW - 100, "ambiguous", ambiguous_since_ms=since, channel="sms")

    assert step(unknown, idempotent_send=("a",), now=NOW - 1) == WaitFor(1)
    assert step(unknown, idempotent_send=("a",), now=NOW) == CallProvider("b")


def test_undelivered_message_fails_over() -> None:
    """The first provider is not called again, it counts for `max_texts`, and a rejected recipient is final."""
    undelivered = delivery("a", "undelivered", "transient", at=NOW - 60_000)

    assert step(undelivered) == CallProvider("b")
    assert step(undelivered, route=("a",)) == Finish()
    assert step(undelivered, max_texts=1) == Finish()
    assert step(delivery("a", "undelivered", "recipient_invalid")) == Finish()


def test_retry_after_is_honored() -> None:
    """A `Retry-After` that is longer than the backoff applies."""
    asked_to_wait = Delivery("a", DeliveryStatus.QUEUED, NOW, "throttled", retry_at_ms=NOW + 20_000, channel="sms")

    assert step(asked_to_wait, route=("a",)) == WaitFor(20_000)


def test_excluded_provider_is_skipped() -> None:
    """The next provider is called; without one, the message waits, if the code does not expire before."""
    assert step(a=NOW + 3_000) == CallProvider("b")
    assert step(a=NOW + 3_000, route=("a",)) == WaitFor(3_000)
    assert step(a=EXPIRES, route=("a",)) == Finish()
    assert step(delivery("b", "queued", "transient", at=NOW - 9_000), route=("a", "b"), a=NOW + 3_000) == CallProvider(
        "b"
    )


def test_report_queries_become_rarer() -> None:
    """The first after 30 s, then after half of the time since the send."""
    asked, now = [], 0
    while now < 300_000:
        now += report_query_delay_ms(0, now, 30_000)
        asked.append(now // 1000)

    assert asked == [30, 60, 90, 135, 202, 303]


def test_no_hold_beyond_the_code() -> None:
    """A hold that would end after the code expires is not waited for."""
    late = delivery("a", "unknown", "ambiguous", at=EXPIRES - HOLD)

    assert step(late, now=EXPIRES - HOLD + 1) == Finish()


@pytest.mark.parametrize("error", RETRYABLE)
def test_retry_after_backoff_when_route_is_exhausted(error: str) -> None:
    """The backoff is a quarter of the message's age at the failure, at least half a second."""
    young = delivery("a", "queued", error, at=CREATED + 100)
    old = delivery("a", "queued", error, at=CREATED + 8_000)

    assert step(young, route=("a",), now=CREATED + 100) == WaitFor(500)
    assert step(young, route=("a",), now=CREATED + 599) == WaitFor(1)
    assert step(young, route=("a",), now=CREATED + 600) == CallProvider("a")
    assert step(old, route=("a",), now=CREATED + 8_000) == WaitFor(2_000)


def test_backoff_has_a_maximum() -> None:
    """The backoff is at most 15 s."""
    assert step(
        delivery("a", "queued", "transient", at=CREATED + 100_000), now=CREATED + 100_000, route=("a",)
    ) == WaitFor(15_000)


def test_oldest_failure_is_retried_first() -> None:
    """Retries alternate between the providers."""
    rested = delivery("b", "queued", "throttled", at=NOW - 9_000)
    fresh = delivery("a", "queued", "transient", at=NOW)

    assert step(fresh, rested, route=("a", "b")) == CallProvider("b")


@pytest.mark.parametrize("error", [error for error in FAIL_OVER if error not in RETRYABLE])
def test_permanent_failure_is_not_retried(error: str) -> None:
    """Rejections of account, funds or text do not change within the lifetime of a code."""
    assert step(delivery("a", "failed", error), route=("a",), now=NOW + 60_000) == Finish()
    assert step(
        delivery("a", "failed", error), delivery("b", "queued", "transient"), route=("a", "b"), now=NOW + 60_000
    ) == (CallProvider("b"))


def test_no_retry_after_the_code_expires() -> None:
    """A retry that would be due at or after the expiry is not scheduled."""
    at = EXPIRES - 15_000
    assert step(delivery("a", "queued", "transient", at=at), route=("a",), now=at) == Finish()
    assert step(delivery("a", "queued", "transient", at=at - 1), route=("a",), now=at - 1) == WaitFor(15_000)


def test_finished_without_a_route() -> None:
    """The config may have changed since the request."""
    assert step(route=()) == Finish()
    assert step(delivery("gone", "queued", "transient"), route=(), now=NOW + 60_000) == Finish()


def test_provider_that_left_the_route_is_not_called() -> None:
    """Its outcome still counts."""
    assert step(delivery("gone", "queued", "transient"), route=("b",), now=NOW + 60_000) == CallProvider("b")
    assert step(delivery("gone", "sent"), route=("b",)) == Finish()
    assert step(delivery("gone", "unknown", "ambiguous"), route=("b",)) == WaitFor(HOLD)
