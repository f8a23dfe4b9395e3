"""Ambiguous results: the gateway may have sent the message, so it is held before a failover."""

from __future__ import annotations

import asyncio

import pytest

from otp_service.sandbox.simulators.eims import EimsSimulator, refusal
from otp_service.sandbox.simulators.http_server import Behavior, Cut, Hang, Slow
from tests.delivery.gateway_config import GatewayFactory, route_through
from tests.message_waits import POLL_ROUNDS_SECONDS, code_in, wait_for_deliveries, wait_for_message
from tests.running_service import ServiceFactory
from tests.store_contents import has_sealed_message
from tests.waits import wait_until


@pytest.mark.parametrize("silence", [Hang(), Cut(), Hang(processed=False)])
async def test_fails_over_with_same_code_after_hold(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator, silence: Behavior
) -> None:
    """Nothing is sent during the hold, one message after it, and none through the first gateway again."""
    gateway.always = silence
    service = await make_service(route_through(gateway, second, hold_seconds=15))
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("unknown", "ambiguous")})

    await service.advance(13)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    assert second.requests == []
    await service.advance(2)
    message = await wait_for_message(second)
    await wait_for_deliveries(service, verification_id, {"first": ("unknown", "ambiguous"), "second": ("sent", None)})
    assert [text.text for text in gateway.messages] in ([message.text], [])
    await service.advance(60)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    assert (len(gateway.requests), len(second.requests)) == (1, 1)
    assert (await service.verify(verification_id, code_in(message.text))).status_code == 200


async def test_hold_starts_when_result_is_ambiguous(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """A hold of one second starts with the ambiguous result, not with the request."""
    gateway.always = Hang()
    service = await make_service(route_through(gateway, second, hold_seconds=1))
    loop = asyncio.get_running_loop()
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("unknown", "ambiguous")})
    ambiguous_at = loop.time()
    await wait_for_message(second)

    assert 0.9 < loop.time() - ambiguous_at < 2.0


async def test_stays_unknown_without_another_provider(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """Nothing is sent again, and the code still verifies because the message may have arrived."""
    gateway.always = Hang()
    service = await make_service(route_through(gateway, hold_seconds=15))
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("unknown", "ambiguous")})
    await service.advance(60)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)

    await wait_for_deliveries(service, verification_id, {"first": ("unknown", "ambiguous")})
    assert len(gateway.requests) == 1
    assert not await has_sealed_message(service, verification_id)
    assert (await service.verify(verification_id, code_in(gateway.messages[0].text))).status_code == 200


async def test_no_failover_with_hold_zero(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """With `hold_seconds = 0` an ambiguous result never fails over."""
    gateway.always = Hang()
    service = await make_service(route_through(gateway, second, hold_seconds=0))
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("unknown", "ambiguous")})
    await service.advance(60)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)

    assert second.requests == []


async def test_max_texts_limits_ambiguous_results(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator, make_gateway: GatewayFactory
) -> None:
    """After two ambiguous results (`max_texts` 2) the third provider is not called."""
    third = await make_gateway()
    gateway.always = second.always = Hang()
    service = await make_service(route_through(gateway, second, third, hold_seconds=15))
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("unknown", "ambiguous")})
    await service.advance(15)
    unknown = ("unknown", "ambiguous")
    await wait_for_deliveries(service, verification_id, {"first": unknown, "second": unknown})
    await service.advance(30)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)

    assert third.requests == []
    assert (len(gateway.requests), len(second.requests)) == (1, 1)


async def test_rejection_after_hold_fails_over_to_third(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator, make_gateway: GatewayFactory
) -> None:
    """A provider that definitely does not have the message does not count for `max_texts`."""
    third = await make_gateway()
    gateway.always, second.always = Hang(), refusal(-13)
    service = await make_service(route_through(gateway, second, third, hold_seconds=15))
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("unknown", "ambiguous")})
    await service.advance(15)
    await wait_for_message(third)

    expected = {"first": ("unknown", "ambiguous"), "second": ("failed", "config_error"), "third": ("sent", None)}
    await wait_for_deliveries(service, verification_id, expected)


async def test_code_that_expires_during_hold_is_not_sent(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """Its first delivery stays unknown."""
    gateway.always = Hang()
    service = await make_service(route_through(gateway, second, hold_seconds=15))
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("unknown", "ambiguous")})
    await service.advance(300)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)

    await wait_for_deliveries(service, verification_id, {"first": ("unknown", "ambiguous")})
    assert second.requests == []


async def test_code_verified_during_hold_is_not_sent_again(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """The message arrived, so no other provider is called."""
    gateway.always = Hang()
    service = await make_service(route_through(gateway, second, hold_seconds=15))
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("unknown", "ambiguous")})
    assert (await service.verify(verification_id, code_in(gateway.messages[0].text))).status_code == 200
    await service.advance(16)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)

    assert second.requests == []


async def test_result_after_lease_is_recorded(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """A result after the end of its lease turns the held message into a sent one, and no other provider is called."""
    gateway.script(Slow(1.2))
    service = await make_service(route_through(gateway, second, timeout=3.0, hold_seconds=15))
    verification_id = (await service.request()).json()["verification_id"]
    await wait_until(lambda: len(gateway.requests) == 1)
    await service.advance(9)  # past the call's timeout and the margin
    await wait_for_deliveries(service, verification_id, {"first": ("unknown", "ambiguous")})
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
    await service.advance(20)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)

    assert second.requests == []
    assert not await has_sealed_message(service, verification_id)


async def test_hold_does_not_restart_while_waiting_for_pace(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """After the hold the message waits for the second provider's rate, and not for another hold."""
    gateway.always = Hang()
    config = route_through(gateway, second, hold_seconds=15)
    config["providers"]["second"]["max_per_second"] = 0.1
    config["routes"].append({"prefix": "+62811", "providers": ["second"]})
    service = await make_service(config)
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("unknown", "ambiguous")})
    await service.advance(12)
    response = await service.request("0811-1010-0055")
    assert response.status_code == 202, response.text
    await wait_for_message(second)

    await service.advance(3)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    assert len(second.messages) == 1
    await service.advance(8)
    await wait_for_message(second, 2)
    await wait_for_deliveries(service, verification_id, {"first": ("unknown", "ambiguous"), "second": ("sent", None)})
