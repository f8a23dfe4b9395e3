"""Paths, bodies and headers of API requests."""

from __future__ import annotations

from typing import Any

import httpx

from tests.running_service import NUMBER, World

REQUEST = "/v1/request-code"


VERIFY = "/v1/verify-code"


NORMALIZE = "/v1/normalize-phone"


UNLOCK = "/v1/admin/recipients/unlock"


BY_ID = "/v1/verifications/"


JSON = {"Content-Type": "application/json"}


BODY: dict[str, Any] = {"phone": NUMBER, "purpose": "login"}


UNKNOWN = "A" * 23
"""An id as the service makes them, of no verification."""


def bearer(key: str) -> dict[str, str]:
    """Say which key calls."""
    return {"Authorization": f"Bearer {key}"}


async def ask(world: World, phone: str, address: str = "198.51.100.7", **members: Any) -> httpx.Response:
    """Ask with a key for mobile apps: without the scope `server`."""
    forwarded = {"X-Forwarded-For": members.pop("forwarded")} if "forwarded" in members else {}
    client = world.caller("app", address)
    return await client.post(REQUEST, json={"phone": phone, "purpose": "login", **members}, headers=forwarded)
