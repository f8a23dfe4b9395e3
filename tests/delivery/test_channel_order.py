"""The retry policy of a message with several channels: one test per rule."""

from __future__ import annotations

from typing import Any

import pytest

from otp_service.delivery.retry_policy import CallProvider, Finish, Step, WaitFor
from otp_service.domain.channel_route import ChannelRoute
from otp_service.domain.message import Channel
from otp_service.domain.verification import Delivery
from tests.delivery.test_retry_policy import EXPIRES, HOLD, NOW, delivery, step

CHANNEL_HOLD = 20_000
WHATSAPP, SMS, VOICE = Channel.WHATSAPP, Channel.SMS, Channel.VOICE
ROUTES = (
    ChannelRoute(WHATSAPP, ("chat", "chat-2")),
    ChannelRoute(SMS, ("text", "text-2")),
    ChannelRoute(VOICE, ("call",)),
)


def auto(*deliveries: Delivery, **options: Any) -> Step:
    """Return the next step of a message with the three channels."""
    return step(*deliveries, **{"routes": ROUTES, "channel_hold": CHANNEL_HOLD, "max_texts": 3, **options})


def chat(status: str, error: str = "", at: int = NOW) -> Delivery:
    """Return the state of the message at the first WhatsApp provider."""
    return delivery("chat", status, error, at, WHATSAPP)


def test_next_channel_is_called_without_a_receipt() -> None:
    """After the hold since the acceptance; the other providers of the channel are not called."""
    assert auto() == CallProvider("chat")
    assert auto(chat("sent")) == WaitFor(CHANNEL_HOLD)
    assert auto(chat("sent"), now=NOW + CHANNEL_HOLD - 1) == WaitFor(1)
    assert auto(chat("sent"), now=NOW + CHANNEL_HOLD) == CallProvider("text")


def test_receipt_of_any_channel_ends_the_delivery() -> None:
    """Also one that comes after the next channel was used."""
    assert auto(chat("delivered"), now=NOW + CHANNEL_HOLD) == Finish()
    assert auto(chat("delivered"), delivery("text", "sent"), now=NOW + CHANNEL_HOLD) == Finish()
    assert auto(chat("delivered"), delivery("text", "queued", "transient"), now=NOW + CHANNEL_HOLD) == Finish()


def test_each_channel_has_its_own_hold() -> None:
    """It counts from the latest acceptance."""
    before = chat("sent", at=NOW - CHANNEL_HOLD)

    assert auto(before, delivery("text", "sent")) == WaitFor(CHANNEL_HOLD)
    assert auto(before, delivery("text", "sent"), now=NOW + CHANNEL_HOLD) == CallProvider("call")
    assert auto(before, delivery("text", "sent"), now=NOW + CHANNEL_HOLD, max_texts=2) == Finish()


def test_failures_use_the_next_channel_at_once() -> None:
    """When every provider of the channel has failed, also by a receipt; retries come after the other channels."""
    failed = delivery("chat-2", "failed", "config_error", channel=WHATSAPP)

    assert auto(chat("failed", "funds")) == CallProvider("chat-2")
    assert auto(chat("failed", "funds"), failed) == CallProvider("text")
    assert auto(chat("undelivered", "transient"), failed) == CallProvider("text")
    assert auto(chat("queued", "transient", at=NOW - 60_000), failed) == CallProvider("text")


@pytest.mark.parametrize("error", ["recipient_invalid", "recipient_blocked"])
def test_rejected_recipient_uses_the_next_channel_at_once(error: str) -> None:
    """A number without WhatsApp can get an SMS; the other providers of the channel are not called."""
    assert auto(chat("failed", error)) == CallProvider("text")
    assert auto(chat("undelivered", error)) == CallProvider("text")
    assert auto(chat("failed", error), delivery("text", "failed", error), delivery("call", "sent", channel=VOICE)) == (
        Finish()
    )


def test_ambiguous_outcome_keeps_its_own_hold() -> None:
    """It may have been accepted, so it counts for `max_texts`; with `hold_ms` 0 nothing follows."""
    unknown = [chat("unknown", "ambiguous"), delivery("chat-2", "failed", "funds", channel=WHATSAPP)]

    assert auto(*unknown) == WaitFor(HOLD)
    assert auto(*unknown, now=NOW + HOLD) == CallProvider("text")
    assert auto(*unknown, now=NOW + HOLD, max_texts=1) == Finish()
    assert auto(*unknown, now=NOW + 60_000, hold=0) == Finish()


def test_an_earlier_channel_is_not_used_again() -> None:
    """The SMS was accepted while WhatsApp's provider was retried."""
    failed = chat("failed", "transient", at=NOW - 60_000)

    assert auto(failed, delivery("text", "sent"), routes=ROUTES[:2], now=NOW + CHANNEL_HOLD) == Finish()


def test_hold_zero_uses_the_next_channel_only_after_failures() -> None:
    """A missing receipt changes nothing then."""
    assert auto(chat("sent"), channel_hold=0, now=NOW + 120_000) == Finish()
    assert auto(chat("failed", "recipient_invalid"), channel_hold=0) == CallProvider("text")


def test_no_channel_after_the_code_expires() -> None:
    """A hold that would end at or after the expiry is not waited for."""
    assert auto(chat("sent", at=EXPIRES - CHANNEL_HOLD), now=EXPIRES - CHANNEL_HOLD) == Finish()


def test_excluded_channel_is_skipped() -> None:
    """The circuits of all providers of the first channel are open: the next one is used at once."""
    assert auto(chat=EXPIRES, **{"chat-2": EXPIRES}) == CallProvider("text")


def test_acceptance_by_a_channel_without_a_route_is_final() -> None:
    """The config has changed since."""
    assert auto(chat("sent"), routes=ROUTES[1:], now=NOW + CHANNEL_HOLD) == Finish()
