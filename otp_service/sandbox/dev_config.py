"""The configuration of `otp-service dev`: every country and channel, inboxes as providers, new keys each time."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from typing import Any, Final

from otp_service.crypto.pem import new_ed25519_pem

__all__ = ["API_KEY", "TENANT", "dev_config", "merged"]

TENANT: Final = "demo"
API_KEY: Final = "dev-key"
_INBOXES: Final = {"sms": "inbox", "whatsapp": "whatsapp-inbox", "voice": "voice-inbox", "email": "email-inbox"}
"""A provider for each channel, because `auto` calls a provider once."""


def dev_config(redis_url: str) -> dict[str, Any]:
    """Return the configuration for the store at `redis_url`, with new keys: there are no default secrets."""
    return {
        "redis": {"url": redis_url},
        "keys": {"current": "dev", "index": "dev", "dev": base64.b64encode(secrets.token_bytes(32)).decode()},
        "tokens": {"issuer": "http://127.0.0.1:8000", "current": "dev", "dev": new_ed25519_pem()},
        "tenants": {
            TENANT: {
                "brand": "Demo",
                "country": "ID",
                "countries": ["*"],
                "purposes": ["login", "registration", "password_reset", "transfer"],
                "policy": {"channels": ["whatsapp", "sms", "voice", "email"]},
                "camara": {"enabled": True},
                "api_keys": [
                    {
                        "id": "dev",
                        "sha256": hashlib.sha256(API_KEY.encode()).hexdigest(),
                        "scopes": ["request", "verify", "read", "server", "admin"],
                    }
                ],
            }
        },
        "providers": {name: {"type": "inbox"} for name in _INBOXES.values()},
        "routes": [
            {"providers": ["inbox"]},
            *({"channel": channel, "providers": [name]} for channel, name in _INBOXES.items() if channel != "sms"),
        ],
    }


def merged(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `overrides`: tables are merged recursively, lists are replaced."""
    result = dict(base)
    for name, value in overrides.items():
        default = result.get(name)
        result[name] = merged(default, value) if isinstance(default, Mapping) and isinstance(value, Mapping) else value
    return result
