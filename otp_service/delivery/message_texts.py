"""The text of a message on its channel: the tenant's template, or what a call says."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from otp_service.domain import voice_texts
from otp_service.domain.message import Channel
from otp_service.domain.templates import choose_template
from otp_service.domain.tenant import Tenant

__all__ = ["message_text"]

_VOICE_LOCALES: Final[Mapping[str, str]] = MappingProxyType({"ID": "id"})
"""The language of a country's numbers, as for templates."""


def message_text(
    tenant: Tenant, channel: Channel, code: str, minutes: int, *, locale: str, country: str, purpose: str
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
    """
    if channel is Channel.VOICE:
        wanted = locale or _VOICE_LOCALES.get(country, voice_texts.FALLBACK_LOCALE)
        spoken = voice_texts.render(tenant.brand, code, minutes, purpose, wanted)
        return spoken.text, spoken.locale
    template = choose_template(tenant.templates, locale or None, country, purpose)
    return template.render(tenant.brand, code, minutes), locale
