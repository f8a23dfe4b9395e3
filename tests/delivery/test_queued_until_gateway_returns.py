"""A gateway that is away: the message waits for it, and is not sent when nobody wants it any more."""

from __future__ import annotations

import asyncio

import pytest

from otp_service.delivery.outbox_worker import OutboxWorker
from otp_service.sandbox.simulators.eims import EimsSimulator, refusal
from otp_service.sandbox.simulators.http_server import Respond, SimulatorResponse
from tests.delivery.gateway_config import route_through
from tests.message_waits import POLL_ROUNDS_SECONDS, code_in, wait_for_deliveries, wait_for_message
from tests.running_service import RunningService, ServiceFactory
from tests.store_contents import has_sealed_message
from tests.waits import wait_until


async def waiting(service: RunningService, gateway: EimsSimulator) -> str:
    """Request a code while nobody listens: the verification's id, once its message has failed and waits."""
    await gateway.close()
    verification_id: str = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("queued", "transient")})
    return verification_id


async def test_it_arrives_once_when_the_gateway_is_back(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """Refused connections leave it queued; then it is sent, and verifies."""
    service = await make_service(route_through(gateway))
    verification_id = await waiting(service, gateway)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    await wait_for_deliveries(service, verification_id, {"first": ("queued", "transient")})
    await gateway.listen()

    message = await wait_for_message(gateway)
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
    await service.advance(30)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    assert len(gateway.requests) == 1
    assert (await service.verify(verification_id, code_in(message.text))).status_code == 200


async def test_pauses_grow_with_the_age_of_the_message(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """A gateway that says "later" for 100 s is asked again after 15 s, not before."""
    gateway.always = refusal(-12)
    service = await make_service(route_through(gateway))
    verification_id = (await service.request()).json()["verification_id"]
    await wait_until(lambda: len(gateway.requests) >= 2)
    await wait_for_deliveries(service, verification_id, {"first": ("queued", "transient")})
    asked = len(gateway.requests)
    await service.advance(100)
    await wait_until(lambda: len(gateway.requests) > asked)
    await wait_for_deliveries(service, verification_id, {"first": ("queued", "transient")})
    asked = len(gateway.requests)

    await service.advance(13)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    assert len(gateway.requests) == asked
    await service.advance(30)  # beyond the pause, and beyond the circuit that so many failures have opened
    await wait_until(lambda: len(gateway.requests) > asked)


async def test_an_expired_code_is_never_sent(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """Its delivery has failed, its message is gone, and the gateway that comes back hears nothing of it."""
    service = await make_service(route_through(gateway))
    verification_id = await waiting(service, gateway)
    await service.advance(300)
    await gateway.listen()
    await asyncio.sleep(POLL_ROUNDS_SECONDS)

    await wait_for_deliveries(service, verification_id, {"first": ("failed", "transient")})
    assert gateway.requests == []
    assert not await has_sealed_message(service, verification_id)


async def test_a_canceled_code_is_never_sent(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """DELETE while it waits calls it off."""
    service = await make_service(route_through(gateway))
    verification_id = await waiting(service, gateway)
    response = await service.client.delete(f"/v1/verifications/{verification_id}")
    assert response.json()["status"] == "canceled"
    await gateway.listen()
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    await service.advance(20)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)

    await wait_for_deliveries(service, verification_id, {"first": ("failed", "transient")})
    assert gateway.requests == []
    assert not await has_sealed_message(service, verification_id)


@pytest.mark.parametrize("resend", ["rotate", "reuse"])
async def test_a_superseded_code_is_never_sent(
    make_service: ServiceFactory, gateway: EimsSimulator, resend: str
) -> None:
    """Of two requests that wait only the newer one's text is sent, once, also when both have one code."""
    service = await make_service(route_through(gateway) | {"tenants": {"demo": {"policy": {"resend": resend}}}})
    older = await waiting(service, gateway)
    await service.advance(31)
    newer = await waiting(service, gateway)
    await gateway.listen()
    message = await wait_for_message(gateway)
    await service.advance(30)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)

    assert len(gateway.messages) == 1
    await wait_for_deliveries(service, older, {"first": ("failed", "transient")})
    await wait_for_deliveries(service, newer, {"first": ("sent", None)})
    assert (await service.verify(newer, code_in(message.text))).status_code == 200


async def test_a_message_whose_process_died_before_the_call_is_sent(
    make_service: ServiceFactory, gateway: EimsSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first lease lapses, and whoever looks around next takes it: nothing was written to a gateway yet."""
    service = await make_service(route_through(gateway))
    with monkeypatch.context() as dead:
        dead.setattr(OutboxWorker, "deliver", lambda _self, _message: None)
        verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("queued", None)})
    await service.advance(6)

    await wait_for_message(gateway)
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
    assert len(gateway.requests) == 1


async def test_a_pause_without_end_is_one_that_a_code_can_wait(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """`Retry-After` of the largest long there is: the record stays readable, and with it everybody's outbox."""
    gateway.always, second.always = Respond(SimulatorResponse(b"", 429, {"Retry-After": str(2**63 - 1)})), refusal(-12)
    service = await make_service(route_through(gateway, second))
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(
        service, verification_id, {"first": ("queued", "throttled"), "second": ("queued", "transient")}
    )
    second.always = None
    await service.advance(16)

    await wait_for_message(second)
