"""Routes with weights spread messages: by exact shares, the same way each time, and as the record says."""

from __future__ import annotations

import math
from collections import Counter
from itertools import permutations

import pytest

from otp_service.delivery.routing import Route, Routes, WeightedProvider
from otp_service.sandbox.simulators.eims import EimsSimulator, refusal
from otp_service.store.keys import Partition, new_verification_id
from tests.config_parts import shared_keys
from tests.delivery.gateway_config import route_through
from tests.message_waits import code_in, read_deliveries, text_of_request, wait_for_deliveries
from tests.running_service import ServiceFactory

IDS = [f"A{n:022d}" for n in range(10_000)]
ONE_IN_A_THOUSAND = {1: 10.83, 2: 13.82, 5: 20.52, 23: 49.73}
"""Chi-square by degrees of freedom: what is above it is no chance."""


def chance(order: tuple[WeightedProvider, ...]) -> float:
    """Say how likely an order is when each next one is drawn by weight among those that are left."""
    left = [one.weight for one in order]
    return math.prod(weight / sum(left[place:]) for place, weight in enumerate(left))


def orders(*providers: str | WeightedProvider) -> Counter[tuple[str, ...]]:
    """Count the orders of all ids."""
    route = Route(providers)
    return Counter(route.order(one) for one in IDS)


@pytest.mark.parametrize("weights", [(1, 1), (3, 1), (1000, 1), (1, 2, 3), (5, 5, 5), (1, 2, 3, 4)])
def test_orders_come_by_weight(weights: tuple[int, ...]) -> None:
    """Over 10,000 messages every order is as frequent as drawing by weight without putting back makes it."""
    providers = [WeightedProvider(f"p{place}", weight) for place, weight in enumerate(weights)]
    found = orders(*providers)
    expected = {tuple(one.name for one in order): chance(order) * len(IDS) for order in permutations(providers)}

    assert found.keys() <= expected.keys()
    chi_square = sum((found[order] - count) ** 2 / count for order, count in expected.items())
    assert chi_square < ONE_IN_A_THOUSAND[len(expected) - 1]


def test_plain_names_keep_their_places() -> None:
    """In a mixed route the weighted ones are shuffled among the places that they hold."""
    found = orders("first", WeightedProvider("a", 1), "third", WeightedProvider("b", 1))

    assert set(found) == {("first", "a", "third", "b"), ("first", "b", "third", "a")}
    assert abs(found["first", "a", "third", "b"] - 5000) < math.sqrt(ONE_IN_A_THOUSAND[1] * 10_000) / 2


def test_an_order_is_the_same_each_time() -> None:
    """Whoever asks: another object, another process (these are written down), another provider in the route."""
    three = (WeightedProvider("a", 1), WeightedProvider("b", 2), WeightedProvider("c", 3))
    written = [("c", "a", "b"), ("b", "c", "a"), ("c", "b", "a"), ("b", "c", "a")]

    for message_id in (new_verification_id(Partition(7)) for _ in range(100)):
        order = Routes([Route(three)]).providers("ID", "+6281210100055", message_id)
        assert Routes([Route(three)]).providers("ID", "+6281210100055", message_id) == order
        assert Route(three[:2]).order(message_id) == tuple(name for name in order if name != "c")
    assert [Route(three).order(one) for one in IDS[:4]] == written


async def test_the_first_of_the_record_is_the_one_that_is_tried(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """What a 202's record names first is who gets the text, on whichever replica, and both gateways get some."""
    config = route_through(gateway, second) | shared_keys()
    config["routes"] = [{"providers": [{"name": "first", "weight": 1}, {"name": "second", "weight": 1}]}]
    services = [await make_service(config), await make_service(config)]
    named: dict[str, str] = {}
    for n in range(16):
        response = await services[n % 2].request(f"0812-1010-{n:04d}")
        verification_id = response.json()["verification_id"]
        [delivery] = await read_deliveries(services[n % 2], verification_id)
        named[verification_id] = delivery["provider"]

    for verification_id, provider in named.items():
        await wait_for_deliveries(services[0], verification_id, {provider: ("sent", None)})
    counts = Counter(named.values())
    assert (len(gateway.messages), len(second.messages)) == (counts["first"], counts["second"])
    assert len(counts) == 2


async def test_fail_over_goes_on_in_the_same_order(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """Both refuse once: the other one takes over, then it is the first one's turn again, with the same code."""
    gateways = {"first": gateway, "second": second}
    for one in gateways.values():
        one.script(refusal(-12))
    config = route_through(gateway, second)
    config["routes"] = [{"providers": [{"name": "first", "weight": 5}, {"name": "second", "weight": 1}]}]
    service = await make_service(config)
    response = await service.request()
    verification_id = response.json()["verification_id"]
    first = (await read_deliveries(service, verification_id))[0]["provider"]
    [other] = gateways.keys() - {first}

    await wait_for_deliveries(service, verification_id, {first: ("sent", None), other: ("failed", "transient")})
    assert (len(gateways[first].requests), len(gateways[other].requests)) == (2, 1)
    assert code_in(gateways[first].messages[0].text) == code_in(text_of_request(gateways[other].requests[0]))
