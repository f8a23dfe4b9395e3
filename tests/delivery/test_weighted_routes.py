"""Routes with weights: exact proportions, and the same order on every replica."""

from __future__ import annotations

import math
from collections import Counter
from itertools import permutations

import pytest

from otp_service.delivery.routing import Route, Routes, WeightedProvider
from otp_service.sandbox.simulators.eims import EimsSimulator, refusal
from otp_service.store.keys import ALL_PARTITIONS, new_verification_id
from tests.config_parts import shared_keys
from tests.delivery.gateway_config import route_through
from tests.message_waits import code_in, read_deliveries, text_of_request, wait_for_deliveries
from tests.running_service import ServiceFactory

IDS = [f"A{n:022d}" for n in range(10_000)]
CHI_SQUARE_LIMITS = {1: 10.83, 2: 13.82, 5: 20.52, 23: 49.73}
"""By degrees of freedom: a larger chi-square has a probability below 0.1 %."""


def probability(order: tuple[WeightedProvider, ...]) -> float:
    """Return the probability of an order under weighted sampling without replacement."""
    left = [one.weight for one in order]
    return math.prod(weight / sum(left[place:]) for place, weight in enumerate(left))


def count_orders(*providers: str | WeightedProvider) -> Counter[tuple[str, ...]]:
    """Count the orders of all ids."""
    route = Route(providers)
    return Counter(route.order(one) for one in IDS)


@pytest.mark.parametrize("weights", [(1, 1), (3, 1), (1000, 1), (1, 2, 3), (5, 5, 5), (1, 2, 3, 4)])
def test_order_frequencies_match_weights(weights: tuple[int, ...]) -> None:
    """Over 10,000 messages the orders are as frequent as weighted sampling without replacement makes them."""
    providers = [WeightedProvider(f"p{place}", weight) for place, weight in enumerate(weights)]
    found = count_orders(*providers)
    expected = {tuple(one.name for one in order): probability(order) * len(IDS) for order in permutations(providers)}

    assert found.keys() <= expected.keys()
    chi_square = sum((found[order] - count) ** 2 / count for order, count in expected.items())
    assert chi_square < CHI_SQUARE_LIMITS[len(expected) - 1]


def test_unweighted_providers_keep_their_positions() -> None:
    """In a mixed route the weighted providers are shuffled among their own positions."""
    found = count_orders("first", WeightedProvider("a", 1), "third", WeightedProvider("b", 1))

    assert set(found) == {("first", "a", "third", "b"), ("first", "b", "third", "a")}
    assert abs(found["first", "a", "third", "b"] - 5000) < math.sqrt(CHI_SQUARE_LIMITS[1] * 10_000) / 2


def test_order_is_deterministic() -> None:
    """The order is the same in another object and another process, and does not depend on other providers."""
    providers = (WeightedProvider("a", 1), WeightedProvider("b", 2), WeightedProvider("c", 3))
    written = [("c", "a", "b"), ("b", "c", "a"), ("c", "b", "a"), ("b", "c", "a")]

    for message_id in (new_verification_id(ALL_PARTITIONS[7]) for _ in range(100)):
        order = Routes([Route(providers)]).providers("ID", "+6281210100055", message_id)
        assert Routes([Route(providers)]).providers("ID", "+6281210100055", message_id) == order
        assert Route(providers[:2]).order(message_id) == tuple(name for name in order if name != "c")
    assert [Route(providers).order(one) for one in IDS[:4]] == written


async def test_first_recorded_provider_is_called(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """The provider that the record names first sends the message, on every replica, and both gateways get some."""
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


async def test_failover_keeps_the_order(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """Both providers reject once: the second is called, then the first again, with the same code."""
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
