"""Waiting for messages and deliveries, and reading codes out of messages."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from otp_service.sandbox.simulators.eims import EimsMessage, EimsSimulator
from otp_service.sandbox.simulators.http_server import Request
from tests.running_service import RunningService
from tests.waits import wait_until

POLL_ROUNDS_SECONDS = 0.2
"""A few rounds of the courier: what it is going to do, it has done."""


async def wait_for_message(gateway: EimsSimulator, count: int = 1, seconds: float = 4.0) -> EimsMessage:
    """Wait for the gateway's `count`th text."""
    await wait_until(lambda: len(gateway.messages) >= count, seconds)
    return gateway.messages[count - 1]


async def read_deliveries(service: RunningService, verification_id: str) -> list[dict[str, Any]]:
    """Read the deliveries of a verification, as a caller sees them."""
    response = await service.client.get(f"/v1/verifications/{verification_id}")
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["deliveries"]
    return found


async def wait_for_deliveries(
    service: RunningService, verification_id: str, expected: Mapping[str, tuple[str, str | None]], seconds: float = 4.0
) -> None:
    """Wait until the deliveries are `expected`: by provider, the status and the error."""
    found: dict[str, tuple[str, str | None]] = {}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while found != expected:
                await asyncio.sleep(0.03)
                found = {
                    d["provider"]: (d["status"], d["error"]) for d in await read_deliveries(service, verification_id)
                }
    assert found == expected


def text_of_request(request: Request) -> str:
    """Read the text out of a GET to an EIMS gateway, also of one that it did not take."""
    return unquote(dict(pair.split("=", 1) for pair in request.query.split("&"))["content"])


def code_in(text: str) -> str:
    """Read the code out of a text."""
    found = re.search(r"\d{6}", text)
    assert found, text
    return found[0]
