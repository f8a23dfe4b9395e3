"""Which limits the daily caps of a config suggest, by one documented rule."""

from collections.abc import Callable
from typing import Any

import pytest

from otp_service.cli.limit_proposals import hourly_window, proposed_limits
from otp_service.domain.limits import Window
from otp_service.settings import Settings

Loaded = Callable[..., Settings]

ACME, OTHER = "tenants.acme.policy.daily_message_cap", "tenants.other"
ROUTE = ("routes", [{"providers": ["jakarta"]}])


def other(**policy: Any) -> dict[str, Any]:
    """Configure a second tenant, in Singapore."""
    return {"country": "SG", "api_keys": [{"id": "x", "sha256": "c" * 64}], "policy": policy}


@pytest.mark.parametrize(
    ("messages", "count"),
    [(5000, 417), (24, 10), (240, 20), (241, 21), (120, 10), (132, 11), (10, 10), (9, 9), (1, 1), (100_000_000, 10**6)],
)
def test_a_peak_hour_is_twice_the_mean(messages: int, count: int) -> None:
    """A day's cap spread over 24 hours, times two, rounded up; at least ten or all of the day, at most a million."""
    assert hourly_window(messages) == Window(count, 3600)


def test_without_caps_nothing_is_proposed(loaded: Loaded) -> None:
    """A config that counts nothing by the day suggests nothing."""
    assert proposed_limits(loaded()) == []


def test_one_tenants_cap_suggests_all_three(loaded: Loaded) -> None:
    """Country, tenant and global each get a line, which says whose cap it comes from."""
    caps = 'the caps of tenants.acme (5000 messages a day) suggest "417/3600"'
    assert proposed_limits(loaded((ACME, 5000))) == [
        f"limits.country: none; {caps}",
        f"limits.tenant: none; {caps}",
        f"limits.global: none; {caps}",
    ]


@pytest.mark.parametrize("name", ["country", "tenant", "global"])
def test_a_limit_that_stands_is_left_alone(loaded: Loaded, name: str) -> None:
    """Only what is empty is proposed."""
    proposed = proposed_limits(loaded((ACME, 5000), (f"limits.{name}", ["9/60"])))
    assert len(proposed) == 2
    assert not any(line.startswith(f"limits.{name}:") for line in proposed)


def test_several_tenants_are_each_below_the_largest_and_together_below_the_sum(loaded: Loaded) -> None:
    """The tenant limit has to let the largest through, the global one all, and a country's those who may send there."""
    settings = loaded((ACME, 2400), (OTHER, other(daily_message_cap=1200)))
    assert proposed_limits(settings) == [
        # acme may send to SG too
        'limits.country: none; the caps of tenants.acme, tenants.other (3600 messages a day) suggest "300/3600"',
        'limits.tenant: none; the caps of tenants.acme (2400 messages a day) suggest "200/3600"',
        'limits.global: none; the caps of tenants.acme, tenants.other (3600 messages a day) suggest "300/3600"',
    ]
    only_id = loaded((ACME, 2400), (OTHER, other(daily_message_cap=1200)), ("tenants.acme.countries", ["ID"]))
    assert "tenants.acme (2400 messages a day)" in proposed_limits(only_id)[0]


def test_the_providers_caps_count_when_they_are_tighter(loaded: Loaded) -> None:
    """What all routed providers together may send is a bound of everything."""
    settings = loaded((ACME, 5000), ROUTE, ("providers.jakarta.daily_message_cap", 1200))
    assert {line.partition(";")[2] for line in proposed_limits(settings)} == {
        ' the caps of providers.jakarta (1200 messages a day) suggest "100/3600"'
    }


def test_a_provider_without_a_route_sends_nothing(loaded: Loaded) -> None:
    """Its cap says nothing."""
    assert proposed_limits(loaded(ROUTE, ("providers.keda.daily_message_cap", 1200))) == []


def test_who_has_no_cap_is_named(loaded: Loaded) -> None:
    """A proposal that leaves somebody's messages out says whose."""
    settings = loaded((ACME, 2400), (OTHER, other()))
    assert proposed_limits(settings)[2] == (
        'limits.global: none; the caps of tenants.acme (2400 messages a day) suggest "200/3600"; '
        "without a cap: tenants.other"
    )


def test_a_spend_cap_counts_by_the_lowest_price(loaded: Loaded) -> None:
    """As many messages as the money buys at the cheapest price; the smaller of both caps."""
    spend = (ROUTE, ("tenants.acme.policy.daily_spend_cap", "36"))  # jakarta's lowest price is 0.015
    assert "(2400 messages a day)" in proposed_limits(loaded(*spend))[0]
    assert "(1200 messages a day)" in proposed_limits(loaded(*spend, (ACME, 1200)))[0]
    assert "(2400 messages a day)" in proposed_limits(loaded(*spend, (ACME, 9000)))[0]
    assert proposed_limits(loaded(*spend, ("providers.jakarta.price", {"default": "0"}))) == []


def test_many_names_are_counted(loaded: Loaded) -> None:
    """A line stays a line."""
    tenants = [(f"tenants.t{n}", {**other(daily_message_cap=24), "api_keys": [key(n)]}) for n in range(6)]
    line = proposed_limits(loaded((ACME, 24), *tenants))[2]
    assert "tenants.acme, tenants.t0, tenants.t1 and 4 more (168 messages a day)" in line


def key(number: int) -> dict[str, Any]:
    """Configure a key of its own."""
    return {"id": "x", "sha256": f"{number:064x}"}
