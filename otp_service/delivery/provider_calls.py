"""Asking a provider safely: it is to end its call by itself and to say what went wrong, and one may not.

A package may have added it, so whatever it does is kept from those who wait for others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from otp_service.domain.message import OutboundMessage, SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.observability import LOG
from otp_service.providers.base import Provider

__all__ = ["ask", "send"]

MARGIN_SECONDS: Final = 1.0
"""So much later than its own time-out a provider is ended."""

T = TypeVar("T")
Otherwise = TypeVar("Otherwise")


async def ask(provider: Provider, call: Callable[[], Awaitable[T]], otherwise: Otherwise) -> T | Otherwise:
    """Make a call of a provider's; `otherwise` when it breaks, or does not end its call."""
    try:
        async with asyncio.timeout(provider.timeout_seconds + MARGIN_SECONDS):
            return await call()
    except Exception as problem:
        LOG.error("provider_broke", provider=provider.name, kind=type(problem).__name__)
        return otherwise


async def send(provider: Provider, outbound: OutboundMessage) -> SendResult:
    """Hand a message over; a provider that breaks may have sent it."""
    return await ask(provider, lambda: provider.send(outbound), SendResult(Outcome.AMBIGUOUS))
