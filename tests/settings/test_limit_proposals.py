"""The rate limits that `check-config` proposes from the daily caps."""

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
    """Return the table of a second tenant, in Singapore."""
    return {"country": "SG", "api_keys": [{"id": "x", "sha256": "c" * 64}], "policy": policy}


@pytest.mark.parametrize(
    ("messages", "count"),
    [(5000, 417), (24, 10), (240, 20), (241, 21), (120, 10), (132, 11), (10, 10), (9, 9), (1, 1), (100_000_000, 10**6)],
)
def test_hourly_window_is_twice_the_mean(messages: int, count: int) -> None:
    """An hourly window is the day's cap / 24 * 2, rounded up, at least 10 or the whole cap, at most a million."""
    assert hourly_window(messages) == Window(count, 3600)


def test_no_proposal_without_caps(loaded: Loaded) -> None:
    """Without daily caps nothing is proposed."""
    assert proposed_limits(loaded()) == []


def test_one_cap_gives_three_proposals(loaded: Loaded) -> None:
    """Country, tenant and global each get a line that names the cap."""
    caps = 'the caps of tenants.acme (5000 messages a day) suggest "417/3600"'
    assert proposed_limits(loaded((ACME, 5000))) == [
        f"limits.country: none; {caps}",
        f"limits.tenant: none; {caps}",
        f"limits.global: none; {caps}",
    ]


@pytest.mark.parametrize("name", ["country", "tenant", "global"])
def test_no_proposal_for_an_existing_limit(loaded: Loaded, name: str) -> None:
    """Only an empty limit is proposed."""
    proposed = proposed_limits(loaded((ACME, 5000), (f"limits.{name}", ["9/60"])))
    assert len(proposed) == 2
    assert not any(line.startswith(f"limits.{name}:") for line in proposed)


def test_proposals_for_several_tenants(loaded: Loaded) -> None:
    """The tenant limit allows the largest tenant, the global one the sum, a country the tenants that may send there."""
    settings = loaded((ACME, 2400), (OTHER, other(daily_message_cap=1200)))
    assert proposed_limits(settings) == [
        # acme may send to SG too
        'limits.country: none; the caps of tenants.acme, tenants.other (3600 messages a day) suggest "300/3600"',
        'limits.tenant: none; the caps of tenants.acme (2400 messages a day) suggest "200/3600"',
        'limits.global: none; the caps of tenants.acme, tenants.other (3600 messages a day) suggest "300/3600"',
    ]
    only_id = loaded((ACME, 2400), (OTHER, other(daily_message_cap=1200)), ("tenants.acme.countries", ["ID"]))
    assert "tenants.acme (2400 messages a day)" in proposed_limits(only_id)[0]


def test_lower_caps_of_providers_apply(loaded: Loaded) -> None:
    """The sum of the caps of all routed providers bounds every proposal."""
    settings = loaded((ACME, 5000), ROUTE, ("providers.jakarta.daily_message_cap", 1200))
    assert {line.partition(";")[2] for line in proposed_limits(settings)} == {
        ' the caps of providers.jakarta (1200 messages a day) suggest "100/3600"'
    }


def test_unrouted_provider_does_not_count(loaded: Loaded) -> None:
    """The cap of a provider without a route gives no proposal."""
    assert proposed_limits(loaded(ROUTE, ("providers.keda.daily_message_cap", 1200))) == []


def test_tenants_without_a_cap_are_named(loaded: Loaded) -> None:
    """A proposal names the tenants whose messages it does not count."""
    settings = loaded((ACME, 2400), (OTHER, other()))
    assert proposed_limits(settings)[2] == (
        'limits.global: none; the caps of tenants.acme (2400 messages a day) suggest "200/3600"; '
        "without a cap: tenants.other"
    )


def test_spend_cap_counts_at_the_lowest_price(loaded: Loaded) -> None:
    """A spend cap counts as messages at the lowest price, and the lower of two caps applies."""
    spend = (ROUTE, ("tenants.acme.policy.daily_spend_cap", "36"))  # jakarta's lowest price is 0.015
    assert "(2400 messages a day)" in proposed_limits(loaded(*spend))[0]
    assert "(1200 messages a day)" in proposed_limits(loaded(*spend, (ACME, 1200)))[0]
    assert "(2400 messages a day)" in proposed_limits(loaded(*spend, (ACME, 9000)))[0]
    assert proposed_limits(loaded(*spend, ("providers.jakarta.price", {"default": "0"}))) == []


def test_caps_of_countries_bound_the_limit_of_a_country(loaded: Loaded) -> None:
    """The highest cap of a country applies to every country, if each other country has one, too."""
    caps = {"ID": {"daily_message_cap": 2400}, "default": {"daily_message_cap": 240}}
    assert proposed_limits(loaded(ROUTE, ("countries", caps))) == [
        'limits.country: none; the caps of countries.ID (2400 messages a day) suggest "200/3600"'
    ]
    [line] = proposed_limits(loaded(ROUTE, ("countries", {"ID": caps["ID"]})))
    assert line.endswith('"200/3600"; without a cap: countries.default')


def test_only_three_names_are_listed(loaded: Loaded) -> None:
    """Of many tenants three are named, and the others counted."""
    tenants = [(f"tenants.t{n}", {**other(daily_message_cap=24), "api_keys": [key(n)]}) for n in range(6)]
    line = proposed_limits(loaded((ACME, 24), *tenants))[2]
    assert "tenants.acme, tenants.t0, tenants.t1 and 4 more (168 messages a day)" in line


def key(number: int) -> dict[str, Any]:
    """Return an API key with its own hash."""
    return {"id": "x", "sha256": f"{number:064x}"}
