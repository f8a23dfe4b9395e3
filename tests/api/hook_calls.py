"""Calls of code hooks as the products make them, and the config of tenants that have some.

The bodies are those that the products' sources build: supabase/auth (internal/hooks/v0hooks/v0hooks.go and
hookshttp/hookshttp.go), ory/kratos (courier/http_channel.go, courier/template/sms), and
netzbegruenung/keycloak-mfa-plugins (sms-authenticator, ApiSmsService.java).
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any
from urllib.parse import quote_plus

import httpx

from otp_service.crypto.standard_webhooks import parse_webhook_secret, sign_webhook
from otp_service.providers.inbox import InboxMessage
from tests.config_parts import api_key, shared_keys, tenant
from tests.problem_assertions import assert_common_headers
from tests.running_service import RunningService

SECRET = "v1,whsec_" + base64.b64encode(b"supabase" * 4).decode()
OLD_SECRET = "v1,whsec_" + base64.b64encode(b"previous" * 4).decode()
TOKEN = "kratos-token-0123456789"
PHONE = "+6281210100055"
CODE = "012345"

KRATOS: dict[str, Any] = {"type": "kratos", "secret": TOKEN}
KEYCLOAK: dict[str, Any] = {"type": "keycloak", "secret": TOKEN}
CONFIG: dict[str, Any] = {
    **shared_keys(),
    "tenants": {
        "demo": {
            "hooks": {
                "auth": {"type": "supabase", "secret": SECRET, "previous_secret": OLD_SECRET, "ttl_seconds": 60},
                "courier": {**KRATOS, "purposes": {"recovery_code_valid": "password_reset"}},
                "courier-text": {**KRATOS, "text": "given"},
                "realm": KEYCLOAK,
                "realm-text": {
                    **KEYCLOAK,
                    "text": "given",
                    "message_attribute": "body",
                    "receiver_attribute": "msisdn",
                },
            },
        },
        "other": tenant(
            api_key("other", "request", "verify", "read"),
            hooks={"other-auth": {"type": "supabase", "secret": SECRET, "client_ip": True}},
        ),
    },
    "limits": {"client_ip": ["2/3600"]},
}


def supabase_body(phone: str = PHONE, otp: str = CODE, **sms: str) -> dict[str, Any]:
    """Return what GoTrue posts for a user; it stores numbers without `+`."""
    return {
        "metadata": {"uuid": "8c9b", "time": "2026-11-27T13:00:00Z", "name": "send-sms", "ip_address": "203.0.113.9"},
        "user": {
            "id": "6481a5c1-3d37-4a56-9f6a-bee08c554965",
            "aud": "authenticated",
            "role": "authenticated",
            "email": "",
            "phone": phone.removeprefix("+"),
            "app_metadata": {"provider": "phone", "providers": ["phone"]},
            "user_metadata": {},
            "identities": [{"identity_data": {"phone": "+15005550006", "phone_verified": True}}],
            "is_anonymous": False,
        },
        "sms": {"otp": otp, **sms},
    }


async def call_supabase(
    service: RunningService,
    body: Any,
    *,
    name: str = "auth",
    secrets: tuple[str, ...] = (SECRET,),
    webhook_id: str = "2f1f-4a",
    age: int = 0,
    **headers: str,
) -> httpx.Response:
    """Call the hook as GoTrue does, with one signature for each of `secrets`."""
    raw = json.dumps(body).encode()
    sent_at = int(time.time()) - age
    signatures = sign_webhook([parse_webhook_secret(secret) for secret in secrets], webhook_id, sent_at, raw)
    sent = {
        "Content-Type": "application/json",
        "Webhook-Id": webhook_id,
        "Webhook-Timestamp": str(sent_at),
        "Webhook-Signature": signatures.replace(" ", ", "),
        **headers,
    }
    response = await service.caller(None).post(f"/v1/hooks/supabase/{name}", content=raw, headers=sent)
    assert_common_headers(response)
    return response


def kratos_body(template: str = "login_code", recipient: str = PHONE, code: str = CODE) -> dict[str, Any]:
    """Return what Kratos posts with the Jsonnet `function(ctx) ctx`."""
    return {
        "recipient": recipient,
        "subject": "",
        "body": f"Your login code is: {code}\n",
        "template_type": f"{template}_valid",
        "template_data": {
            "to": recipient,
            template: code,
            "identity": {"id": "1", "traits": {"phone": recipient}},
            "request_url": "https://auth.example.com/self-service/login",
            "transient_payload": {},
            "expires_in_minutes": 15,
        },
        "message_type": "sms",
    }


async def call_hook(
    service: RunningService, path: str, body: Any, *, authorization: str | None = f"Bearer {TOKEN}"
) -> httpx.Response:
    """Post JSON to a hook of Kratos or Keycloak."""
    credentials = {b"Authorization": authorization.encode("latin-1")} if authorization else {}
    headers = {b"Content-Type": b"application/json"} | credentials
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = await service.caller(None).post(f"/v1/hooks/{path}", content=content, headers=headers)
    assert_common_headers(response)
    return response


def keycloak_json(message: str, phone: str = PHONE, token: str = TOKEN) -> bytes:
    """Return the JSON of the plugin, which joins texts: it does not escape them."""
    return f'{{"token":"{token}","message":"{message}","to":"{phone}","from":"Acme"}}'.encode()


def keycloak_form(message: str, phone: str = PHONE) -> bytes:
    """Return the form of the plugin with `urlencode`."""
    values = {"token": TOKEN, "message": message, "to": phone, "from": "Acme"}
    return "&".join(f"{name}={quote_plus(value)}" for name, value in values.items()).encode()


async def messages(service: RunningService, count: int) -> list[InboxMessage]:
    """Wait for exactly this many messages, newest first."""
    async with asyncio.timeout(5):
        while len(service.inbox.messages()) < count:
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.02)  # one too many would be sent at once, too
    found = list(service.inbox.messages())
    assert len(found) == count
    return found
