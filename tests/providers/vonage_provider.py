"""Helpers for tests of the Vonage adapter: the provider, a simulated gateway, a message and receipts."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl

from otp_service.domain.message import OutboundMessage, ReceiptRequest
from otp_service.domain.secret import Secret
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.vonage.adapter import Vonage
from otp_service.providers.vonage.config import VonageConfig
from otp_service.sandbox.simulators.receipt_sender import Webhook
from otp_service.sandbox.simulators.vonage import VonageSimulator
from otp_service.sandbox.simulators.vonage_receipts import ReceiptBuilder

KEY = "abcd1234"
SECRET = "s%c&ret ü"
SIGNATURE_SECRET = "signature & secret="
TO = "+6281210100055"
NOW = 1_796_000_000.5
TEXT = "Acme: kode 123456 & 100%"
MESSAGE_ID = "v1-ABC_7"
PART_ID = "0A00000000000001"


def vonage_config(**account: Any) -> VonageConfig:
    """Return a config with the account of these tests."""
    defaults: dict[str, Any] = {
        "base_url": "http://127.0.0.1:9", "api_key": KEY, "api_secret": Secret(SECRET), "sender": "Acme",
    }  # fmt: skip
    return VonageConfig(**defaults | account)


@contextlib.asynccontextmanager
async def vonage(gateway: VonageSimulator, *, seconds: float = 2.0, **account: Any) -> AsyncIterator[Vonage]:
    """Run a provider that sends to a simulated gateway."""
    config = vonage_config(base_url=gateway.url, **account)
    provider = Vonage("vonage", config, GatewayClient(seconds), lambda: NOW)
    try:
        yield provider
    finally:
        await provider.close()


@contextlib.asynccontextmanager
async def vonage_gateway(**options: Any) -> AsyncIterator[VonageSimulator]:
    """Run a simulated gateway with the account of these tests."""
    defaults: dict[str, Any] = {"signature_key": SIGNATURE_SECRET, "clock": lambda: NOW}
    async with VonageSimulator(KEY, SECRET, **defaults | options) as gateway:
        yield gateway


def outbound(text: str = TEXT, *, to: str = TO, expires_in: int = 300, receipt_url: str = "") -> OutboundMessage:
    """Return a message to send."""
    return OutboundMessage(MESSAGE_ID, to, "ID", "81210100055", text, "123456", expires_in, receipt_url=receipt_url)


def receipt(
    status: str = "delivered", *, secret: str = SIGNATURE_SECRET, method: Any = "md5hash", **facts: Any
) -> Webhook:
    """Return a receipt as the gateway sends it; it is not signed if `secret` is empty."""
    defaults: dict[str, Any] = {
        "at": NOW, "message_id": PART_ID, "msisdn": TO.removeprefix("+"), "sender": "Acme", "client_ref": MESSAGE_ID,
    }  # fmt: skip
    return ReceiptBuilder(KEY, secret, method).build(status, **defaults | facts)


def as_call(webhook: Webhook, *, message_id: str | None = None, now: float = NOW) -> ReceiptRequest:
    """Return the call that our API passes to the adapter; `message_id` is that of a valid token in the URL."""
    return ReceiptRequest(
        webhook.method,
        "https://otp.example.com/v1/receipts/vonage",
        message_id,
        now,
        content_type=webhook.content_type,
        query=parse_qsl(webhook.query, keep_blank_values=True),
        body=webhook.body,
    )
