"""Helpers for tests of the KedaSMS adapter: a test vector, the provider and a simulated gateway."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from otp_service.domain.message import OutboundMessage
from otp_service.domain.secret import Secret
from otp_service.providers.config_fields import Base64Key
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.kedasms.adapter import Kedasms
from otp_service.providers.kedasms.config import KedasmsConfig
from otp_service.sandbox.simulators.kedasms import KedasmsSimulator

KEY, API_KEY = bytes(range(32)), "kedasms-key"
NOW = 1_712_123_456
MESSAGE = OutboundMessage("m-1", "+6281210100055", "ID", "81210100055", "Acme: kode 739251 \u2713", "739251", 300)


def new_config(base_url: str, status_base_url: str, sender: str | None = None, key: bytes = KEY) -> KedasmsConfig:
    """Return the table of a provider."""
    return KedasmsConfig(
        base_url=base_url,
        status_base_url=status_base_url,
        api_key=Secret(API_KEY),
        encryption_key=Base64Key(base64.b64encode(key).decode()),
        sender_id=sender,
    )


@asynccontextmanager
async def gateway(
    simulator: KedasmsSimulator, *, our_time: float = NOW, seconds: float = 5.0, sender: str | None = None
) -> AsyncIterator[Kedasms]:
    """Run a provider, whose clock shows `our_time`, against a simulator."""
    async with simulator:
        config = new_config(simulator.url + "/", simulator.url, sender)
        provider = Kedasms("keda", config, GatewayClient(seconds), clock=lambda: our_time)
        yield provider
        await provider.close()


def new_simulator() -> KedasmsSimulator:
    """Return a simulator whose clock shows the time of the test vector."""
    return KedasmsSimulator(API_KEY, KEY, clock=lambda: NOW)
