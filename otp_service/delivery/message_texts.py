"""The text of a message on its channel: the tenant's template, or what a call says."""

from __future__ import annotations

from otp_service.domain import voice_texts
from otp_service.domain.code_binding import Transaction
from otp_service.domain.locale_matching import country_language
from otp_service.domain.message import Channel
from otp_service.domain.tenant import Tenant

__all__ = ["message_text"]


def message_text(
    tenant: Tenant,
    channel: Channel,
    code: str,
    minutes: int,
    *,
    locale: str,
    country: str,
    purpose: str,
    app: str = "",
    link: str = "",
    transaction: Transaction | None = None,
) -> tuple[str, str]:
    """Return the text, which contains the code, and its locale: the one that was asked for, or that of the call.

    Args:
        tenant: Whose brand and templates are used.
        channel: The channel; a call has texts of its own.
        code: The code.
        minutes: How long the code is valid.
        locale: The locale that was asked for; "" for the language of the number's country.
        country: The country of the number.
        purpose: What the code is for.
        app: The app whose line ends an SMS; "" for none.
        link: The address in an SMS; "" for none.
        transaction: The transaction that an SMS names; None for none.
    """
    if channel is Channel.VOICE:
        spoken = voice_texts.render(tenant.brand, code, minutes, purpose, locale or country_language(country))
        return spoken.text, spoken.locale
    secrets = {"code": code, "link": link}
    text = tenant.template_text(
        country, locale, purpose, channel, app, minutes=minutes, transaction=transaction, **secrets
    )
    return text, locale
