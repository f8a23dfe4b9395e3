"""Delivery reports are queried from EIMS, ever less often, until the status is final."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from otp_service.sandbox.simulators.eims import EimsSimulator, EimsState
from otp_service.sandbox.simulators.http_server import Hang, Respond, SimulatorResponse
from tests.delivery.gateway_config import GatewayFactory, route_through
from tests.message_waits import POLL_ROUNDS_SECONDS, code_in, wait_for_deliveries, wait_for_message
from tests.running_service import RunningService, ServiceFactory
from tests.store_contents import has_sealed_message
from tests.waits import wait_until


def polled_config(*gateways: EimsSimulator, poll: float = 30, **keys: Any) -> dict[str, Any]:
    """Return a config whose first provider is queried for reports."""
    config = route_through(*gateways)
    config["providers"]["first"] |= {"report_poll_seconds": poll, **keys}
    return config


def query_count(gateway: EimsSimulator) -> int:
    """Count the report queries."""
    return sum(request.path.startswith("/getreport") for request in gateway.requests)


async def send_code(service: RunningService, gateway: EimsSimulator) -> tuple[str, int]:
    """Request a code and wait until it is sent; return the verification id and the gateway's message id."""
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
    return verification_id, gateway.messages[-1].id


async def test_queries_become_rarer_until_delivered(make_service: ServiceFactory, make_gateway: GatewayFactory) -> None:
    """Queries after 30 s, 60 s and 90 s, then after half of the age; none after `delivered`."""
    gateway = await make_gateway(row_length=5)
    service = await make_service(polled_config(gateway))
    verification_id, provider_message_id = await send_code(service, gateway)

    for n, seconds in enumerate((29, 1.1, 30.1, 30.1, 44)):
        await service.advance(seconds)
        if n in (1, 2, 3):
            await wait_until(lambda n=n: query_count(gateway) == n)  # type: ignore[misc]  # binds the value of this pass
        await asyncio.sleep(POLL_ROUNDS_SECONDS / 2)
        assert query_count(gateway) == min(n, 3)
    gateway.states[provider_message_id] = EimsState(0, 3)
    await service.advance(2)

    await wait_for_deliveries(service, verification_id, {"first": ("delivered", None)})
    assert not await has_sealed_message(service, verification_id)
    await service.advance(100)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    assert query_count(gateway) == 4


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (EimsState(0, 2), "transient"),
        (EimsState(1001), "destination_unsupported"),
        (EimsState(1012), "content_rejected"),
    ],
)
async def test_undelivered_message_fails_over(
    make_service: ServiceFactory, make_gateway: GatewayFactory, second: EimsSimulator, state: EimsState, error: str
) -> None:
    """At once and with the same code; the first gateway is neither queried nor called again."""
    gateway = await make_gateway(row_length=5)
    service = await make_service(polled_config(gateway, second))
    verification_id, provider_message_id = await send_code(service, gateway)
    gateway.states[provider_message_id] = state
    await service.advance(30)

    text = (await wait_for_message(second)).text
    assert code_in(text) == code_in(gateway.messages[0].text)
    await wait_for_deliveries(service, verification_id, {"first": ("undelivered", error), "second": ("sent", None)})
    await service.advance(120)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    assert (query_count(gateway), len(gateway.messages), len(second.messages)) == (1, 1, 1)
    assert (await service.verify(verification_id, code_in(text))).status_code == 200


@pytest.mark.parametrize(("state", "error"), [(1020, "recipient_invalid"), (1011, "recipient_blocked")])
async def test_rejected_recipient_is_final(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator, state: int, error: str
) -> None:
    """No other provider is called."""
    service = await make_service(polled_config(gateway, second))
    verification_id, provider_message_id = await send_code(service, gateway)
    gateway.states[provider_message_id] = EimsState(state)
    await service.advance(30)

    await wait_for_deliveries(service, verification_id, {"first": ("undelivered", error)})
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    assert second.requests == []
    assert not await has_sealed_message(service, verification_id)


async def test_status_zero_stays_sent(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """A bare 0 stays `sent` unless the config says that this gateway reports nothing more."""
    service = await make_service(polled_config(gateway))
    verification_id, provider_message_id = await send_code(service, gateway)
    gateway.states[provider_message_id] = EimsState(0)
    await service.advance(30)
    await wait_until(lambda: query_count(gateway) == 1)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})


async def test_zero_is_delivered_setting(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """With `zero_is_delivered`, a bare 0 is `delivered`."""
    service = await make_service(polled_config(gateway, zero_is_delivered=True))
    verification_id, provider_message_id = await send_code(service, gateway)
    gateway.states[provider_message_id] = EimsState(0)
    await service.advance(30)

    await wait_for_deliveries(service, verification_id, {"first": ("delivered", None)})


@pytest.mark.parametrize(
    "answer", [Hang(), Respond(SimulatorResponse(b"<html>", 502)), Respond(SimulatorResponse(b'{"status": -15}'))]
)
async def test_failed_query_changes_nothing(make_service: ServiceFactory, gateway: EimsSimulator, answer: Any) -> None:
    """A gateway that does not return a report is queried again later, and nothing is sent again."""
    service = await make_service(polled_config(gateway))
    verification_id, provider_message_id = await send_code(service, gateway)
    gateway.script(answer)
    await service.advance(30)
    await wait_until(lambda: query_count(gateway) == 1)
    gateway.states[provider_message_id] = EimsState(0)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
    await service.advance(40)
    await wait_until(lambda: query_count(gateway) == 2)
    assert len(gateway.messages) == 1


async def test_no_query_after_verification(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """After the code verified, no report is queried."""
    service = await make_service(polled_config(gateway))
    verification_id, _ = await send_code(service, gateway)
    assert (await service.verify(verification_id, code_in(gateway.messages[0].text))).status_code == 200
    await service.advance(60)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)

    assert query_count(gateway) == 0
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
