"""Helpers for tests of the EIMS adapter: the provider, a simulated gateway and a message."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from otp_service.domain.message import OutboundMessage
from otp_service.domain.secret import Secret
from otp_service.providers.eims.adapter import Eims
from otp_service.providers.eims.config import EimsConfig
from otp_service.providers.http_client import GatewayClient
from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.sandbox.simulators.http_server import Respond, SimulatorResponse

ACCOUNT = "acme & sons"
PASSWORD = "p%s+w&rd=100% ü"
DIGITS = "6281210100055"
TEXT = "Café: kode 123456 + 100%"
NOW = 1_795_968_000.0
"""2026-11-29 16:00:00 UTC, which is midnight of the next day in GMT+8."""


@contextlib.asynccontextmanager
async def eims(
    gateway: EimsSimulator,
    *,
    password: str = PASSWORD,
    seconds: float = 2.0,
    now: float = NOW,
    post: bool = False,
    **account: Any,
) -> AsyncIterator[Eims]:
    """Run a provider that sends to a simulated gateway."""
    table: dict[str, Any] = {"base_url": gateway.url, "account": ACCOUNT, "password": Secret(password)}
    config = EimsConfig(**table | {"report_poll_seconds": 0.0, "method": "post" if post else "get"} | account)
    provider = Eims("first", config, GatewayClient(seconds), lambda: now)
    try:
        yield provider
    finally:
        await provider.close()


@contextlib.asynccontextmanager
async def eims_gateway(**options: Any) -> AsyncIterator[EimsSimulator]:
    """Run a simulated gateway."""
    async with EimsSimulator(ACCOUNT, PASSWORD, **({"clock": lambda: NOW} | options)) as gateway:
        yield gateway


def outbound(text: str = TEXT, to: str = "+" + DIGITS) -> OutboundMessage:
    """Return a message to send."""
    return OutboundMessage("v1", to, "ID", "81210100055", text, "123456", 300)


def responding(body: str, status: int = 200) -> Respond:
    """Return the behavior of a gateway that responds with this body and status."""
    return Respond(SimulatorResponse(body.encode(), status))
