"""The rate of a provider (`max_per_second`): messages that are no longer wanted delay no others."""

from __future__ import annotations

import asyncio

from otp_service.sandbox.simulators.eims import EimsSimulator
from tests.delivery.gateway_config import route_through
from tests.message_waits import wait_for_message
from tests.running_service import ServiceFactory
from tests.waits import wait_until

OVERFLOW = 60
NUMBER = "0812-1010-{:04d}"
NUMBER_OF_FIRST = "0811-1010-{:04d}"


def numbers_in_order(gateway: EimsSimulator) -> list[str]:
    """Return the last digits of the numbers, in the order in which the gateway accepted the messages."""
    return [message.to[-4:] for message in sorted(gateway.messages, key=lambda one: one.at)]


async def test_messages_wait_for_the_pace_of_their_first_provider(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """Twenty messages at ten per second: the first provider sends them all, at its rate and in order."""
    config = route_through(gateway, second)
    config["providers"]["first"]["max_per_second"] = 10
    service = await make_service(config)
    for n in range(20):
        await service.request(NUMBER.format(n))
    await wait_for_message(gateway, 20, seconds=6)

    assert second.messages == []
    assert numbers_in_order(gateway) == [f"{n:04d}" for n in range(20)]
    spans = [(b.at - a.at).total_seconds() for a, b in zip(gateway.messages, gateway.messages[10:], strict=False)]
    assert min(spans) >= 0.9  # ten intervals of 0.1 s; one late arrival shortens a span by its delay


async def test_messages_that_cannot_wait_fail_over(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """Sixty messages at two per second are too many for a TTL of ten seconds, so most of them fail over."""
    config = route_through(gateway, second)
    config["providers"]["first"]["max_per_second"] = 2
    config["routes"].append({"prefix": "+62811", "providers": ["first"]})
    config["tenants"] = {"demo": {"policy": {"ttl_seconds": 10}}}
    service = await make_service(config)
    await asyncio.gather(*(service.request(NUMBER.format(n)) for n in range(OVERFLOW)))
    await wait_for_message(second, OVERFLOW - 11)
    await wait_until(lambda: len(gateway.messages) + len(second.messages) == OVERFLOW, seconds=8)

    assert OVERFLOW - 11 <= len(second.messages) <= OVERFLOW - 9
    assert (await service.request(NUMBER_OF_FIRST.format(0))).status_code == 202
    await wait_for_message(gateway, OVERFLOW - len(second.messages) + 1, seconds=2)


async def test_canceled_messages_are_not_waited_for(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """After sixty queued messages were canceled, the next message is sent as if they had not existed."""
    config = route_through(gateway)
    config["providers"]["first"]["max_per_second"] = 1
    service = await make_service(config)
    responses = await asyncio.gather(*(service.request(NUMBER.format(n)) for n in range(OVERFLOW)))
    for response in responses:
        await service.client.delete(f"/v1/verifications/{response.json()['verification_id']}")
    before = len(gateway.messages)

    assert (await service.request(NUMBER_OF_FIRST.format(0))).status_code == 202
    await wait_for_message(gateway, before + 1, seconds=4)
