"""Parts of a configuration: tenants, API keys, keys that replicas share, a slow hash."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

SLOW_HASHING: dict[str, Any] = {"hashing": {"time_cost": 3, "memory_kib": 65536}}
"""A hash of a tenth of a second and more: time for a second request to meet the first."""


def api_key(name: str, *scopes: str) -> dict[str, Any]:
    """Configure a key that is its own name."""
    return {"id": name, "sha256": hashlib.sha256(name.encode()).hexdigest(), "scopes": list(scopes)}


def tenant(*keys: dict[str, Any], **members: Any) -> dict[str, Any]:
    """Configure a tenant in Indonesia."""
    return {"country": "ID", "api_keys": list(keys), **members}


def demo_policy(**policy: Any) -> dict[str, Any]:
    """Configure the tenant that `RunningService.client` calls as."""
    return {"tenants": {"demo": {"policy": policy}}}


def shared_keys() -> dict[str, Any]:
    """Configure keys that two replicas have in common."""
    key = base64.b64encode(bytes(32)).decode()
    return {"keys": {"current": "shared", "index": "shared", "shared": key}}
