"""Paths, bodies and headers of API requests."""

from __future__ import annotations

from typing import Any

import httpx

from tests.running_service import NUMBER, RunningService

REQUEST_CODE = "/v1/request-code"


VERIFY_CODE = "/v1/verify-code"


NORMALIZE_PHONE = "/v1/normalize-phone"


RECIPIENTS = "/v1/admin/recipients"
UNLOCK_RECIPIENT = "/v1/admin/recipients/unlock"


CHECK_RECIPIENT = "/v1/admin/recipients/check"


OPT_OUTS = "/v1/admin/opt-outs"


VERIFICATIONS = "/v1/verifications/"


JSON_HEADERS = {"Content-Type": "application/json"}


REQUEST_BODY: dict[str, Any] = {"phone": NUMBER, "purpose": "login"}


UNKNOWN_ID = "A" * 23
"""An id in the form of the service's ids that belongs to no verification."""


def bearer_header(key: str) -> dict[str, str]:
    """Return the `Authorization` header of an API key."""
    return {"Authorization": f"Bearer {key}"}


async def request_as_app(
    service: RunningService, phone: str, address: str = "198.51.100.7", **members: Any
) -> httpx.Response:
    """Call request-code as a mobile app does: with a key without the scope `server`."""
    forwarded = {"X-Forwarded-For": members.pop("forwarded")} if "forwarded" in members else {}
    client = service.caller("app", address)
    return await client.post(REQUEST_CODE, json={"phone": phone, "purpose": "login", **members}, headers=forwarded)


async def normalize_as(service: RunningService, key: str) -> httpx.Response:
    """Call the endpoint that takes a caller with any scope."""
    return await service.caller(key).post(NORMALIZE_PHONE, json={"phone": NUMBER})
