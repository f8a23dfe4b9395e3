"""The rate of a provider (`max_per_second`): messages that are no longer wanted delay no others."""

from __future__ import annotations

import asyncio

from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.store.keys import ProviderKeys
from tests.delivery.gateway_config import route_through
from tests.message_waits import POLL_ROUNDS_SECONDS, wait_for_message
from tests.running_service import RunningService, ServiceFactory

OVERFLOW = 60
NUMBER = "0812-1010-{:04d}"
NUMBER_OF_FIRST = "0811-1010-{:04d}"


def numbers_in_order(gateway: EimsSimulator) -> list[str]:
    """Return the last digits of the numbers, in the order in which the gateway accepted the messages."""
    return [message.to[-4:] for message in sorted(gateway.messages, key=lambda one: one.at)]


async def request_in_order(service: RunningService, count: int, *gateways: EimsSimulator) -> list[str]:
    """Request `count` codes, each when the one before is sent or in the queue, a millisecond later; return their ids.

    The clock stands still otherwise.
    """
    ids, queue = [], ProviderKeys("first").queue
    for n in range(count):
        response = await service.request(NUMBER.format(n))
        assert response.status_code == 202, response.text
        ids.append(response.json()["verification_id"])
        until = asyncio.get_running_loop().time() + 20
        while sum(len(one.messages) for one in gateways) + await service.store.zcard(queue) <= n:
            assert asyncio.get_running_loop().time() < until, n
            await asyncio.sleep(0.005)
        await service.advance(0.001)
    return ids


async def test_messages_wait_for_the_pace_of_their_first_provider(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """Twenty messages at ten per second: the first provider sends them all, at its rate and in order."""
    config = route_through(gateway, second, timeout=10)
    config["providers"]["first"]["max_per_second"] = 10
    service = await make_service(config)
    await service.stop_clock()
    await request_in_order(service, 20, gateway)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    for sent in range(1, 21):
        await wait_for_message(gateway, sent, seconds=20)
        assert len(gateway.messages) == sent
        await service.advance(0.1)

    assert second.messages == []
    assert numbers_in_order(gateway) == [f"{n:04d}" for n in range(20)]


async def test_messages_that_cannot_wait_fail_over(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """Sixty messages at one in five seconds are too many for a TTL of 55 seconds, so most of them fail over."""
    config = route_through(gateway, second, timeout=10)
    config["providers"]["first"]["max_per_second"] = 0.2
    config["routes"].append({"prefix": "+62811", "providers": ["first"]})
    config["tenants"] = {"demo": {"policy": {"ttl_seconds": 55}}}
    service = await make_service(config)
    await service.stop_clock()
    await request_in_order(service, OVERFLOW, gateway, second)
    await wait_for_message(second, OVERFLOW - 11, seconds=20)
    while (sent := len(gateway.messages)) + len(second.messages) < OVERFLOW:
        await service.advance(5)
        await wait_for_message(gateway, sent + 1, seconds=20)

    assert OVERFLOW - 11 <= len(second.messages) <= OVERFLOW - 9
    assert (await service.request(NUMBER_OF_FIRST.format(0))).status_code == 202
    await service.advance(5)
    await wait_for_message(gateway, OVERFLOW - len(second.messages) + 1, seconds=20)


async def test_canceled_messages_are_not_waited_for(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """After sixty queued messages were canceled, the next message is sent as if they had not existed."""
    config = route_through(gateway, timeout=10)
    config["providers"]["first"]["max_per_second"] = 1
    service = await make_service(config)
    await service.stop_clock()
    for verification_id in await request_in_order(service, OVERFLOW, gateway):
        assert (await service.client.delete(f"/v1/verifications/{verification_id}")).status_code == 200
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    before = len(gateway.messages)
    assert before <= 1

    assert (await service.request(NUMBER_OF_FIRST.format(0))).status_code == 202
    for _ in range(10):
        if len(gateway.messages) == before:
            await service.advance(1)
            await asyncio.sleep(POLL_ROUNDS_SECONDS)
    assert len(gateway.messages) == before + 1
