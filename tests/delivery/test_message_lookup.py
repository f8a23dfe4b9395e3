"""A message with an ambiguous outcome is looked up at its gateway before another provider gets it (EIMS V2)."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from otp_service.sandbox.simulators.eims import EimsSimulator, refusal
from otp_service.sandbox.simulators.http_server import Behavior, Hang
from tests.delivery.gateway_config import GatewayFactory, route_through
from tests.message_waits import POLL_ROUNDS_SECONDS, code_in, wait_for_deliveries, wait_for_message
from tests.running_service import ServiceFactory

HOLD_SECONDS = 15
SENT = {"first": ("sent", None)}
FAILED_OVER = {"first": ("unknown", "ambiguous"), "second": ("sent", None)}


def looking_up(*gateways: EimsSimulator) -> dict[str, Any]:
    """Return a config whose first provider is asked for messages with an ambiguous outcome."""
    config = route_through(*gateways, timeout=1.0, hold_seconds=HOLD_SECONDS)
    config["providers"]["first"] |= {"variant": "v2", "lookup_ambiguous": True}
    return config


async def test_accepted_message_is_found(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """A message that the gateway accepted without an answer counts as sent after the hold: there is one SMS."""
    gateway.script(Hang())
    service = await make_service(looking_up(gateway, second))
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("unknown", "ambiguous")})
    assert len(gateway.requests) == 1
    await service.advance(HOLD_SECONDS)

    await wait_for_deliveries(service, verification_id, SENT)
    await service.advance(60)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    assert (len(gateway.messages), second.requests) == (1, [])
    paths = [request.path for request in gateway.requests]
    assert paths[:2] == ["/sendsmsV2", "/getbalanceV2"]
    assert set(paths[2:]) == {"/getsentrcdV2"}  # two at midnight in GMT+8
    assert (await service.verify(verification_id, code_in(gateway.messages[0].text))).status_code == 200


@pytest.mark.parametrize("answer", [None, Hang(), refusal(-1), refusal(-18)])
async def test_message_that_is_not_found_fails_over(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator, answer: Behavior | None
) -> None:
    """A message that was not accepted, and a failed lookup, lead to one message of the next provider."""
    gateway.script(Hang(processed=answer is not None), None, answer)
    service = await make_service(looking_up(gateway, second))
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("unknown", "ambiguous")})
    await service.advance(HOLD_SECONDS)

    await wait_for_message(second)
    await wait_for_deliveries(service, verification_id, FAILED_OVER)
    assert len(second.messages) == 1


async def test_older_message_is_not_taken_for_ours(
    make_service: ServiceFactory, make_gateway: GatewayFactory, second: EimsSimulator
) -> None:
    """A message to the same number before this verification is another one, also if the gateway's clock is ahead."""
    gateway = await make_gateway(clock=lambda: time.time() + 120)
    service = await make_service(looking_up(gateway, second))
    first = (await service.request(purpose="registration")).json()["verification_id"]
    await wait_for_deliveries(service, first, SENT)
    gateway.messages[0] = replace(gateway.messages[0], at=gateway.messages[0].at - timedelta(seconds=30))
    gateway.script(Hang(processed=False))
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("unknown", "ambiguous")})
    await service.advance(HOLD_SECONDS)

    await wait_for_message(second)
    await wait_for_deliveries(service, verification_id, FAILED_OVER)
