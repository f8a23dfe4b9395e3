"""While a gateway is unreachable the message stays queued, and it is not sent once it is no longer wanted."""

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


async def request_queued(service: RunningService, gateway: EimsSimulator) -> str:
    """Request a code while nothing listens; return the verification id once the message is queued again."""
    await gateway.close()
    verification_id: str = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("queued", "transient")})
    return verification_id


async def test_message_is_sent_once_when_gateway_returns(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """Refused connections leave the message queued; later it is sent once, and its code verifies."""
    service = await make_service(route_through(gateway))
    verification_id = await request_queued(service, gateway)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    await wait_for_deliveries(service, verification_id, {"first": ("queued", "transient")})
    await gateway.listen()

    message = await wait_for_message(gateway)
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
    await service.advance(30)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    assert len(gateway.requests) == 1
    assert (await service.verify(verification_id, code_in(message.text))).status_code == 200


async def test_backoff_grows_with_the_age_of_the_message(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """A gateway that failed for 100 s is called again after 15 s and not earlier."""
    gateway.always = refusal(-12)
    service = await make_service(route_through(gateway))
    verification_id = (await service.request()).json()["verification_id"]
    await wait_until(lambda: len(gateway.requests) >= 2)
    await wait_for_deliveries(service, verification_id, {"first": ("queued", "transient")})
    requests = len(gateway.requests)
    await service.advance(100)
    await wait_until(lambda: len(gateway.requests) > requests)
    await wait_for_deliveries(service, verification_id, {"first": ("queued", "transient")})
    requests = len(gateway.requests)

    await service.advance(13)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    assert len(gateway.requests) == requests
    await service.advance(30)  # past the backoff and the circuit that the failures opened
    await wait_until(lambda: len(gateway.requests) > requests)


async def test_expired_code_is_not_sent(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """The delivery fails, the sealed message is deleted, and the gateway receives nothing when it returns."""
    service = await make_service(route_through(gateway))
    verification_id = await request_queued(service, gateway)
    await service.advance(300)
    await gateway.listen()
    await asyncio.sleep(POLL_ROUNDS_SECONDS)

    await wait_for_deliveries(service, verification_id, {"first": ("failed", "transient")})
    assert gateway.requests == []
    assert not await has_sealed_message(service, verification_id)


async def test_canceled_code_is_not_sent(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """DELETE while the message is queued prevents the send."""
    service = await make_service(route_through(gateway))
    verification_id = await request_queued(service, gateway)
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
async def test_superseded_code_is_not_sent(make_service: ServiceFactory, gateway: EimsSimulator, resend: str) -> None:
    """Of two queued messages only the newer one is sent, once, also if both have the same code."""
    service = await make_service(route_through(gateway) | {"tenants": {"demo": {"policy": {"resend": resend}}}})
    older = await request_queued(service, gateway)
    await service.advance(31)
    newer = await request_queued(service, gateway)
    await gateway.listen()
    message = await wait_for_message(gateway)
    await service.advance(30)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)

    assert len(gateway.messages) == 1
    await wait_for_deliveries(service, older, {"first": ("failed", "transient")})
    await wait_for_deliveries(service, newer, {"first": ("sent", None)})
    assert (await service.verify(newer, code_in(message.text))).status_code == 200


async def test_message_of_crashed_process_is_sent(
    make_service: ServiceFactory, gateway: EimsSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first lease expires, and the next poll claims it: nothing was sent to a gateway yet."""
    service = await make_service(route_through(gateway))
    with monkeypatch.context() as stopped:
        stopped.setattr(OutboxWorker, "deliver", lambda _self, _message: None)
        verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("queued", None)})
    await service.advance(6)

    await wait_for_message(gateway)
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
    assert len(gateway.requests) == 1


async def test_huge_retry_after_is_limited(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """A `Retry-After` of 2**63 - 1 keeps the record, and the outbox with it, readable."""
    gateway.always, second.always = Respond(SimulatorResponse(b"", 429, {"Retry-After": str(2**63 - 1)})), refusal(-12)
    service = await make_service(route_through(gateway, second))
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(
        service, verification_id, {"first": ("queued", "throttled"), "second": ("queued", "transient")}
    )
    second.always = None
    await service.advance(16)

    await wait_for_message(second)
