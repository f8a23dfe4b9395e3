"""Configs of services with webhooks, and the keys that the store has of them."""

from __future__ import annotations

from typing import Any

from tests.running_service import RunningService

NO_LIMITS: dict[str, Any] = {"limits": {"client_ip": [], "recipient": [], "prefix": []}}


def demo_webhooks(**endpoints: Any) -> dict[str, Any]:
    """Return a config with endpoints of the tenant `demo`, and without limits."""
    return {"tenants": {"demo": {"webhooks": endpoints}}, **NO_LIMITS}


async def event_keys(service: RunningService) -> set[bytes]:
    """Return the names of all keys of events and endpoints."""
    names = {name async for name in service.store.scan_iter(count=1000)}
    return {name for name in names if b"}:e" in name or name.startswith(b"otp:e:")}
