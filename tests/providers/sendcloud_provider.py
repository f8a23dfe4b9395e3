"""Helpers for tests of the SendCloud adapter: the provider, a simulated gateway and a message."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from otp_service.domain.message import OutboundMessage
from otp_service.domain.secret import Secret
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.sendcloud.adapter import Sendcloud
from otp_service.providers.sendcloud.config import SendcloudConfig
from otp_service.sandbox.simulators.http_server import Respond, SimulatorResponse
from otp_service.sandbox.simulators.sendcloud import SendcloudSimulator

KEY = "k%y&+ü"
TO = "+6281210100055"
NOW = 1_796_000_000.5
TEXT = "Acme & Söhne: kode 123456 + 100%"


@contextlib.asynccontextmanager
async def sendcloud(
    gateway: SendcloudSimulator, *, key: str = KEY, seconds: float = 2.0, **account: Any
) -> AsyncIterator[Sendcloud]:
    """Run a provider that sends to a simulated gateway."""
    defaults: dict[str, Any] = {
        "base_url": gateway.url,
        "sms_user": "acme_sms",
        "sms_key": Secret(key),
        "template_id": 1234,
    }
    provider = Sendcloud("aurora", SendcloudConfig(**defaults | account), GatewayClient(seconds), lambda: NOW)
    try:
        yield provider
    finally:
        await provider.close()


@contextlib.asynccontextmanager
async def sendcloud_gateway(**options: Any) -> AsyncIterator[SendcloudSimulator]:
    """Run a simulated gateway."""
    async with SendcloudSimulator("acme_sms", KEY, **({"clock": lambda: NOW} | options)) as gateway:
        yield gateway


def outbound(message_id: str = "v1-ABC_7", to: str = TO, brand: str = "Acme") -> OutboundMessage:
    """Return a message to send."""
    return OutboundMessage(message_id, to, "ID", "81210100055", TEXT, "123456", 300, brand=brand, minutes=5)


def responding(body: str | bytes, status: int = 200, **headers: str) -> Respond:
    """Return the behavior of a gateway that responds with this body, status and headers."""
    raw = body.encode() if isinstance(body, str) else body
    return Respond(SimulatorResponse(raw, status, {name.replace("_", "-"): value for name, value in headers.items()}))
