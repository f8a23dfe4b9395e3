"""A provider that violates the port delays no other, and a call that may have sent a message is ambiguous."""

from __future__ import annotations

import asyncio

import pytest

from otp_service.delivery.provider_calls import call_safely, send
from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.providers.inbox import Inbox
from tests.providers.eims_provider import outbound


async def test_result_is_returned() -> None:
    """The result of a provider is returned unchanged."""
    assert await send(Inbox("inbox"), outbound()) == SendResult(Outcome.ACCEPTED, "v1")


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_exception_is_ambiguous(monkeypatch: pytest.MonkeyPatch, asynchronous: bool) -> None:
    """An exception, at the call or while it is awaited, is an ambiguous outcome."""

    def fails(_inbox: Inbox, _outbound: object) -> None:
        raise RuntimeError("081210100055")

    async def fails_later(_inbox: Inbox, _outbound: object) -> None:
        fails(_inbox, _outbound)

    monkeypatch.setattr(Inbox, "send", fails_later if asynchronous else fails)
    assert await send(Inbox("inbox"), outbound()) == SendResult(Outcome.AMBIGUOUS)


async def test_call_is_canceled_after_timeout() -> None:
    """One second after its own timeout a call is canceled."""
    inbox = Inbox("inbox")
    inbox.timeout_seconds = -0.95

    assert await call_safely(inbox, lambda: asyncio.sleep(60, "late"), "fallback") == "fallback"
