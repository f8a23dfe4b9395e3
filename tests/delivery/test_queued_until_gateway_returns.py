"""A gateway that is away: the message waits for it, and is not sent when nobody wants it any more."""

from __future__ import annotations

import asyncio

import pytest

from otp_service.delivery.outbox_worker import OutboxWorker
from otp_service.sandbox.simulators.eims import EimsSimulator, refusal
from otp_service.sandbox.simulators.http_server import Respond, SimulatorResponse
from tests.delivery.gateway_config import through
from tests.message_waits import LOOK_SECONDS, arrived, code_in, settled, until
from tests.running_service import World, WorldMaker
from tests.store_contents import keeps_message


async def waiting(world: World, gateway: EimsSimulator) -> str:
    """Request a code while nobody listens: the verification's id, once its message has failed and waits."""
    await gateway.close()
    verification_id: str = (await world.request()).json()["verification_id"]
    await settled(world, verification_id, {"first": ("queued", "transient")})
    return verification_id


async def test_it_arrives_once_when_the_gateway_is_back(make_world: WorldMaker, gateway: EimsSimulator) -> None:
    """Refused connections leave it queued; then it is sent, and verifies."""
    world = await make_world(through(gateway))
    verification_id = await waiting(world, gateway)
    await asyncio.sleep(LOOK_SECONDS)
    await settled(world, verification_id, {"first": ("queued", "transient")})
    await gateway.listen()

    message = await arrived(gateway)
    await settled(world, verification_id, {"first": ("sent", None)})
    await world.advance(30)
    await asyncio.sleep(LOOK_SECONDS)
    assert len(gateway.requests) == 1
    assert (await world.verify(verification_id, code_in(message.text))).status_code == 200


async def test_pauses_grow_with_the_age_of_the_message(make_world: WorldMaker, gateway: EimsSimulator) -> None:
    """A gateway that says "later" for 100 s is asked again after 15 s, not before."""
    gateway.always = refusal(-12)
    world = await make_world(through(gateway))
    verification_id = (await world.request()).json()["verification_id"]
    await until(lambda: len(gateway.requests) >= 2)
    await settled(world, verification_id, {"first": ("queued", "transient")})
    asked = len(gateway.requests)
    await world.advance(100)
    await until(lambda: len(gateway.requests) > asked)
    await settled(world, verification_id, {"first": ("queued", "transient")})
    asked = len(gateway.requests)

    await world.advance(13)
    await asyncio.sleep(LOOK_SECONDS)
    assert len(gateway.requests) == asked
    await world.advance(30)  # beyond the pause, and beyond the circuit that so many failures have opened
    await until(lambda: len(gateway.requests) > asked)


async def test_an_expired_code_is_never_sent(make_world: WorldMaker, gateway: EimsSimulator) -> None:
    """Its delivery has failed, its message is gone, and the gateway that comes back hears nothing of it."""
    world = await make_world(through(gateway))
    verification_id = await waiting(world, gateway)
    await world.advance(300)
    await gateway.listen()
    await asyncio.sleep(LOOK_SECONDS)

    await settled(world, verification_id, {"first": ("failed", "transient")})
    assert gateway.requests == []
    assert not await keeps_message(world, verification_id)


async def test_a_canceled_code_is_never_sent(make_world: WorldMaker, gateway: EimsSimulator) -> None:
    """DELETE while it waits calls it off."""
    world = await make_world(through(gateway))
    verification_id = await waiting(world, gateway)
    response = await world.client.delete(f"/v1/verifications/{verification_id}")
    assert response.json()["status"] == "canceled"
    await gateway.listen()
    await asyncio.sleep(LOOK_SECONDS)
    await world.advance(20)
    await asyncio.sleep(LOOK_SECONDS)

    await settled(world, verification_id, {"first": ("failed", "transient")})
    assert gateway.requests == []
    assert not await keeps_message(world, verification_id)


@pytest.mark.parametrize("resend", ["rotate", "reuse"])
async def test_a_superseded_code_is_never_sent(make_world: WorldMaker, gateway: EimsSimulator, resend: str) -> None:
    """Of two requests that wait only the newer one's text is sent, once, also when both have one code."""
    world = await make_world(through(gateway) | {"tenants": {"demo": {"policy": {"resend": resend}}}})
    older = await waiting(world, gateway)
    await world.advance(31)
    newer = await waiting(world, gateway)
    await gateway.listen()
    message = await arrived(gateway)
    await world.advance(30)
    await asyncio.sleep(LOOK_SECONDS)

    assert len(gateway.messages) == 1
    await settled(world, older, {"first": ("failed", "transient")})
    await settled(world, newer, {"first": ("sent", None)})
    assert (await world.verify(newer, code_in(message.text))).status_code == 200


async def test_a_message_whose_process_died_before_the_call_is_sent(
    make_world: WorldMaker, gateway: EimsSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first lease lapses, and whoever looks around next takes it: nothing was written to a gateway yet."""
    world = await make_world(through(gateway))
    with monkeypatch.context() as dead:
        dead.setattr(OutboxWorker, "deliver", lambda _self, _message: None)
        verification_id = (await world.request()).json()["verification_id"]
    await settled(world, verification_id, {"first": ("queued", None)})
    await world.advance(6)

    await arrived(gateway)
    await settled(world, verification_id, {"first": ("sent", None)})
    assert len(gateway.requests) == 1


async def test_a_pause_without_end_is_one_that_a_code_can_wait(
    make_world: WorldMaker, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """`Retry-After` of the largest long there is: the record stays readable, and with it everybody's outbox."""
    gateway.always, second.always = Respond(SimulatorResponse(b"", 429, {"Retry-After": str(2**63 - 1)})), refusal(-12)
    world = await make_world(through(gateway, second))
    verification_id = (await world.request()).json()["verification_id"]
    await settled(world, verification_id, {"first": ("queued", "throttled"), "second": ("queued", "transient")})
    second.always = None
    await world.advance(16)

    await arrived(second)
