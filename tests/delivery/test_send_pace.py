"""A gateway with a pace: nobody waits behind a message that is not coming any more."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from otp_service.sandbox.simulators.eims import EimsSimulator
from tests.delivery.gateway_config import route_through
from tests.message_waits import wait_for_message
from tests.running_service import ServiceFactory
from tests.waits import wait_until

OVERFLOW = 60
ELSEWHERE = "0812-1010-{:04d}"
HERE = "0811-1010-{:04d}"


def order(gateway: EimsSimulator) -> list[str]:
    """List the numbers in the order in which their texts were taken."""
    return [message.to[-4:] for message in sorted(gateway.messages, key=lambda one: one.at)]


async def test_messages_wait_for_their_turn_though_another_gateway_is_idle(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """Twenty at ten a second: the first gateway gets them all, at its pace, none before those that came earlier."""
    config = route_through(gateway, second)
    config["providers"]["first"]["max_per_second"] = 10
    service = await make_service(config)
    for n in range(20):
        await service.request(ELSEWHERE.format(n))
    await wait_for_message(gateway, 20, seconds=6)

    assert second.messages == []
    assert order(gateway) == [f"{n:04d}" for n in range(20)]
    gaps = [(b.at - a.at).total_seconds() for a, b in pairwise(gateway.messages)]
    assert min(gaps) >= 0.08


async def test_who_cannot_wait_goes_elsewhere_and_is_not_waited_for(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """With ten seconds to live, five of them to spare, sixty messages at two a second are too many for one gateway."""
    config = route_through(gateway, second)
    config["providers"]["first"]["max_per_second"] = 2
    config["routes"].append({"prefix": "+62811", "providers": ["first"]})
    config["tenants"] = {"demo": {"policy": {"ttl_seconds": 10}}}
    service = await make_service(config)
    await asyncio.gather(*(service.request(ELSEWHERE.format(n)) for n in range(OVERFLOW)))
    await wait_for_message(second, OVERFLOW - 11)
    await wait_until(lambda: len(gateway.messages) + len(second.messages) == OVERFLOW, seconds=8)

    assert OVERFLOW - 11 <= len(second.messages) <= OVERFLOW - 9
    assert (await service.request(HERE.format(0))).status_code == 202
    await wait_for_message(gateway, OVERFLOW - len(second.messages) + 1, seconds=2)


async def test_what_was_called_off_is_not_waited_for(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """Canceled while they waited for their turn: the next is served as if they had never been."""
    config = route_through(gateway)
    config["providers"]["first"]["max_per_second"] = 1
    service = await make_service(config)
    responses = await asyncio.gather(*(service.request(ELSEWHERE.format(n)) for n in range(OVERFLOW)))
    for response in responses:
        await service.client.delete(f"/v1/verifications/{response.json()['verification_id']}")
    before = len(gateway.messages)

    assert (await service.request(HERE.format(0))).status_code == 202
    await wait_for_message(gateway, before + 1, seconds=4)
