"""Calls providers with a deadline, and turns exceptions into results.

A provider limits its calls to its own timeout and does not raise. A plugin may break these rules, so they are
enforced here: a faulty provider must not stop the delivery through others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeVar

from otp_service.domain.message import OutboundMessage, SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.observability import LOG
from otp_service.providers.base import Provider

__all__ = ["acquire_slot", "call_safely", "send"]

TIMEOUT_MARGIN_SECONDS: Final = 1.0
"""A call is canceled this long after the provider's own timeout."""

SLOT_WAIT_SECONDS: Final = 2.0
"""How long a message waits in this process for one of the provider's calls to end; shorter than its lease."""

T = TypeVar("T")
Fallback = TypeVar("Fallback")


async def call_safely(provider: Provider, call: Callable[[], Awaitable[T]], fallback: Fallback) -> T | Fallback:
    """Return the result of a call to a provider, or `fallback` if the call raises or exceeds its timeout."""
    try:
        async with asyncio.timeout(provider.timeout_seconds + TIMEOUT_MARGIN_SECONDS):
            return await call()
    except Exception as error:
        LOG.error("provider_call_failed", provider=provider.name, kind=type(error).__name__)
        return fallback


def send(provider: Provider, outbound: OutboundMessage) -> Awaitable[SendResult]:
    """Send a message; a call that raises may have sent it, so its outcome is ambiguous."""
    return call_safely(provider, partial(provider.send, outbound), SendResult(Outcome.AMBIGUOUS))


async def acquire_slot(slots: asyncio.Semaphore) -> bool:
    """Acquire a slot; return False if none became free in time. A free one is taken without a timer."""
    if not slots.locked():
        return await slots.acquire()
    try:
        async with asyncio.timeout(SLOT_WAIT_SECONDS):
            return await slots.acquire()
    except TimeoutError:
        return False
