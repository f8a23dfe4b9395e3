"""A gateway that asks for rest gets it, from every message; one that was away is tried again soon."""

from __future__ import annotations

import asyncio

from otp_service.domain.provider_policy import Availability, ProviderPolicy
from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.sandbox.simulators.http_server import Respond, SimulatorResponse
from otp_service.store.provider_status import provider_statuses
from otp_service.store.topology import connect
from tests.delivery.gateway_config import through
from tests.message_waits import LOOK_SECONDS, arrived, settled, until
from tests.running_service import World, WorldMaker

NUMBER = "0812-1010-{:04d}"


def slower(seconds: int) -> Respond:
    """Make the behaviour of a gateway that is asked too much."""
    return Respond(SimulatorResponse(b"", 429, {"Retry-After": str(seconds)}))


async def open_for(world: World, name: str = "first") -> int:
    """Say for how many ms the circuit for Indonesia, or the provider's own, is open; 0: neither is."""
    topology = connect(f"unix://{world.store.connection_pool.connection_kwargs['path']}")
    try:
        found = (await provider_statuses(topology, {name: ProviderPolicy()}))[name]
        whole = found.state.retry_in_ms if found.state.availability is Availability.OPEN else 0
        return max(whole, found.destinations.get("ID", 0))
    finally:
        await topology.close()


async def test_a_gateways_retry_after_is_kept(make_world: WorldMaker, gateway: EimsSimulator) -> None:
    """The message that was told and the one that comes after it wait as long as the gateway said."""
    gateway.script(slower(7))
    world = await make_world(through(gateway))
    first = (await world.request(NUMBER.format(1))).json()["verification_id"]
    await settled(world, first, {"first": ("queued", "throttled")})
    second = (await world.request(NUMBER.format(2))).json()["verification_id"]
    await world.advance(6)
    await asyncio.sleep(LOOK_SECONDS)
    assert len(gateway.requests) == 1
    await world.advance(1.1)

    await arrived(gateway, 2)
    for verification_id in (first, second):
        await settled(world, verification_id, {"first": ("sent", None)})
    assert len(gateway.requests) == 3


async def test_who_is_told_to_wait_goes_to_the_next_at_once(
    make_world: WorldMaker, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """Fail over first: nobody waits for a gateway while another one is free and was never asked."""
    gateway.script(slower(30))
    world = await make_world(through(gateway, second))
    verification_id = (await world.request()).json()["verification_id"]

    await settled(world, verification_id, {"first": ("failed", "throttled"), "second": ("sent", None)})
    assert len(second.messages) == 1


async def test_a_gateways_rest_holds_nothing_up(
    make_world: WorldMaker, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """The next message goes to the idle gateway at once, not after the other one's rest."""
    gateway.always = slower(60)
    world = await make_world(through(gateway, second))
    for n in (1, 2):
        await world.request(NUMBER.format(n))
        await arrived(second, n, seconds=2)

    assert len(gateway.requests) == 1


async def test_a_gateway_that_was_away_is_tried_again_within_six_seconds(
    make_world: WorldMaker, gateway: EimsSimulator
) -> None:
    """However often it was tried in vain; when it is back every message arrives, once."""
    world = await make_world(through(gateway))
    await gateway.close()
    await asyncio.gather(*(world.request(NUMBER.format(n)) for n in range(8)))
    opened = []
    for _ in range(6):
        async with asyncio.timeout(5):
            while not await open_for(world):
                await asyncio.sleep(0.02)
        opened.append(await open_for(world))
        await world.advance(opened[-1] / 1000 + 8)  # beyond every message's own pause as well
    assert 4_000 < max(opened) <= 6_000

    await gateway.listen()
    await world.advance(20)
    await arrived(gateway, 8, seconds=8)
    await until(lambda: len({message.to for message in gateway.messages}) == 8)
    assert len(gateway.messages) == 8
