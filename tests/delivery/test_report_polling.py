"""What becomes of a message at a gateway that has to be asked: EIMS, ever later, until it says so."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from otp_service.sandbox.simulators.eims import EimsSimulator, EimsState
from otp_service.sandbox.simulators.http_server import Hang, Respond
from otp_service.sandbox.simulators.http_server import SimulatorResponse as Answer
from tests.delivery.gateway_config import GatewayFactory, route_through
from tests.message_waits import POLL_ROUNDS_SECONDS, code_in, wait_for_deliveries, wait_for_message
from tests.running_service import RunningService, ServiceFactory
from tests.store_contents import has_sealed_message
from tests.waits import wait_until


def asked(*gateways: EimsSimulator, poll: float = 30, **keys: Any) -> dict[str, Any]:
    """Configure gateways of which the first is asked for reports."""
    config = route_through(*gateways)
    config["providers"]["first"] |= {"report_poll_seconds": poll, **keys}
    return config


def reports(gateway: EimsSimulator) -> int:
    """Count the questions."""
    return sum(request.path.startswith("/getreport") for request in gateway.requests)


async def sent(service: RunningService, gateway: EimsSimulator) -> tuple[str, int]:
    """Request a code and wait until it is sent: the verification's id and the gateway's."""
    verification_id = (await service.request()).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
    return verification_id, gateway.messages[-1].id


async def test_it_is_asked_ever_later_until_it_says_so(
    make_service: ServiceFactory, make_gateway: GatewayFactory
) -> None:
    """After 30 s, 60 s and 90 s, then after half as long again; delivered is the end of it."""
    gateway = await make_gateway(row_length=5)
    service = await make_service(asked(gateway))
    verification_id, identity = await sent(service, gateway)

    for n, seconds in enumerate((29, 1.1, 30.1, 30.1, 44)):
        await service.advance(seconds)
        if n in (1, 2, 3):
            await wait_until(lambda n=n: reports(gateway) == n)  # type: ignore[misc]
        await asyncio.sleep(POLL_ROUNDS_SECONDS / 2)
        assert reports(gateway) == min(n, 3)
    gateway.states[identity] = EimsState(0, 3)
    await service.advance(2)

    await wait_for_deliveries(service, verification_id, {"first": ("delivered", None)})
    assert not await has_sealed_message(service, verification_id)
    await service.advance(100)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    assert reports(gateway) == 4


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (EimsState(0, 2), "transient"),
        (EimsState(1001), "destination_unsupported"),
        (EimsState(1012), "content_rejected"),
    ],
)
async def test_what_was_not_delivered_goes_to_the_next(
    make_service: ServiceFactory, make_gateway: GatewayFactory, second: EimsSimulator, state: EimsState, error: str
) -> None:
    """At once, with the same code; the first gateway is neither asked for a report nor for another text again."""
    gateway = await make_gateway(row_length=5)
    service = await make_service(asked(gateway, second))
    verification_id, identity = await sent(service, gateway)
    gateway.states[identity] = state
    await service.advance(30)

    text = (await wait_for_message(second)).text
    assert code_in(text) == code_in(gateway.messages[0].text)
    await wait_for_deliveries(service, verification_id, {"first": ("undelivered", error), "second": ("sent", None)})
    await service.advance(120)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    assert (reports(gateway), len(gateway.messages), len(second.messages)) == (1, 1, 1)
    assert (await service.verify(verification_id, code_in(text))).status_code == 200


@pytest.mark.parametrize(("state", "error"), [(1020, "recipient_invalid"), (1011, "recipient_blocked")])
async def test_a_verdict_about_the_recipient_is_final(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator, state: int, error: str
) -> None:
    """Nobody else is asked."""
    service = await make_service(asked(gateway, second))
    verification_id, identity = await sent(service, gateway)
    gateway.states[identity] = EimsState(state)
    await service.advance(30)

    await wait_for_deliveries(service, verification_id, {"first": ("undelivered", error)})
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    assert second.requests == []
    assert not await has_sealed_message(service, verification_id)


async def test_sent_is_the_best_word_of_some(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """A bare 0 stays `sent`, unless the config says that this gateway never says more."""
    service = await make_service(asked(gateway))
    verification_id, identity = await sent(service, gateway)
    gateway.states[identity] = EimsState(0)
    await service.advance(30)
    await wait_until(lambda: reports(gateway) == 1)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})


async def test_sent_counts_as_delivered_where_the_config_says_so(
    make_service: ServiceFactory, gateway: EimsSimulator
) -> None:
    """`zero_is_delivered`."""
    service = await make_service(asked(gateway, zero_is_delivered=True))
    verification_id, identity = await sent(service, gateway)
    gateway.states[identity] = EimsState(0)
    await service.advance(30)

    await wait_for_deliveries(service, verification_id, {"first": ("delivered", None)})


@pytest.mark.parametrize("answer", [Hang(), Respond(Answer(b"<html>", 502)), Respond(Answer(b'{"status": -15}'))])
async def test_no_report_is_no_news(make_service: ServiceFactory, gateway: EimsSimulator, answer: Any) -> None:
    """A gateway that does not answer is asked again later, and nothing is sent anew."""
    service = await make_service(asked(gateway))
    verification_id, identity = await sent(service, gateway)
    gateway.script(answer)
    await service.advance(30)
    await wait_until(lambda: reports(gateway) == 1)
    gateway.states[identity] = EimsState(0)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
    await service.advance(40)
    await wait_until(lambda: reports(gateway) == 2)
    assert len(gateway.messages) == 1


async def test_nobody_asks_for_what_has_ended(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """Verified: the text has come, whatever the gateway knows of it."""
    service = await make_service(asked(gateway))
    verification_id, _ = await sent(service, gateway)
    assert (await service.verify(verification_id, code_in(gateway.messages[0].text))).status_code == 200
    await service.advance(60)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)

    assert reports(gateway) == 0
    await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
