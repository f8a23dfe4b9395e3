"""An EIMS adapter for a simulated gateway, and the message that the tests send through it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from otp_service.domain.message import OutboundMessage
from otp_service.domain.secret import Secret
from otp_service.providers.eims.adapter import Eims
from otp_service.providers.eims.config import EimsConfig
from otp_service.providers.http_client import GatewayClient
from otp_service.sandbox.simulators.eims import EimsSimulator
from tests.delivery.gateway_config import ACCOUNT, PASSWORD

DIGITS = "6281210100055"
TEXT = "Kopi & Café: kode 123456 + \"~' 100%?#/ ✓"


def outbound(text: str = TEXT, to: str = "+" + DIGITS) -> OutboundMessage:
    """Return a message to an Indonesian number."""
    return OutboundMessage("v1", to, "ID", "81210100055", text, "123456", 300)


@contextlib.asynccontextmanager
async def eims_provider(
    gateway: EimsSimulator, *, post: bool = False, base: str = "", password: str = PASSWORD, seconds: float = 2.0
) -> AsyncIterator[Eims]:
    """Create an adapter for a gateway, and close it afterwards."""
    config = EimsConfig(
        base_url=base or gateway.url,
        account=ACCOUNT,
        password=Secret(password),
        method="post" if post else "get",
        report_poll_seconds=0.0,
    )
    provider = Eims("first", config, GatewayClient(seconds))
    try:
        yield provider
    finally:
        await provider.close()
