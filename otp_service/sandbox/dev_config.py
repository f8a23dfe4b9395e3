"""The config of `otp-service dev`: everything allowed, nothing sent, and keys that live as long as the process."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

__all__ = ["API_KEY", "TENANT", "dev_config", "merged"]

TENANT: Final = "demo"
API_KEY: Final = "dev-key"


def dev_config(redis_url: str) -> dict[str, Any]:
    """Make the config around an embedded server; its keys are fresh, so there are no default secrets."""
    return {
        "redis": {"url": redis_url},
        "keys": {"current": "dev", "index": "dev", "dev": base64.b64encode(secrets.token_bytes(32)).decode()},
        "tokens": {"issuer": "http://127.0.0.1:8000", "current": "dev", "dev": _token_key()},
        "tenants": {
            TENANT: {
                "brand": "Demo",
                "country": "ID",
                "countries": ["*"],
                "api_keys": [
                    {
                        "id": "dev",
                        "sha256": hashlib.sha256(API_KEY.encode()).hexdigest(),
                        "scopes": ["request", "verify", "read", "server", "admin"],
                    }
                ],
            }
        },
        "providers": {"inbox": {"type": "inbox"}},
        "routes": [{"providers": ["inbox"]}],
    }


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay a config file over the defaults, table by table; lists are replaced."""
    result = dict(base)
    for name, value in over.items():
        below = result.get(name)
        result[name] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return result


def _token_key() -> str:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
