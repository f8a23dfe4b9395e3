"""A gateway that accepts a message and does not respond: nothing is sent during the hold, then one message at most.

Only SendCloud is called again meanwhile: it deduplicates sends by `sendRequestId`.
"""

from __future__ import annotations

import asyncio

import pytest

from otp_service.sandbox.simulators.http_server import Hang
from tests.delivery.gateway_pairs import GatewayPair, gateway_pair
from tests.delivery.gateway_types import form_fields
from tests.message_waits import POLL_ROUNDS_SECONDS, wait_for_deliveries, wait_for_message
from tests.running_service import RunningService, ServiceFactory
from tests.store_contents import has_sealed_message
from tests.waits import wait_until

HOLD_SECONDS = 15
AMBIGUOUS = ("unknown", "ambiguous")


async def request_until_ambiguous(make_service: ServiceFactory, both: GatewayPair) -> tuple[RunningService, str]:
    """Request a code and wait until the result of the first gateway is ambiguous."""
    service = await make_service(both.config(hold_seconds=HOLD_SECONDS))
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": AMBIGUOUS})
    return service, verification_id


async def advance_and_poll(service: RunningService, seconds: float) -> None:
    """Advance the clock, and let the outbox worker process what is due then."""
    await service.advance(seconds)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)


@pytest.mark.parametrize("gateway", ["kedasms", "eims", "smshub"])
async def test_one_message_with_same_code_after_hold(make_service: ServiceFactory, gateway: str) -> None:
    """The next provider sends it; the hanging gateway is not called again."""
    async with gateway_pair(gateway) as both:
        both.first.always = Hang()
        service, verification_id = await request_until_ambiguous(make_service, both)
        assert both.message_count == 1

        for seconds in (1, 6, 6):
            await advance_and_poll(service, seconds)
            assert (both.providers_called, both.message_count) == (("first",), 1)
        await service.advance(HOLD_SECONDS - 13)
        await wait_for_message(both.second)
        await wait_for_deliveries(service, verification_id, {"first": AMBIGUOUS, "second": ("sent", None)})
        await advance_and_poll(service, 60)

        assert (both.providers_called, both.message_count) == (("first", "second"), 2)
        [code] = {both.code_of(received) for received in both.sends()}
        assert (await service.verify(verification_id, code)).status_code == 200


@pytest.mark.parametrize("gateway", ["kedasms", "eims", "smshub"])
async def test_two_hanging_gateways_send_two_messages(make_service: ServiceFactory, gateway: str) -> None:
    """The next gateway hangs, too: both may have sent the message, no other one does, and the code verifies."""
    async with gateway_pair(gateway) as both:
        both.first.always = Hang()
        both.second.always = Hang()
        service, verification_id = await request_until_ambiguous(make_service, both)
        await service.advance(HOLD_SECONDS)
        await wait_for_deliveries(service, verification_id, {"first": AMBIGUOUS, "second": AMBIGUOUS})
        for _ in range(2):
            await advance_and_poll(service, 60)

        assert (both.providers_called, both.message_count) == (("first", "second"), 2)
        [code] = {both.code_of(received) for received in both.sends()}
        assert (await service.verify(verification_id, code)).status_code == 200


async def test_sendcloud_is_called_again_with_same_id(make_service: ServiceFactory) -> None:
    """Two calls without a response, then one with: three identical requests, one message, no failover."""
    async with gateway_pair("sendcloud") as both:
        both.first.script(Hang(), Hang())
        service, verification_id = await request_until_ambiguous(make_service, both)
        await wait_until(lambda: len(both.first.requests) == 2)
        await wait_for_deliveries(service, verification_id, {"first": AMBIGUOUS})
        await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
        await advance_and_poll(service, 60)

        assert (both.providers_called, both.message_count) == (("first",) * 3, 1)
        assert len({request.body for request in both.first.requests}) == 1
        assert form_fields(both.first.requests[0])["sendRequestId"] == verification_id
        assert not await has_sealed_message(service, verification_id)
        code = both.code_of(both.log[0])
        assert (await service.verify(verification_id, code)).status_code == 200


async def test_hold_is_not_extended_by_repeated_calls(
    make_service: ServiceFactory,
) -> None:
    """SendCloud never responds: the hold counts from its first call, then the next provider sends one message."""
    async with gateway_pair("sendcloud") as both:
        both.first.always = Hang()
        service, verification_id = await request_until_ambiguous(make_service, both)
        await wait_until(lambda: len(both.first.requests) >= 2)
        await advance_and_poll(service, 12)
        assert (both.second.requests, both.message_count) == ([], 1)
        await service.advance(HOLD_SECONDS - 12)
        await wait_for_message(both.second)
        await wait_for_deliveries(service, verification_id, {"first": AMBIGUOUS, "second": ("sent", None)})
        called = both.providers_called
        await advance_and_poll(service, 60)

        assert both.providers_called == called
        assert (called.count("second"), both.message_count) == (1, 2)
        ids = {form_fields(request)["sendRequestId"] for request in both.first.requests}
        assert ids == {verification_id}
        [code] = {both.code_of(received) for received in both.sends()}
        assert (await service.verify(verification_id, code)).status_code == 200
