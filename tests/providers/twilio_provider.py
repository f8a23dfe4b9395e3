"""Helpers for tests of the Twilio adapter: the provider, a simulated gateway, a message and a signed callback."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlencode

from otp_service.domain.message import OutboundMessage, ReceiptRequest
from otp_service.domain.secret import Secret
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.twilio.adapter import Twilio
from otp_service.providers.twilio.config import TwilioConfig
from otp_service.sandbox.simulators.http_server import Respond, SimulatorResponse
from otp_service.sandbox.simulators.twilio import ACCOUNT_SID, TwilioSimulator, sign

TOKEN = "t%k&+ü"
TO = "+6281210100055"
TEXT = "Acme & Söhne: kode 123456 + 100%"
RECEIPT_URL = "https://otp.example.com/v1/receipts/first/v1-ABC_7.mac"
SEND_PATH = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json"


def twilio_config(**account: Any) -> TwilioConfig:
    """Return the table of a provider that sends from `Acme`, with the account's auth token."""
    table: dict[str, Any] = {"account_sid": ACCOUNT_SID, "auth_token": Secret(TOKEN), "sender": "Acme"}
    return TwilioConfig(**table | account)


@contextlib.asynccontextmanager
async def twilio(gateway: TwilioSimulator, *, seconds: float = 2.0, **account: Any) -> AsyncIterator[Twilio]:
    """Run a provider that sends to a simulated gateway."""
    provider = Twilio("first", twilio_config(base_url=gateway.url, **account), GatewayClient(seconds))
    try:
        yield provider
    finally:
        await provider.close()


@contextlib.asynccontextmanager
async def twilio_gateway(**options: Any) -> AsyncIterator[TwilioSimulator]:
    """Run a simulated gateway."""
    async with TwilioSimulator(ACCOUNT_SID, TOKEN, **options) as gateway:
        yield gateway


def outbound(*, expires_in: int = 300, receipt_url: str = "") -> OutboundMessage:
    """Return a message to send."""
    return OutboundMessage(
        "v1-ABC_7",
        TO,
        "ID",
        "81210100055",
        TEXT,
        "123456",
        expires_in,
        brand="Acme",
        minutes=5,
        receipt_url=receipt_url,
    )


def responding(body: str | bytes, status: int = 200, **headers: str) -> Respond:
    """Return the behavior of a gateway that responds with this body, status and headers."""
    raw = body.encode() if isinstance(body, str) else body
    return Respond(SimulatorResponse(raw, status, {name.replace("_", "-"): value for name, value in headers.items()}))


def callback(
    fields: Mapping[str, str], *, token: str = TOKEN, url: str = RECEIPT_URL, **changes: Any
) -> ReceiptRequest:
    """Return a status callback with these fields that is signed with `token` for `url`."""
    headers = {"x-twilio-signature": sign(token, url, fields)}
    request: dict[str, Any] = {"method": "POST", "url": url, "message_id": "v1-ABC_7", "now": 0.0, "headers": headers}
    return ReceiptRequest(**request | {"body": urlencode(fields).encode()} | changes)
