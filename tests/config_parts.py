"""Parts of configs: API keys, tenants, encryption keys that replicas share, a slow hash."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

SLOW_HASHING: dict[str, Any] = {"hashing": {"time_cost": 3, "memory_kib": 65536, "prepared": 0}}
"""A hash of 0.1 s or more that is never prepared, so that a second request arrives while the first is in progress."""


def api_key(name: str, *scopes: str, **members: Any) -> dict[str, Any]:
    """Return an API key whose secret is its id."""
    return {"id": name, "sha256": hashlib.sha256(name.encode()).hexdigest(), "scopes": list(scopes), **members}


def tenant(*keys: dict[str, Any], **members: Any) -> dict[str, Any]:
    """Return a tenant in Indonesia."""
    return {"country": "ID", "api_keys": list(keys), **members}


def demo_policy(**policy: Any) -> dict[str, Any]:
    """Return a config that sets the policy of the tenant that `RunningService.client` uses."""
    return {"tenants": {"demo": {"policy": policy}}}


def shared_keys() -> dict[str, Any]:
    """Return a config with encryption keys that several replicas can share."""
    key = base64.b64encode(bytes(32)).decode()
    return {"keys": {"current": "shared", "index": "shared", "shared": key}}
