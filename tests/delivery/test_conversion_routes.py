"""Routes by conversion: providers are ordered by the share of their codes that were verified."""

from __future__ import annotations

import random
import sys
from collections import Counter

import pytest

from otp_service.delivery.routing import Route, Routes
from otp_service.domain.conversion import ConversionResults, CountKey, Results, number_prefix, weigh
from otp_service.sandbox.simulators.eims import EimsSimulator
from tests.bench.conversion_simulation import Scenario, run, table
from tests.config_parts import shared_keys
from tests.delivery.gateway_config import route_through
from tests.message_waits import code_in, read_deliveries, wait_for_deliveries
from tests.running_service import E164, ServiceFactory

ROUTE = Route(("first", "second"), exploration=0.05)
IDS = [f"A{n:022d}" for n in range(2_000)]


def first_providers(results: ConversionResults, route: Route = ROUTE) -> Counter[str]:
    """Count which provider is called first over all ids."""
    routes = Routes([route], lambda: results)
    return Counter(routes.providers("ID", E164, one)[0] for one in IDS)


def test_without_results_all_are_tried_alike() -> None:
    """Half of the messages go to each of two providers."""
    found = first_providers(ConversionResults())
    assert abs(found["first"] - found["second"]) < 200


def test_the_better_provider_gets_the_messages_and_exploration_stays() -> None:
    """With clear results, the other provider gets its half of the exploration only."""
    results = weigh(counts_of(first=(900, 100), second=(950, 600)), 0)
    found = first_providers(results)
    assert found["second"] == pytest.approx(len(IDS) * 0.05 / 2, rel=0.3)


def test_results_of_a_prefix_go_before_those_of_others() -> None:
    """A provider that lost one operator is not used for its numbers, and is for all other numbers."""
    results = ConversionResults(
        {("first", "+62811"): Results(0, 50), ("first", "+62812"): Results(500, 20)},
        {"first": Results(500, 70), "second": Results(300, 100)},
    )
    routes = Routes([ROUTE], lambda: results)

    lost, kept = (Counter(routes.providers("ID", number, one)[0] for one in IDS) for number in ("+628111000000", E164))
    assert lost["first"] < 0.1 * len(IDS)
    assert kept["first"] > 0.9 * len(IDS)


def test_selected_provider_stays_first() -> None:
    """When the results change between the request and the delivery, the selected provider is called first."""
    results = weigh(counts_of(first=(0, 1000), second=(1000, 0)), 0)
    routes = Routes([ROUTE, Route(("first", "second"), "SG")], lambda: results)

    assert {routes.providers("ID", E164, one, selected="first") for one in IDS} == {("first", "second")}
    assert routes.providers("SG", "+6591234567", "v1", selected="second") == ("first", "second")


def test_same_results_give_the_same_order() -> None:
    """A retry and another replica with the same results compute the same order."""
    results = weigh(counts_of(first=(9, 1), second=(8, 2)), 0)
    orders = [[Routes([ROUTE], lambda: results).providers("ID", E164, one) for one in IDS[:100]] for _ in range(2)]
    assert orders[0] == orders[1]
    assert len(set(orders[0])) == 2


def counts_of(**providers: tuple[int, int]) -> dict[CountKey, int]:
    """Return counts from verified and failed messages by provider, all three minutes before minute 0."""
    counts = {}
    for name, (verified, failed) in providers.items():
        counts[CountKey(-3, name, "+62812", verified=False)] = verified + failed
        counts[CountKey(-3, name, "+62812", verified=True)] = verified
    return counts


def test_a_code_counts_as_failed_after_two_minutes() -> None:
    """A fresh message is no failure, a verified one counts at once, and weights halve in ten minutes."""
    key = CountKey(100, "first", "+62812", verified=False)
    counts = {key: 8, key._replace(verified=True): 2}

    assert weigh(counts, 100).by_provider["first"] == Results(2, 0)
    assert weigh(counts, 110).by_provider["first"] == Results(1, 3)
    assert weigh(counts, 120).by_prefix["first", "+62812"] == Results(0.5, 1.5)


@pytest.mark.parametrize(
    ("number", "prefix"),
    [(E164, "+62812"), ("+12025550123", "+12025"), ("+29051234", "+290"), ("+683881", "+6"), ("a@example.com", "")],
)
def test_a_prefix_leaves_five_digits_open(number: str, prefix: str) -> None:
    """The prefix is stored in the clear, and must not tell whose number it is (+290: Saint Helena, +683: Niue)."""
    assert number_prefix(number) == prefix


def test_counts_that_were_lost_never_make_negative_failures() -> None:
    """More verified than sent messages, as after a crash, are no failures."""
    counts = {CountKey(0, "first", "+62812", verified=True): 5}
    results = weigh(counts, 10)
    assert results.by_provider["first"] == Results(2.5, 0)
    assert 0 < results.draw("first", "+62812", random.Random(1)) < 1  # noqa: S311 - a test


def test_traffic_moves_when_a_provider_silently_stops() -> None:
    """Of 3,060 conversions that are lost on the fixed route and 1,320 by round-robin, at most 300 are lost."""
    scenario = Scenario()
    found = run(scenario, 1)
    sys.stdout.write(table(scenario, found) + "\n")
    [by_conversion], [round_robin], [fixed] = found['strategy "conversion"'], found["round-robin"], found["a only"]

    assert round(sum(fixed.lost)) == 3060
    assert round(sum(round_robin.lost[60:])) == 1320
    assert sum(by_conversion.lost[60:]) < 300
    assert sum(by_conversion.lost[:60]) < 0.25 * sum(round_robin.lost[:60])
    assert by_conversion.lost_before_moved(60)[1] <= 5


async def test_results_of_one_replica_reach_the_other(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """Verified codes of one gateway, over HTTP, make another replica prefer it; the first shutdown stores them."""
    config = route_through(gateway, second) | shared_keys()
    config["routes"] = [{"providers": ["first", "second"], "strategy": "conversion", "exploration": 0.01}]
    first_replica = ServiceFactory(make_service.url)
    service = await first_replica(config)
    gateways, sent = {"first": gateway, "second": second}, Counter[str]()
    for n in range(24):
        response = await service.request(f"0812-1010-{n:04d}")
        verification_id = response.json()["verification_id"]
        [delivery] = await read_deliveries(service, verification_id)
        name = delivery["provider"]
        await wait_for_deliveries(service, verification_id, {name: ("sent", None)})
        sent[name] += 1
        if name == "second":
            code = code_in(gateways[name].messages[-1].text)
            assert (await service.verify(verification_id, code)).status_code == 200
    await service.advance(180)
    await first_replica.close()
    replica = await make_service(config)
    later = Counter[str]()
    for n in range(100, 124):
        response = await replica.request(f"0812-1010-{n:04d}")
        [delivery] = await read_deliveries(replica, response.json()["verification_id"])
        later[delivery["provider"]] += 1

    assert min(sent["first"], sent["second"]) >= 4
    assert later["second"] >= 20
