"""A text on trial: one real message through one provider, for an operator who wants to see it arrive.

It goes the way of every message as far as the gateway is concerned: circuit, pace, calls at a time, caps and price, so
that it is counted, and that what it tells is true of the others. It is nobody's proof: no code of it is kept, and no
receipt of it is awaited.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from dataclasses import dataclass
from typing import Final

from otp_service.crypto.codes import new_code
from otp_service.delivery.provider_calls import send
from otp_service.domain.errors import Refused
from otp_service.domain.message import OutboundMessage, SendResult
from otp_service.domain.phone import PhoneNumber
from otp_service.domain.provider_policy import DeferReason, Deferred, Permit, ProviderLimiter
from otp_service.domain.sms_segments import segments
from otp_service.domain.templates import DEFAULT_PURPOSE, choose, whole_minutes
from otp_service.domain.tenant import Tenant
from otp_service.providers.base import Provider

__all__ = ["TestSendResult", "compose_test_message", "send_test_message"]

PATIENCE_SECONDS: Final = 30.0
"""For how long a trial waits for its turn, as a message would."""

_ID_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class TestSendResult:
    """What the gateway said and when, and what the text costs, in millionths."""

    result: SendResult
    duration_ms: int
    segments: int
    cost: int


def compose_test_message(tenant: Tenant, number: PhoneNumber, locale: str) -> OutboundMessage:
    """Write what a tenant's recipient would read in `locale`, with a fresh code that opens nothing."""
    code, minutes = new_code(tenant.code_length), whole_minutes(tenant.sends.ttl_seconds)
    template = choose(tenant.templates, locale or None, number.country, DEFAULT_PURPOSE)
    return OutboundMessage(
        message_id=f"try-{secrets.token_urlsafe(_ID_BYTES)}",
        to=number.e164,
        country=number.country,
        national_digits=number.national_digits,
        text=template.render(tenant.brand, code, minutes),
        code=code,
        expires_in=tenant.sends.ttl_seconds,
        brand=tenant.brand,
        minutes=minutes,
    )


async def send_test_message(
    provider: Provider, limiter: ProviderLimiter, tenant: str, outbound: OutboundMessage
) -> TestSendResult | Deferred:
    """Send it once; `Deferred` when the gateway may not be asked now. Raises `Refused` when the store is away."""
    parts = segments(outbound.text)
    permit = await _turn(provider, limiter, tenant, outbound, parts)
    if isinstance(permit, Deferred):
        return permit
    loop = asyncio.get_running_loop()
    started = loop.time()
    answer = await send(provider, outbound)
    duration_ms = int((loop.time() - started) * 1000)
    with contextlib.suppress(Refused):  # the store is away by now: the call's place lapses by itself
        await limiter.release(permit, answer)
    return TestSendResult(answer, duration_ms, parts, permit.cost)


async def _turn(
    provider: Provider, limiter: ProviderLimiter, tenant: str, outbound: OutboundMessage, parts: int
) -> Permit | Deferred:
    """Wait for the gateway's pace and places; whatever else is in the way is told at once."""
    loop = asyncio.get_running_loop()
    until = loop.time() + PATIENCE_SECONDS
    while True:
        permit = await limiter.acquire(
            provider.name,
            tenant,
            outbound.message_id,
            country=outbound.country,
            segments=parts,
            max_wait_ms=max(0, int((until - loop.time()) * 1000)),
        )
        if isinstance(permit, Permit) or permit.reason is not DeferReason.WAIT:
            return permit
        await asyncio.sleep(permit.retry_in_ms / 1000)
