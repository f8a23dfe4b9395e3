"""Sends one real message through one provider, so that an operator can check that it arrives.

The message counts like every other one for the provider: circuit, rate, concurrent calls, caps and price. No
verification belongs to it: its code is not stored, and no receipt is expected.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from dataclasses import dataclass
from typing import Final

from otp_service.crypto.codes import generate_code
from otp_service.delivery.message_content import with_content
from otp_service.delivery.provider_calls import send
from otp_service.domain.email_address import EmailAddress
from otp_service.domain.errors import Refused
from otp_service.domain.message import Channel, OutboundMessage, SendResult
from otp_service.domain.phone import national_digits
from otp_service.domain.provider_policy import DeferReason, Deferred, Permit, ProviderLimiter
from otp_service.domain.recipient import Recipient
from otp_service.domain.templates import DEFAULT_PURPOSE, validity_minutes
from otp_service.domain.tenant import Tenant
from otp_service.providers.base import Provider

__all__ = ["TestSendResult", "compose_test_message", "send_test_message"]

MAX_WAIT_SECONDS: Final = 30.0
"""How long a test message waits in the provider's queue."""

_ID_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class TestSendResult:
    """The result of the call, its duration, and the cost of the message in millionths."""

    result: SendResult
    duration_ms: int
    segments: int
    cost: int


def compose_test_message(
    tenant: Tenant, recipient: Recipient, locale: str, channel: Channel = Channel.SMS, app: str = ""
) -> OutboundMessage:
    """Compose what a recipient of the tenant would get in `locale`, with a random code that verifies nothing."""
    is_email = isinstance(recipient, EmailAddress)
    outbound = OutboundMessage(
        message_id=f"try-{secrets.token_urlsafe(_ID_BYTES)}",
        to=recipient.to,
        country=recipient.country,
        national_digits="" if is_email else national_digits(recipient.to),
        text="",
        code=generate_code(tenant.code_length),
        expires_in=tenant.send_policy.ttl_seconds,
        brand=tenant.brand,
        minutes=validity_minutes(tenant.send_policy.ttl_seconds),
        channel=Channel.EMAIL if is_email else channel,
        locale=locale,
        purpose=DEFAULT_PURPOSE,
    )
    return with_content(outbound, tenant, app=app)


async def send_test_message(
    provider: Provider, limiter: ProviderLimiter, tenant: str, outbound: OutboundMessage
) -> TestSendResult | Deferred:
    """Send the message once.

    Returns:
        The result; `Deferred` if the provider may not be called now.

    Raises:
        Refused: The store is unavailable, so nothing was sent.
    """
    parts = outbound.segments
    permit = await _wait_for_permit(provider, limiter, tenant, outbound, parts)
    if isinstance(permit, Deferred):
        return permit
    loop = asyncio.get_running_loop()
    started = loop.time()
    result = await send(provider, outbound)
    duration_ms = int((loop.time() - started) * 1000)
    with contextlib.suppress(Refused):  # the store is unavailable: the permit expires by itself
        await limiter.release(permit, result)
    return TestSendResult(result, duration_ms, parts, permit.cost)


async def _wait_for_permit(
    provider: Provider, limiter: ProviderLimiter, tenant: str, outbound: OutboundMessage, parts: int
) -> Permit | Deferred:
    """Wait for the provider's rate and concurrency; return any other reason to defer at once."""
    loop = asyncio.get_running_loop()
    until = loop.time() + MAX_WAIT_SECONDS
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
