"""What is to be done next with a message: every rule as a line of a table."""

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
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.verification import Delivery

ROUTE = ("a", "b", "c")
CREATED, NOW, EXPIRES = 1_000_000, 1_010_000, 1_300_000
HOLD = 15_000

SURELY_UNSENT = [outcome.value for outcome in Outcome if outcome.definitely_not_sent]
ABOUT_RECIPIENT = [Outcome.RECIPIENT_INVALID.value, Outcome.RECIPIENT_BLOCKED.value]
FAIL_OVER = [outcome for outcome in SURELY_UNSENT if outcome not in ABOUT_RECIPIENT]
RETRYABLE = [Outcome.TRANSIENT.value, Outcome.THROTTLED.value]


def said(provider: str, status: str, error: str = "", at: int = NOW) -> Delivery:
    """Make a delivery."""
    return Delivery(provider, DeliveryStatus(status), at, error)


def step(
    *deliveries: Delivery,
    route: tuple[str, ...] = ROUTE,
    hold: int = HOLD,
    max_texts: int = 2,
    now: int = NOW,
    idempotent_send: tuple[str, ...] = (),
    **shut: int,
) -> CallProvider | WaitFor | Finish:
    """Ask the plan."""
    rules = RetryRules(hold, max_texts, idempotent_send)
    return next_step(deliveries, route, rules, CodeLifetime(CREATED, EXPIRES, now), shut)


def test_the_first_of_the_route_is_asked_first() -> None:
    """Nothing was tried: the first; what waits for it says so already."""
    assert step() == CallProvider("a")
    assert step(said("a", "queued")) == CallProvider("a")


@pytest.mark.parametrize("error", FAIL_OVER)
def test_what_was_surely_not_sent_goes_to_the_next_at_once(error: str) -> None:
    """A refusal of the gateway or of the way there leads to the next provider, without a pause."""
    assert step(said("a", "failed", error)) == CallProvider("b")
    assert step(said("a", "queued", error), said("b", "failed", error)) == CallProvider("c")


@pytest.mark.parametrize("error", ABOUT_RECIPIENT)
def test_a_verdict_about_the_recipient_is_final(error: str) -> None:
    """Nobody else is asked, also when somebody may be asked again."""
    assert step(said("a", "failed", error)) == Finish()
    assert step(said("a", "queued", "transient"), said("b", "failed", error)) == Finish()


@pytest.mark.parametrize("status", ["sent", "delivered"])
def test_what_is_with_a_gateway_is_done(status: str) -> None:
    """Nobody else is asked."""
    assert step(said("a", status)) == Finish()
    assert step(said("a", "unknown", "ambiguous"), said("b", status)) == Finish()
    assert step(said("a", "queued", "transient"), said("b", status), now=NOW + 60_000) == Finish()


def test_an_ambiguous_outcome_is_held_and_then_fails_over() -> None:
    """The hold counts from the moment that it became ambiguous."""
    unknown = said("a", "unknown", "ambiguous", at=NOW - 5_000)

    assert step(unknown) == WaitFor(HOLD - 5_000)
    assert step(unknown, now=NOW + HOLD - 5_001) == WaitFor(1)
    assert step(unknown, now=NOW + HOLD - 5_000) == CallProvider("b")


def test_a_refusal_after_the_hold_leads_on() -> None:
    """Who surely has no text was not the one fail-over."""
    unknown = said("a", "unknown", "ambiguous", at=NOW - HOLD)

    assert step(unknown, said("b", "failed", "funds")) == CallProvider("c")


def test_two_ambiguous_outcomes_are_as_many_texts_as_may_be() -> None:
    """With `max_texts` 2 nobody is asked after the second, however long it is held."""
    unknown = said("a", "unknown", "ambiguous", at=NOW), said("b", "unknown", "ambiguous", at=NOW)

    assert step(*unknown, now=NOW + 60_000) == Finish()
    assert step(*unknown, now=NOW + 60_000, max_texts=3) == CallProvider("c")
    assert step(*unknown, now=NOW + 1_000, max_texts=3) == WaitFor(HOLD - 1_000)


def test_one_text_at_most_never_fails_over_after_an_ambiguous_outcome() -> None:
    """`max_texts` 1 is the strict form; refusals still lead on."""
    assert step(said("a", "unknown", "ambiguous"), max_texts=1, now=NOW + 60_000) == Finish()
    assert step(said("a", "failed", "config_error"), max_texts=1) == CallProvider("b")


def test_hold_zero_never_fails_over() -> None:
    """After an ambiguous outcome."""
    assert step(said("a", "unknown", "ambiguous"), hold=0, now=NOW + 60_000) == Finish()
    assert step(said("a", "failed", "funds"), hold=0) == CallProvider("b")


def test_with_nobody_left_an_ambiguous_outcome_is_not_held() -> None:
    """Nothing is sent again there, nor where the same would be said again."""
    assert step(said("a", "unknown", "ambiguous"), route=("a",)) == Finish()
    assert step(said("a", "failed", "funds"), said("b", "unknown", "ambiguous"), route=("a", "b")) == Finish()


def test_after_the_hold_those_that_failed_before_may_be_asked_again() -> None:
    """Who surely has no text and may take it now is another provider, as good as one that was never asked."""
    failed, unknown = said("a", "queued", "transient", at=NOW - 100), said("b", "unknown", "ambiguous")

    assert step(failed, unknown, route=("a", "b")) == WaitFor(HOLD)
    assert step(failed, unknown, route=("a", "b"), now=NOW + HOLD) == CallProvider("a")


def test_a_provider_that_sends_once_is_asked_again_after_a_pause() -> None:
    """It knows the message by our id: no hold, no second text, and no text more that counts."""
    unknown = said("a", "unknown", "ambiguous", at=CREATED + 8_000)

    assert step(unknown, route=("a",), idempotent_send=("a",), now=CREATED + 8_000) == WaitFor(2_000)
    assert step(unknown, route=("a",), idempotent_send=("a",), now=CREATED + 10_000) == CallProvider("a")
    assert step(unknown, route=("a",), idempotent_send=("a",), now=CREATED + 10_000, max_texts=1) == CallProvider("a")
    assert step(unknown, route=("a",), idempotent_send=("a",), now=CREATED + 10_000, hold=0) == CallProvider("a")


def test_a_hold_is_not_begun_anew_by_asking_again() -> None:
    """It counts from the first ambiguous outcome; when it is over, another provider goes before one more repetition."""
    since = NOW - HOLD
    unknown = Delivery("a", DeliveryStatus.UNKNOWN, NOW - 100, "ambiguous", ambiguous_since_ms=since)

    assert step(unknown, idempotent_send=("a",), now=NOW - 1) == WaitFor(1)
    assert step(unknown, idempotent_send=("a",), now=NOW) == CallProvider("b")


def test_what_was_not_delivered_goes_to_another_provider() -> None:
    """A gateway that had the text is not asked again; it counts as a text; a verdict about the recipient is final."""
    undelivered = said("a", "undelivered", "transient", at=NOW - 60_000)

    assert step(undelivered) == CallProvider("b")
    assert step(undelivered, route=("a",)) == Finish()
    assert step(undelivered, max_texts=1) == Finish()
    assert step(said("a", "undelivered", "recipient_invalid")) == Finish()


def test_a_gateway_is_left_alone_for_as_long_as_it_said() -> None:
    """Its `Retry-After` goes before our pause, when it is longer."""
    asked_to_wait = Delivery("a", DeliveryStatus.QUEUED, NOW, "throttled", again_ms=NOW + 20_000)

    assert step(asked_to_wait, route=("a",)) == WaitFor(20_000)


def test_a_provider_that_takes_nothing_is_passed_by() -> None:
    """Those behind it are asked; when there are none, its moment is waited for, if the code lives to see it."""
    assert step(a=NOW + 3_000) == CallProvider("b")
    assert step(a=NOW + 3_000, route=("a",)) == WaitFor(3_000)
    assert step(a=EXPIRES, route=("a",)) == Finish()
    assert step(said("b", "queued", "transient", at=NOW - 9_000), route=("a", "b"), a=NOW + 3_000) == CallProvider("b")


def test_reports_are_asked_for_ever_later() -> None:
    """First after so long, then after half of the time that has passed since it was sent."""
    asked, now = [], 0
    while now < 300_000:
        now += report_query_delay_ms(0, now, 30_000)
        asked.append(now // 1000)

    assert asked == [30, 60, 90, 135, 202, 303]


def test_a_hold_that_the_code_does_not_live_to_see_ends_at_once() -> None:
    """Waiting for it would be for nothing."""
    late = said("a", "unknown", "ambiguous", at=EXPIRES - HOLD)

    assert step(late, now=EXPIRES - HOLD + 1) == Finish()


@pytest.mark.parametrize("error", RETRYABLE)
def test_when_the_route_is_used_up_it_begins_again_after_a_pause(error: str) -> None:
    """The pause is a quarter of the age that the message had, at least half a second."""
    young = said("a", "queued", error, at=CREATED + 100)
    old = said("a", "queued", error, at=CREATED + 8_000)

    assert step(young, route=("a",), now=CREATED + 100) == WaitFor(500)
    assert step(young, route=("a",), now=CREATED + 599) == WaitFor(1)
    assert step(young, route=("a",), now=CREATED + 600) == CallProvider("a")
    assert step(old, route=("a",), now=CREATED + 8_000) == WaitFor(2_000)


def test_a_pause_grows_no_longer_than_its_limit() -> None:
    """15 s: a gateway that comes back is used soon."""
    assert step(said("a", "queued", "transient", at=CREATED + 100_000), now=CREATED + 100_000, route=("a",)) == WaitFor(
        15_000
    )


def test_who_rested_longest_is_asked_again_first() -> None:
    """Retries go round."""
    rested = said("b", "queued", "throttled", at=NOW - 9_000)
    fresh = said("a", "queued", "transient", at=NOW)

    assert step(fresh, rested, route=("a", "b")) == CallProvider("b")


@pytest.mark.parametrize("error", [error for error in FAIL_OVER if error not in RETRYABLE])
def test_a_gateway_that_would_say_the_same_is_not_asked_again(error: str) -> None:
    """Rights, money and texts do not come back by themselves within the life of a code."""
    assert step(said("a", "failed", error), route=("a",), now=NOW + 60_000) == Finish()
    assert step(said("a", "failed", error), said("b", "queued", "transient"), route=("a", "b"), now=NOW + 60_000) == (
        CallProvider("b")
    )


def test_a_pause_never_ends_after_the_code() -> None:
    """What would be due at the code's end or later is not due at all."""
    at = EXPIRES - 15_000
    assert step(said("a", "queued", "transient", at=at), route=("a",), now=at) == Finish()
    assert step(said("a", "queued", "transient", at=at - 1), route=("a",), now=at - 1) == WaitFor(15_000)


def test_without_a_route_nothing_is_done() -> None:
    """The config may have changed since."""
    assert step(route=()) == Finish()
    assert step(said("gone", "queued", "transient"), route=(), now=NOW + 60_000) == Finish()


def test_a_provider_that_left_the_route_is_not_asked_again() -> None:
    """Its outcome still counts."""
    assert step(said("gone", "queued", "transient"), route=("b",), now=NOW + 60_000) == CallProvider("b")
    assert step(said("gone", "sent"), route=("b",)) == Finish()
    assert step(said("gone", "unknown", "ambiguous"), route=("b",)) == WaitFor(HOLD)
