"""What the providers of voice calls share: types of their keys, and the language in which a message is spoken.

A gateway's speech engine has a voice for some languages only. Each provider has a table from the locales of
`domain.voice_texts` to the gateway's own names; a message in a language that it lacks is spoken in English.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta

from otp_service.domain.message import Channel, OutboundMessage
from otp_service.domain.voice_texts import FALLBACK_LOCALE, VoiceText, render, voice_locale

__all__ = ["VOICE_ONLY", "CallSeconds", "RingSeconds", "ring_seconds", "speech_for"]

RingSeconds = Annotated[int, Meta(ge=5, le=120)]
"""How long a call rings before it counts as not answered."""

CallSeconds = Annotated[int, Meta(ge=30, le=600)]
"""How long after the answer a call ends at the latest, which bounds its price."""

VOICE_ONLY: Final = frozenset({Channel.VOICE})
"""The channels of a provider of calls."""


def ring_seconds(limit: int, outbound: OutboundMessage) -> int:
    """Return how long a call rings: at most `limit`, and no longer than the code is valid."""
    return max(1, min(limit, outbound.expires_in))


def speech_for(outbound: OutboundMessage, voices: Mapping[str, object]) -> VoiceText:
    """Return what to say: the message's own text, or the English one if `voices` lacks its language."""
    locale = voice_locale(outbound.locale)
    if locale in voices:
        return VoiceText(outbound.text, locale)
    return render(outbound.brand, outbound.code, outbound.minutes, outbound.purpose, FALLBACK_LOCALE)
