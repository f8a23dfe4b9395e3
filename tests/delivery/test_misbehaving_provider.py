"""A provider that does not keep to its port holds nobody up, and what it may have done is not forgotten."""

from __future__ import annotations

import asyncio

import pytest

from otp_service.delivery.provider_calls import call_safely, send
from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.providers.inbox import Inbox
from tests.delivery.eims_adapter import outbound


async def test_its_answer_is_given_on() -> None:
    """As it is."""
    assert await send(Inbox("inbox"), outbound()) == SendResult(Outcome.ACCEPTED, "v1")


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_one_that_breaks_may_have_sent(monkeypatch: pytest.MonkeyPatch, asynchronous: bool) -> None:
    """Whether it breaks while it is called or while it is waited for."""

    def breaks(_inbox: Inbox, _sending: object) -> None:
        raise RuntimeError("081210100055")

    async def breaks_later(_inbox: Inbox, _sending: object) -> None:
        breaks(_inbox, _sending)

    monkeypatch.setattr(Inbox, "send", breaks_later if asynchronous else breaks)
    assert await send(Inbox("inbox"), outbound()) == SendResult(Outcome.AMBIGUOUS)


async def test_one_that_does_not_end_is_ended() -> None:
    """A second after its own time-out."""
    inbox = Inbox("inbox")
    inbox.timeout_seconds = -0.95

    assert await call_safely(inbox, lambda: asyncio.sleep(60, "late"), "otherwise") == "otherwise"
