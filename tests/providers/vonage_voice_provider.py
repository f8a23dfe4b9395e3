"""Helpers for tests of Vonage's calls: the provider, and a simulated gateway."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from otp_service.domain.secret import Secret
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.vonage_voice.adapter import VonageVoice
from otp_service.providers.vonage_voice.config import VonageVoiceConfig
from otp_service.sandbox.simulators.vonage_voice import APPLICATION_ID, VonageVoiceSimulator
from otp_service.sandbox.simulators.vonage_voice_key import simulated_key_pem

SECRET = "signature & secret"


def vonage_voice_config(**keys: Any) -> VonageVoiceConfig:
    """Return the table of a provider whose events are signed."""
    table: dict[str, Any] = {
        "application_id": APPLICATION_ID,
        "private_key": Secret(simulated_key_pem()),
        "sender": "+447700900001",
        "signature_secret": Secret(SECRET),
    }
    return VonageVoiceConfig(**table | keys)


@contextlib.asynccontextmanager
async def vonage_voice(**keys: Any) -> AsyncIterator[tuple[VonageVoice, VonageVoiceSimulator]]:
    """Run a provider with the simulated gateway that it calls."""
    async with VonageVoiceSimulator(signature_secret=SECRET) as gateway:
        provider = VonageVoice("first", vonage_voice_config(base_url=gateway.url, **keys), GatewayClient(2.0))
        yield provider, gateway
        await provider.close()
