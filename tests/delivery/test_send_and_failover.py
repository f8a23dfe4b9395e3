"""From a 202 to a gateway: it arrives at once, and refusals lead on."""

from __future__ import annotations

import asyncio
import time

import pytest

from otp_service.sandbox.simulators.eims import EimsSimulator, refusal
from otp_service.sandbox.simulators.http_server import Slow
from tests.delivery.gateway_config import through
from tests.message_waits import LOOK_SECONDS, arrived, code_in, deliveries, settled, text_in, until
from tests.running_service import E164, NUMBER, WorldMaker
from tests.store_contents import keeps_message


async def test_a_code_arrives_within_a_second_and_verifies(make_world: WorldMaker, gateway: EimsSimulator) -> None:
    """The 202 does not wait for the gateway, and the text does not wait for anything else."""
    world = await make_world(through(gateway))
    started = time.monotonic()
    response = await world.request()
    message = await arrived(gateway, seconds=1.0)

    assert time.monotonic() - started < 1.0
    verification_id = response.json()["verification_id"]
    assert "+" + message.to == E164
    await settled(world, verification_id, {"first": ("sent", None)})
    assert (await world.verify(verification_id, code_in(message.text))).status_code == 200
    assert len(gateway.requests) == 1


async def test_the_states_along_the_way(make_world: WorldMaker, gateway: EimsSimulator) -> None:
    """GET shows `outbound` while the gateway thinks, and `sent` after."""
    gateway.script(Slow(0.3))
    world = await make_world(through(gateway))
    response = await world.request()
    verification_id = response.json()["verification_id"]

    assert [d["status"] for d in await deliveries(world, verification_id)] in (["queued"], ["sending"])
    await until(lambda: len(gateway.requests) == 1)
    assert [d["status"] for d in await deliveries(world, verification_id)] == ["sending"]
    await settled(world, verification_id, {"first": ("sent", None)})


async def test_a_decoy_sends_nothing(make_world: WorldMaker, gateway: EimsSimulator) -> None:
    """And shows no deliveries."""
    world = await make_world(through(gateway))
    response = await world.request(decoy=True)
    await asyncio.sleep(LOOK_SECONDS)

    assert await deliveries(world, response.json()["verification_id"]) == []
    assert gateway.requests == []


@pytest.mark.parametrize("status", [-1, -3, -10, -12, -27])
async def test_a_refusal_fails_over_with_the_same_code_at_once(
    make_world: WorldMaker, gateway: EimsSimulator, second: EimsSimulator, status: int
) -> None:
    """The second gateway has the text in under a second, with the code that the first one did not take."""
    gateway.always = refusal(status)
    world = await make_world(through(gateway, second))
    started = time.monotonic()
    response = await world.request()
    message = await arrived(second, seconds=1.0)

    assert time.monotonic() - started < 1.0
    assert code_in(message.text) == code_in(text_in(gateway.requests[0]))
    verification_id = response.json()["verification_id"]
    assert (await world.verify(verification_id, code_in(message.text))).status_code == 200
    assert (len(gateway.requests), len(second.requests)) == (1, 1)


async def test_fail_over_from_where_nobody_listens(
    make_world: WorldMaker, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """Both deliveries are told, oldest first, the failed one with its reason."""
    await gateway.close()
    world = await make_world(through(gateway, second))
    verification_id = (await world.request()).json()["verification_id"]
    await arrived(second, seconds=1.0)

    await settled(world, verification_id, {"first": ("failed", "transient"), "second": ("sent", None)})
    assert [d["provider"] for d in await deliveries(world, verification_id)] == ["first", "second"]


@pytest.mark.parametrize(("status", "error"), [(-9, "recipient_invalid"), (-28, "recipient_blocked")])
async def test_a_verdict_about_the_recipient_does_not_fail_over(
    make_world: WorldMaker, gateway: EimsSimulator, second: EimsSimulator, status: int, error: str
) -> None:
    """It is told as it is, nobody else is asked, and the code is forgotten."""
    gateway.always = refusal(status)
    world = await make_world(through(gateway, second))
    verification_id = (await world.request()).json()["verification_id"]

    await settled(world, verification_id, {"first": ("failed", error)})
    await world.advance(60)
    await asyncio.sleep(LOOK_SECONDS)
    assert (len(gateway.requests), second.requests) == (1, [])
    assert not await keeps_message(world, verification_id)


async def test_when_everybody_refuses_for_good_it_has_failed(
    make_world: WorldMaker, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """Each with its own reason, and nobody is asked twice."""
    gateway.always, second.always = refusal(-1), refusal(-10)
    world = await make_world(through(gateway, second))
    verification_id = (await world.request()).json()["verification_id"]

    await settled(world, verification_id, {"first": ("failed", "config_error"), "second": ("failed", "funds")})
    await world.advance(60)
    await asyncio.sleep(LOOK_SECONDS)
    assert (len(gateway.requests), len(second.requests)) == (1, 1)


@pytest.mark.parametrize(("resend", "kept"), [("rotate", False), ("reuse", True)])
async def test_what_is_kept_of_the_code_after_acceptance(
    make_world: WorldMaker, gateway: EimsSimulator, resend: str, kept: bool
) -> None:
    """`rotate` forgets it and makes a new one; `reuse` keeps it, sealed, and sends it again."""
    policy = {"resend": resend, "resend_cooldown_seconds": 30}
    world = await make_world(through(gateway) | {"tenants": {"demo": {"policy": policy}}})
    older = (await world.request()).json()["verification_id"]
    await settled(world, older, {"first": ("sent", None)})
    assert await keeps_message(world, older) is kept

    await world.advance(31)
    newer = (await world.request()).json()["verification_id"]
    codes = [code_in((await arrived(gateway, number)).text) for number in (1, 2)]
    assert (codes[0] == codes[1]) is kept
    assert (await world.verify(older, codes[0])).json()["code"] == "verification_superseded"
    assert (await world.verify(newer, codes[1])).status_code == 200
    assert not await keeps_message(world, newer)


async def test_a_message_is_for_the_number_that_was_asked_for(make_world: WorldMaker, gateway: EimsSimulator) -> None:
    """Many at once: each number gets its own code."""
    world = await make_world(through(gateway))
    numbers = [f"{NUMBER[:-2]}{suffix}" for suffix in range(10, 40)]
    responses = await asyncio.gather(*(world.request(number) for number in numbers))
    await arrived(gateway, len(numbers))

    codes = {message.to: code_in(message.text) for message in gateway.messages}
    for number, response in zip(numbers, responses, strict=True):
        to = "62" + number.replace("-", "")[1:]
        assert (await world.verify(response.json()["verification_id"], codes[to])).status_code == 200
