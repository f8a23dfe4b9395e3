"""Helpers for tests of Twilio's calls: the provider, a message to speak, and a signed status callback."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from otp_service.domain import voice_texts
from otp_service.domain.message import Channel, OutboundMessage
from otp_service.domain.secret import Secret
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.twilio_voice.adapter import TwilioVoice
from otp_service.providers.twilio_voice.config import TwilioVoiceConfig
from otp_service.sandbox.simulators.twilio_voice import ACCOUNT_SID, TwilioVoiceSimulator
from tests.providers.twilio_provider import TOKEN

CALLER = "+15005550006"


def voice_config(**account: Any) -> TwilioVoiceConfig:
    """Return the table of a provider with the account's auth token."""
    table: dict[str, Any] = {"account_sid": ACCOUNT_SID, "auth_token": Secret(TOKEN), "sender": CALLER}
    return TwilioVoiceConfig(**table | account)


@contextlib.asynccontextmanager
async def twilio_voice(
    *, seconds: float = 2.0, **account: Any
) -> AsyncIterator[tuple[TwilioVoice, TwilioVoiceSimulator]]:
    """Run a provider with the simulated gateway that it calls."""
    async with TwilioVoiceSimulator(ACCOUNT_SID, TOKEN) as gateway:
        provider = TwilioVoice("first", voice_config(base_url=gateway.url, **account), GatewayClient(seconds))
        yield provider, gateway
        await provider.close()


def outbound_call(
    locale: str = "en", *, brand: str = "Acme", expires_in: int = 300, receipt_url: str = ""
) -> OutboundMessage:
    """Return a message to speak in the language of `locale`."""
    spoken = voice_texts.render(brand, "190466", 5, "login", locale)
    return OutboundMessage(
        "v1-ABC_7",
        "+6281210100055",
        "ID",
        "81210100055",
        spoken.text,
        "190466",
        expires_in,
        brand=brand,
        minutes=5,
        receipt_url=receipt_url,
        channel=Channel.VOICE,
        locale=spoken.locale,
        purpose="login",
    )
