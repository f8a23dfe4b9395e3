"""A gateway with a pace: nobody waits behind a message that is not coming any more."""

from __future__ import annotations

import asyncio

from otp_service.dev.simulators.eims import EimsSimulator
from tests.delivery.conftest import arrived, through, until
from tests.world import WorldMaker

OVERFLOW = 60
ELSEWHERE = "0812-1010-{:04d}"
HERE = "0811-1010-{:04d}"


async def test_what_went_elsewhere_is_not_waited_for(
    make_world: WorldMaker, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """Sixty messages overflow to the second gateway; those that only the first serves keep its pace, not theirs."""
    config = through(gateway, second)
    config["providers"]["first"]["max_per_second"] = 2
    config["routes"].append({"prefix": "+62811", "providers": ["first"]})
    world = await make_world(config)
    await asyncio.gather(*(world.request(ELSEWHERE.format(n)) for n in range(OVERFLOW)))
    await until(lambda: len(gateway.messages) + len(second.messages) == OVERFLOW)
    assert len(second.messages) > OVERFLOW / 2
    before = len(gateway.messages)

    for n in range(3):
        assert (await world.request(HERE.format(n))).status_code == 202
    await arrived(gateway, before + 3, seconds=5)


async def test_what_was_called_off_is_not_waited_for(make_world: WorldMaker, gateway: EimsSimulator) -> None:
    """Canceled while they waited for their turn: the next is served as if they had never been."""
    config = through(gateway)
    config["providers"]["first"]["max_per_second"] = 1
    world = await make_world(config)
    responses = await asyncio.gather(*(world.request(ELSEWHERE.format(n)) for n in range(OVERFLOW)))
    for response in responses:
        await world.client.delete(f"/v1/verifications/{response.json()['verification_id']}")
    before = len(gateway.messages)

    assert (await world.request(HERE.format(0))).status_code == 202
    await arrived(gateway, before + 1, seconds=4)
