"""What becomes of a message at a gateway that has to be asked: EIMS, ever later, until it says so."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from otp_service.sandbox.simulators.eims import EimsSimulator, EimsState
from otp_service.sandbox.simulators.http_server import Hang, Respond
from otp_service.sandbox.simulators.http_server import SimulatorResponse as Answer
from tests.delivery.gateway_config import GatewayMaker, through
from tests.message_waits import LOOK_SECONDS, arrived, code_in, settled, until
from tests.running_service import World, WorldMaker
from tests.store_contents import keeps_message


def asked(*gateways: EimsSimulator, poll: float = 30, **keys: Any) -> dict[str, Any]:
    """Configure gateways of which the first is asked for reports."""
    config = through(*gateways)
    config["providers"]["first"] |= {"report_poll_seconds": poll, **keys}
    return config


def reports(gateway: EimsSimulator) -> int:
    """Count the questions."""
    return sum(request.path.startswith("/getreport") for request in gateway.requests)


async def sent(world: World, gateway: EimsSimulator) -> tuple[str, int]:
    """Request a code and wait until it is sent: the verification's id and the gateway's."""
    verification_id = (await world.request()).json()["verification_id"]
    await settled(world, verification_id, {"first": ("sent", None)})
    return verification_id, gateway.messages[-1].id


async def test_it_is_asked_ever_later_until_it_says_so(make_world: WorldMaker, make_gateway: GatewayMaker) -> None:
    """After 30 s, 60 s and 90 s, then after half as long again; delivered is the end of it."""
    gateway = await make_gateway(row_length=5)
    world = await make_world(asked(gateway))
    verification_id, identity = await sent(world, gateway)

    for n, seconds in enumerate((29, 1.1, 30.1, 30.1, 44)):
        await world.advance(seconds)
        if n in (1, 2, 3):
            await until(lambda n=n: reports(gateway) == n)  # type: ignore[misc]
        await asyncio.sleep(LOOK_SECONDS / 2)
        assert reports(gateway) == min(n, 3)
    gateway.states[identity] = EimsState(0, 3)
    await world.advance(2)

    await settled(world, verification_id, {"first": ("delivered", None)})
    assert not await keeps_message(world, verification_id)
    await world.advance(100)
    await asyncio.sleep(LOOK_SECONDS)
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
    make_world: WorldMaker, make_gateway: GatewayMaker, second: EimsSimulator, state: EimsState, error: str
) -> None:
    """At once, with the same code; the first gateway is neither asked for a report nor for another text again."""
    gateway = await make_gateway(row_length=5)
    world = await make_world(asked(gateway, second))
    verification_id, identity = await sent(world, gateway)
    gateway.states[identity] = state
    await world.advance(30)

    text = (await arrived(second)).text
    assert code_in(text) == code_in(gateway.messages[0].text)
    await settled(world, verification_id, {"first": ("undelivered", error), "second": ("sent", None)})
    await world.advance(120)
    await asyncio.sleep(LOOK_SECONDS)
    assert (reports(gateway), len(gateway.messages), len(second.messages)) == (1, 1, 1)
    assert (await world.verify(verification_id, code_in(text))).status_code == 200


@pytest.mark.parametrize(("state", "error"), [(1020, "recipient_invalid"), (1011, "recipient_blocked")])
async def test_a_verdict_about_the_recipient_is_final(
    make_world: WorldMaker, gateway: EimsSimulator, second: EimsSimulator, state: int, error: str
) -> None:
    """Nobody else is asked."""
    world = await make_world(asked(gateway, second))
    verification_id, identity = await sent(world, gateway)
    gateway.states[identity] = EimsState(state)
    await world.advance(30)

    await settled(world, verification_id, {"first": ("undelivered", error)})
    await asyncio.sleep(LOOK_SECONDS)
    assert second.requests == []
    assert not await keeps_message(world, verification_id)


async def test_sent_is_the_best_word_of_some(make_world: WorldMaker, gateway: EimsSimulator) -> None:
    """A bare 0 stays `sent`, unless the config says that this gateway never says more."""
    world = await make_world(asked(gateway))
    verification_id, identity = await sent(world, gateway)
    gateway.states[identity] = EimsState(0)
    await world.advance(30)
    await until(lambda: reports(gateway) == 1)
    await asyncio.sleep(LOOK_SECONDS)
    await settled(world, verification_id, {"first": ("sent", None)})


async def test_sent_counts_as_delivered_where_the_config_says_so(
    make_world: WorldMaker, gateway: EimsSimulator
) -> None:
    """`zero_is_delivered`."""
    world = await make_world(asked(gateway, zero_is_delivered=True))
    verification_id, identity = await sent(world, gateway)
    gateway.states[identity] = EimsState(0)
    await world.advance(30)

    await settled(world, verification_id, {"first": ("delivered", None)})


@pytest.mark.parametrize("answer", [Hang(), Respond(Answer(b"<html>", 502)), Respond(Answer(b'{"status": -15}'))])
async def test_no_report_is_no_news(make_world: WorldMaker, gateway: EimsSimulator, answer: Any) -> None:
    """A gateway that does not answer is asked again later, and nothing is sent anew."""
    world = await make_world(asked(gateway))
    verification_id, identity = await sent(world, gateway)
    gateway.script(answer)
    await world.advance(30)
    await until(lambda: reports(gateway) == 1)
    gateway.states[identity] = EimsState(0)
    await asyncio.sleep(LOOK_SECONDS)
    await settled(world, verification_id, {"first": ("sent", None)})
    await world.advance(40)
    await until(lambda: reports(gateway) == 2)
    assert len(gateway.messages) == 1


async def test_nobody_asks_for_what_has_ended(make_world: WorldMaker, gateway: EimsSimulator) -> None:
    """Verified: the text has come, whatever the gateway knows of it."""
    world = await make_world(asked(gateway))
    verification_id, _ = await sent(world, gateway)
    assert (await world.verify(verification_id, code_in(gateway.messages[0].text))).status_code == 200
    await world.advance(60)
    await asyncio.sleep(LOOK_SECONDS)

    assert reports(gateway) == 0
    await settled(world, verification_id, {"first": ("sent", None)})
