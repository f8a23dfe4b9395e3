"""Composes e-mails: subject, text and HTML in the language that was asked for, or in that of the tenant's country."""

from __future__ import annotations

from otp_service.domain import email_texts
from otp_service.domain.locale_matching import country_language
from otp_service.domain.message import Channel, OutboundMessage
from otp_service.domain.tenant import Tenant

__all__ = ["compose_email"]


def compose_email(
    tenant: Tenant,
    address: str,
    code: str,
    minutes: int,
    *,
    message_id: str,
    expires_in: int,
    locale: str,
    purpose: str,
    receipt_url: str = "",
) -> OutboundMessage:
    """Return the e-mail with a code; for the arguments see `OutboundMessage`."""
    wanted = locale or country_language(tenant.country)  # an address belongs to no country
    email = email_texts.render(tenant.brand, code, minutes, purpose, wanted)
    return OutboundMessage(
        message_id=message_id,
        to=address,
        country="",
        national_digits="",
        text=email.text,
        code=code,
        expires_in=expires_in,
        brand=tenant.brand,
        minutes=minutes,
        receipt_url=receipt_url,
        channel=Channel.EMAIL,
        locale=email.locale,
        purpose=purpose,
        subject=email.subject,
        html=email.html,
    )
