"""Helpers that wait for messages and deliveries, and read codes from messages."""

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
"""Several polls of the outbox worker: after this time it has done what it is going to do."""


async def wait_for_message(gateway: EimsSimulator, count: int = 1, seconds: float = 20.0) -> EimsMessage:
    """Wait for the `count`th message that the gateway accepts, and return it."""
    await wait_until(lambda: len(gateway.messages) >= count, seconds)
    return gateway.messages[count - 1]


async def read_deliveries(service: RunningService, verification_id: str) -> list[dict[str, Any]]:
    """Return the deliveries of a verification from the API."""
    response = await service.client.get(f"/v1/verifications/{verification_id}")
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["deliveries"]
    return found


async def wait_for_deliveries(
    service: RunningService, verification_id: str, expected: Mapping[str, tuple[str, str | None]], seconds: float = 20.0
) -> None:
    """Wait until the deliveries are `expected`: a status and an error for each provider."""
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
    """Return the text of a send request (GET) to an EIMS gateway, accepted or not."""
    return unquote(dict(pair.split("=", 1) for pair in request.query.split("&"))["content"])


def code_in(text: str) -> str:
    """Return the six-digit code in a text."""
    found = re.search(r"\d{6}", text)
    assert found, text
    return found[0]
