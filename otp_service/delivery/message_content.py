"""The content of a message in the recipient's language: the tenant's template, an e-mail, or what a call says."""

from __future__ import annotations

from msgspec.structs import replace

from otp_service.domain import email_texts, voice_texts
from otp_service.domain.code_binding import Transaction
from otp_service.domain.locale_matching import country_language
from otp_service.domain.message import Channel, OutboundMessage
from otp_service.domain.tenant import Tenant, TextContext

__all__ = ["with_content"]


def with_content(
    outbound: OutboundMessage, tenant: Tenant, *, app: str = "", link: str = "", transaction: Transaction | None = None
) -> OutboundMessage:
    """Return a message, which has no content yet, with its text and the locale of that.

    Args:
        outbound: The message; its `locale` is the one that was asked for, "" for the language of the country.
        tenant: Whose brand and templates are used. The country of an e-mail is the tenant's.
        app: The app whose line ends an SMS; "" for none.
        link: The address in an SMS; "" for none.
        transaction: The transaction that an SMS names; None for none.
    """
    code, minutes, purpose = outbound.code, outbound.minutes, outbound.purpose
    if outbound.channel is Channel.EMAIL:
        locale = outbound.locale or country_language(tenant.country)
        email = email_texts.render(tenant.brand, code, minutes, purpose, locale)
        return replace(outbound, subject=email.subject, text=email.text, html=email.html, locale=email.locale)
    needs_text = transaction is not None
    if outbound.channel is Channel.VOICE:
        locale = outbound.locale or country_language(outbound.country)
        spoken = voice_texts.render(tenant.brand, code, minutes, purpose, locale)
        return replace(outbound, text=spoken.text, locale=spoken.locale, needs_text=needs_text)
    context = TextContext(outbound.country, outbound.locale, purpose, outbound.channel, app, link, transaction)
    text = tenant.template_text(context, code=code, minutes=minutes)
    return replace(outbound, text=text, link=link if outbound.channel is Channel.SMS else "", needs_text=needs_text)
