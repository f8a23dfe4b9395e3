"""Helpers for tests of the KedaSMS adapter: a test vector, the provider and a simulated gateway."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from otp_service.domain.message import OutboundMessage
from otp_service.domain.secret import Secret
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.kedasms.adapter import Kedasms, KedasmsAccount
from otp_service.sandbox.simulators.kedasms import KedasmsSimulator

KEY, API_KEY = bytes(range(32)), "kedasms-key"
NOW = 1_712_123_456
MESSAGE = OutboundMessage("m-1", "+6281210100055", "ID", "81210100055", "Acme: kode 739251 \u2713", "739251", 300)


@asynccontextmanager
async def gateway(
    simulator: KedasmsSimulator, *, our_time: float = NOW, seconds: float = 5.0, sender: str | None = None
) -> AsyncIterator[Kedasms]:
    """Run a provider, whose clock shows `our_time`, against a simulator."""
    async with simulator:
        account = KedasmsAccount(simulator.url + "/", simulator.url, Secret(API_KEY), KEY, sender)
        provider = Kedasms("keda", account, GatewayClient(seconds), clock=lambda: our_time)
        yield provider
        await provider.close()


def new_simulator() -> KedasmsSimulator:
    """Return a simulator whose clock shows the time of the test vector."""
    return KedasmsSimulator(API_KEY, KEY, clock=lambda: NOW)
