"""A gateway that was asked and did not answer may have sent: what is done about it, and what never is."""

from __future__ import annotations

import asyncio

import pytest

from otp_service.sandbox.simulators.eims import EimsSimulator, refusal
from otp_service.sandbox.simulators.http_server import Behaviour, Cut, Hang, Slow
from tests.delivery.gateway_config import GatewayFactory, route_through
from tests.message_waits import POLL_ROUNDS_SECONDS, code_in, wait_for_deliveries, wait_for_message
from tests.running_service import ServiceFactory
from tests.store_contents import has_sealed_message
from tests.waits import wait_until


@pytest.mark.parametrize("silence", [Hang(), Cut(), Hang(processed=False)])
async def test_it_is_held_and_then_goes_to_the_next_with_the_same_code(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator, silence: Behaviour
) -> None:
    """Nothing is sent before the hold is over, one text after it, and never anything at the first again."""
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


async def test_a_short_hold_in_real_time(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """The hold of one second counts from the moment it became ambiguous, not from the request."""
    gateway.always = Hang()
    service = await make_service(route_through(gateway, second, hold_seconds=1))
    loop = asyncio.get_running_loop()
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("unknown", "ambiguous")})
    began = loop.time()
    await wait_for_message(second)

    assert 0.9 < loop.time() - began < 2.0


async def test_with_nobody_else_it_stays_unknown(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """Nothing is sent again, and the code still verifies: the text may have come."""
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


async def test_hold_zero_stays_unknown(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """An ambiguous outcome never fails over then."""
    gateway.always = Hang()
    service = await make_service(route_through(gateway, second, hold_seconds=0))
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("unknown", "ambiguous")})
    await service.advance(60)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)

    assert second.requests == []


async def test_two_silent_gateways_are_the_end(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator, make_gateway: GatewayFactory
) -> None:
    """Two gateways may have the text (`max_texts` 2): the third is never asked."""
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


async def test_a_refusal_at_the_next_leads_on_to_the_third(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator, make_gateway: GatewayFactory
) -> None:
    """Who surely has no text does not count."""
    third = await make_gateway()
    gateway.always, second.always = Hang(), refusal(-13)
    service = await make_service(route_through(gateway, second, third, hold_seconds=15))
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("unknown", "ambiguous")})
    await service.advance(15)
    await wait_for_message(third)

    expected = {"first": ("unknown", "ambiguous"), "second": ("failed", "config_error"), "third": ("sent", None)}
    await wait_for_deliveries(service, verification_id, expected)


async def test_a_code_that_expires_while_held_is_not_sent(
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


async def test_a_code_that_was_used_while_held_is_not_sent_again(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """The text had come after all."""
    gateway.always = Hang()
    service = await make_service(route_through(gateway, second, hold_seconds=15))
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("unknown", "ambiguous")})
    assert (await service.verify(verification_id, code_in(gateway.messages[0].text))).status_code == 200
    await service.advance(16)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)

    assert second.requests == []


async def test_an_answer_that_comes_after_its_lease_adds_the_fact(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """It was taken for lost and held; when it turns out to be sent, nobody else is asked."""
    gateway.script(Slow(1.2))
    service = await make_service(route_through(gateway, second, timeout=3.0, hold_seconds=15))
    verification_id = (await service.request()).json()["verification_id"]
    await wait_until(lambda: len(gateway.requests) == 1)
    await service.advance(9)  # over the call's time and its margin
    await wait_for_deliveries(service, verification_id, {"first": ("unknown", "ambiguous")})
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
    await service.advance(20)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)

    assert second.requests == []
    assert not await has_sealed_message(service, verification_id)


async def test_a_hold_does_not_begin_anew_while_the_next_is_busy(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """The next gateway has its pace: the message waits for its turn there, and not for another hold."""
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
