"""Helpers for tests of the WhatsApp adapter: the provider, a message and a signed webhook call."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from otp_service.domain.message import Channel, OutboundMessage, ReceiptRequest
from otp_service.domain.secret import Secret
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.whatsapp.adapter import Whatsapp
from otp_service.providers.whatsapp.config import AuthenticationTemplate, WhatsappConfig
from otp_service.sandbox.simulators.receipt_sender import Webhook
from otp_service.sandbox.simulators.whatsapp import PHONE_NUMBER_ID, TEMPLATE, WhatsappSimulator, sign

TOKEN = "whatsapp-token"
APP_SECRET = "whatsapp-app-secret"
VERIFY_TOKEN = "vibe & coding"
TO = "+6281210100055"
MESSAGE_ID = "v1-ABC_7"


def whatsapp_config(**options: Any) -> WhatsappConfig:
    """Return the table of a provider with a template in two languages, which verifies webhooks."""
    templates = {
        "default": AuthenticationTemplate(name=TEMPLATE, language="en_US"),
        "id": AuthenticationTemplate(name=TEMPLATE, language="id"),
    }
    table: dict[str, Any] = {
        "phone_number_id": PHONE_NUMBER_ID,
        "access_token": Secret(TOKEN),
        "app_secret": Secret(APP_SECRET),
        "verify_token": Secret(VERIFY_TOKEN),
        "templates": templates,
    }
    return WhatsappConfig(**table | options)


@contextlib.asynccontextmanager
async def whatsapp(gateway: WhatsappSimulator, *, seconds: float = 2.0, **options: Any) -> AsyncIterator[Whatsapp]:
    """Run a provider that sends to a simulated gateway."""
    provider = Whatsapp("first", whatsapp_config(base_url=gateway.url, **options), GatewayClient(seconds))
    try:
        yield provider
    finally:
        await provider.close()


def outbound(to: str = TO, locale: str = "en", country: str = "ID") -> OutboundMessage:
    """Return a message to send."""
    return OutboundMessage(
        MESSAGE_ID,
        to,
        country,
        "81210100055",
        "Acme: 123456",
        "123456",
        300,
        brand="Acme",
        channel=Channel.WHATSAPP,
        locale=locale,
    )


def as_call(webhook: Webhook, **changes: Any) -> ReceiptRequest:
    """Return a webhook as the call that the service receives."""
    request: dict[str, Any] = {
        "method": "POST",
        "url": "https://otp.example.com/v1/receipts/first",
        "message_id": None,
        "now": 0.0,
        "content_type": webhook.content_type,
        "headers": {name.lower(): value for name, value in webhook.headers.items()},
        "body": webhook.body,
    }
    return ReceiptRequest(**request | changes)


def signed_call(body: str | bytes, secret: str = APP_SECRET) -> ReceiptRequest:
    """Return a call with this body that is signed with `secret`."""
    raw = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    return as_call(Webhook(raw, "application/json", {"X-Hub-Signature-256": sign(secret, raw)}))
