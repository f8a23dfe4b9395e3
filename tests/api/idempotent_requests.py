"""Requests with an idempotency key, and what the store keeps for such keys."""

from __future__ import annotations

from typing import Any

import httpx

from tests.api.api_requests import REQUEST_BODY, REQUEST_CODE, VERIFY_CODE
from tests.running_service import RunningService

KEY = {"Idempotency-Key": "order-17"}


async def request_with_key(service: RunningService, key: str = "order-17", **members: Any) -> httpx.Response:
    """Call request-code with an idempotency key."""
    return await service.client.post(REQUEST_CODE, json={**REQUEST_BODY, **members}, headers={"Idempotency-Key": key})


async def verify_with_key(
    service: RunningService, verification_id: str, code: str, key: str = "order-17"
) -> httpx.Response:
    """Call verify-code with an idempotency key."""
    body = {"verification_id": verification_id, "code": code}
    return await service.client.post(VERIFY_CODE, json=body, headers={"Idempotency-Key": key})


async def kept_count(service: RunningService) -> int:
    """Count the idempotency keys in the store."""
    return len(await service.store.keys("otp:i:*"))


async def kept_keys(service: RunningService) -> list[bytes]:
    """Return the names of everything stored for idempotency keys: claims and responses."""
    return [*await service.store.keys("otp:i:*"), *await service.store.keys("otp:{p*}:i:*")]
