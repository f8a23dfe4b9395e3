"""Resolves ambiguous outcomes: asks a gateway whether it accepted the message, before another provider gets it.

Only for gateways that list what they accepted (`LookupProvider`). A message that is found counts as accepted, so no
second SMS is sent. One that is not found stays ambiguous, and goes to the next provider as without a lookup.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from otp_service.delivery.provider_calls import call_safely
from otp_service.domain.verification import VerificationRecord
from otp_service.observability import LOG
from otp_service.providers.base import LookupProvider, Provider

__all__ = ["find_message", "searchable"]

_MS: Final = 1000


def searchable(providers: Mapping[str, Provider]) -> dict[str, LookupProvider]:
    """Return those of `providers` that are asked for messages with an ambiguous outcome."""
    return {
        name: provider
        for name, provider in providers.items()
        if isinstance(provider, LookupProvider) and provider.finds_messages
    }


async def find_message(provider: LookupProvider, phone: str, record: VerificationRecord) -> str:
    """Return the gateway's id of the message of `record` to `phone`; "" if it is not found.

    No message of this verification was accepted before the verification was created.
    """
    found = await call_safely(
        provider, lambda: provider.find_message(phone, record.country, record.created_ms / _MS), ""
    )
    LOG.info("message_lookup", provider=provider.name, tenant=record.tenant, found=bool(found))
    return found
