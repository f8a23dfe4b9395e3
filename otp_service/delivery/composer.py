"""Composes a message: its content on a channel, and what else the provider needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from msgspec.structs import replace

from otp_service.crypto.verification_cipher import VerificationCipher
from otp_service.delivery.message_content import with_content
from otp_service.domain.caller_text import render_text
from otp_service.domain.message import Channel, OutboundMessage
from otp_service.domain.phone import national_digits
from otp_service.domain.results import ClaimedMessage
from otp_service.domain.templates import validity_minutes
from otp_service.domain.tenant import Tenant

__all__ = ["Composer"]

_MS: Final = 1000


def _no_receipt_url(_provider: str, _message_id: str, _call: int) -> str:
    return ""


class Composer:
    """Opens the sealed recipient once for a delivery and the code right before a call, and renders the text."""

    def __init__(
        self,
        tenants: Mapping[str, Tenant],
        cipher: VerificationCipher,
        receipt_url: Callable[[str, str, int], str] = _no_receipt_url,
    ) -> None:
        """Compose for `tenants`.

        Args:
            tenants: The configured tenants by name.
            cipher: Decrypts the recipient and the code.
            receipt_url: Returns the URL for a provider's receipts of a message, from the provider's name, our
                message id and the number of the call; "" for none.
        """
        self._tenants = tenants
        self._cipher = cipher
        self._receipt_url = receipt_url

    def has_tenant(self, message: ClaimedMessage) -> bool:
        """Return whether the message's tenant is configured on this replica."""
        return message.record.tenant in self._tenants

    def channels(self, message: ClaimedMessage) -> tuple[Channel, ...]:
        """Return the channels of a message in their order; empty if this replica cannot send it."""
        tenant = self._tenants.get(message.record.tenant)
        return tenant.channels_of(message.record.channel) if tenant else ()

    def compose(
        self, message: ClaimedMessage, recipient: str, channel: Channel, provider: str, now_ms: int
    ) -> OutboundMessage:
        """Compose the message to `recipient` (from `open_recipient`) for a provider; the tenant must be configured.

        Raises:
            DecryptionError: The code cannot be opened.
        """
        record = message.record
        tenant = self._tenants[record.tenant]
        content = self._cipher.open_content(message.id, message.sealed_code, record)
        is_email = channel is Channel.EMAIL
        outbound = OutboundMessage(
            message_id=message.id,
            to=recipient,
            country="" if is_email else record.country,
            national_digits="" if is_email else national_digits(recipient),
            text="",
            code=content.code,
            expires_in=max(1, (record.expires_ms - now_ms) // _MS),
            brand=tenant.brand,
            minutes=validity_minutes((record.expires_ms - record.created_ms) // _MS),
            receipt_url=self._receipt_url(provider, message.id, record.lease),
            channel=channel,
            locale=record.locale,
            purpose=record.purpose,
        )
        outbound = with_content(outbound, tenant, app=record.app, link=content.link, transaction=content.transaction)
        if content.text and channel is Channel.SMS:
            return replace(outbound, text=render_text(content.text, content.code))
        return outbound

    def open_recipient(self, message: ClaimedMessage) -> str:
        """Return the recipient's number in E.164, or the address; raises `DecryptionError` if it cannot be opened."""
        return self._cipher.open_recipient(message.id, message.record)
