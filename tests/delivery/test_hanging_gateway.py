"""A gateway that takes a message and never answers: nothing more goes out before the hold ends, then one text at most.

SendCloud alone may be asked again meanwhile: with the same `sendRequestId`, by which it sends once.
"""

from __future__ import annotations

import asyncio

import pytest

from otp_service.sandbox.simulators.http_server import Hang
from tests.delivery.gateway_pairs import GatewayPair, form_fields, gateway_pair
from tests.message_waits import POLL_ROUNDS_SECONDS, wait_for_deliveries, wait_for_message
from tests.running_service import RunningService, ServiceFactory
from tests.store_contents import has_sealed_message
from tests.waits import wait_until

HOLD_SECONDS = 15
DOUBT = ("unknown", "ambiguous")


async def asked_for(make_service: ServiceFactory, both: GatewayPair) -> tuple[RunningService, str]:
    """Request a code from a service whose first gateway is silent, and wait until that one is in doubt."""
    service = await make_service(both.config(hold_seconds=HOLD_SECONDS))
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": DOUBT})
    return service, verification_id


async def later(service: RunningService, seconds: float) -> None:
    """Let time go by, and let the courier do what is due then."""
    await service.advance(seconds)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)


@pytest.mark.parametrize("gateway", ["kedasms", "eims", "smshub"])
async def test_one_more_text_with_the_same_code_when_the_hold_ends(make_service: ServiceFactory, gateway: str) -> None:
    """It comes from the next gateway; the silent one is not asked again, and nobody is after that."""
    async with gateway_pair(gateway) as both:
        both.first.always = Hang()
        service, verification_id = await asked_for(make_service, both)
        assert both.texts == 1

        for seconds in (1, 6, 6):
            await later(service, seconds)
            assert (both.names, both.texts) == (("first",), 1)
        await service.advance(HOLD_SECONDS - 13)
        await wait_for_message(both.second)
        await wait_for_deliveries(service, verification_id, {"first": DOUBT, "second": ("sent", None)})
        await later(service, 60)

        assert (both.names, both.texts) == (("first", "second"), 2)
        [code] = {both.code(visit) for visit in both.asked()}
        assert (await service.verify(verification_id, code)).status_code == 200


@pytest.mark.parametrize("gateway", ["kedasms", "eims", "smshub"])
async def test_two_silences_are_two_texts_and_no_third(make_service: ServiceFactory, gateway: str) -> None:
    """The next one takes it and never answers either: both may have come, and the code verifies."""
    async with gateway_pair(gateway) as both:
        both.first.always = Hang()
        both.second.always = Hang()
        service, verification_id = await asked_for(make_service, both)
        await service.advance(HOLD_SECONDS)
        await wait_for_deliveries(service, verification_id, {"first": DOUBT, "second": DOUBT})
        for _ in range(2):
            await later(service, 60)

        assert (both.names, both.texts) == (("first", "second"), 2)
        [code] = {both.code(visit) for visit in both.asked()}
        assert (await service.verify(verification_id, code)).status_code == 200


async def test_sendcloud_is_asked_again_under_one_id_and_sends_once(make_service: ServiceFactory) -> None:
    """Two silences, then its answer: one text, three requests that are the same, and nobody else is asked."""
    async with gateway_pair("sendcloud") as both:
        both.first.script(Hang(), Hang())
        service, verification_id = await asked_for(make_service, both)
        await wait_until(lambda: len(both.first.requests) == 2)
        await wait_for_deliveries(service, verification_id, {"first": DOUBT})
        await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
        await later(service, 60)

        assert (both.names, both.texts) == (("first",) * 3, 1)
        assert len({request.body for request in both.first.requests}) == 1
        assert form_fields(both.first.requests[0])["sendRequestId"] == verification_id
        assert not await has_sealed_message(service, verification_id)
        code = both.code(both.log[0])
        assert (await service.verify(verification_id, code)).status_code == 200


async def test_sendcloud_that_stays_silent_is_one_text_and_the_next_gateway_another(
    make_service: ServiceFactory,
) -> None:
    """However often it is asked; the hold counts from its first silence, and is not prolonged by the others."""
    async with gateway_pair("sendcloud") as both:
        both.first.always = Hang()
        service, verification_id = await asked_for(make_service, both)
        await wait_until(lambda: len(both.first.requests) >= 2)
        await later(service, 12)
        assert (both.second.requests, both.texts) == ([], 1)
        await service.advance(HOLD_SECONDS - 12)
        await wait_for_message(both.second)
        await wait_for_deliveries(service, verification_id, {"first": DOUBT, "second": ("sent", None)})
        asked = both.names
        await later(service, 60)

        assert both.names == asked
        assert (asked.count("second"), both.texts) == (1, 2)
        ids = {form_fields(request)["sendRequestId"] for request in both.first.requests}
        assert ids == {verification_id}
        [code] = {both.code(visit) for visit in both.asked()}
        assert (await service.verify(verification_id, code)).status_code == 200
