"""A spend cap is accepted only if every country that it counts has a price."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from otp_service.settings import ConfigError, Settings
from tests.settings.complete_config import Edit

FindErrors = Callable[..., tuple[ConfigError, ...]]

ID_SG: Edit = ("tenants.acme.countries", ["ID", "SG"])
CAP = "daily_spend_cap"


def routes(*given: dict[str, Any]) -> Edit:
    """Return the change that replaces the routes."""
    return ("routes", list(given))


def route_to(*providers: str, **area: str) -> dict[str, Any]:
    """Return a route."""
    return {**area, "providers": list(providers)}


def capped(provider: str, **price: str) -> tuple[Edit, Edit]:
    """Return the changes that give a provider a spend cap and these prices only."""
    return (f"providers.{provider}.{CAP}", "5"), (f"providers.{provider}.price", price)


REFUSED = [
    pytest.param([routes(route_to("box")), *capped("box")], "ID, SG", id="no price at all"),
    pytest.param([routes(route_to("box")), *capped("box", ID="1")], "SG", id="one country of two"),
    pytest.param(
        [routes(route_to("box", country="SG"), route_to("own")), *capped("box", ID="1")], "SG", id="a country's route"
    ),
    pytest.param([routes(route_to("own", "box")), *capped("box", ID="1")], "SG", id="second in its route"),
    pytest.param(
        [routes(route_to("box", prefix="+62811"), route_to("own")), *capped("box", SG="1")], "ID", id="a prefix"
    ),
    pytest.param(
        [routes(route_to("box", prefix="+6"), route_to("own")), *capped("box")],
        "ID, SG",
        id="a prefix of two countries",
    ),
    pytest.param(
        [
            ("tenants.acme.countries", ["US", "JM"]),
            routes(route_to("box", prefix="+1658"), route_to("own")),
            *capped("box"),
        ],
        "JM",
        id="a prefix of one country of a shared code",
    ),
    pytest.param(
        [
            ("tenants.acme.countries", ["US", "JM"]),
            routes(route_to("box", prefix="+1212"), route_to("own")),
            *capped("box"),
        ],
        "JM, US",
        id="a prefix that may be of either",
    ),
    pytest.param(
        [
            ("tenants.acme.countries", ["ID"]),
            routes(route_to("box", country="ID", prefix="+62811"), route_to("own")),
            *capped("box"),
        ],
        "ID",
        id="a country and a prefix",
    ),
    pytest.param(
        [("tenants.acme.countries", None), routes(route_to("box")), *capped("box", SG="1")], "ID", id="only country"
    ),
]


@pytest.mark.parametrize(("edits", "countries"), REFUSED)
def test_country_without_price_is_refused(find_errors: FindErrors, edits: list[Edit], countries: str) -> None:
    """The error is at the price of the provider, and names the countries and the cap."""
    [found] = find_errors(ID_SG, *edits)

    assert found.path == "providers.box.price"
    assert found.found == f"no price for {countries}, which providers.box.{CAP} needs"
    assert "default" in found.allowed


TAKEN = [
    pytest.param([routes(route_to("box")), *capped("box", ID="1", SG="2")], id="each has its own"),
    pytest.param([routes(route_to("box")), *capped("box", default="1")], id="default"),
    pytest.param(
        [routes(route_to("box", country="ID"), route_to("own")), *capped("box", ID="1")], id="the other goes elsewhere"
    ),
    pytest.param([routes(route_to("own")), *capped("box")], id="no route goes there"),
    pytest.param(
        [routes(route_to("own", prefix="+62"), route_to("own", country="SG"), route_to("box")), *capped("box")],
        id="shadowed",
    ),
    pytest.param(
        [routes(route_to("box", prefix="+65"), route_to("own")), *capped("box", SG="1")],
        id="a prefix of another country",
    ),
    pytest.param(
        [routes(route_to("box", country="MY"), route_to("own")), *capped("box")], id="a country that nobody may"
    ),
    pytest.param(
        [("tenants.acme.countries", ["US"]), routes(route_to("box", prefix="+1658"), route_to("own")), *capped("box")],
        id="a prefix of the neighbour",
    ),
]


@pytest.mark.parametrize("edits", TAKEN)
def test_unreachable_countries_need_no_price(find_errors: FindErrors, edits: list[Edit]) -> None:
    """A country whose messages cannot reach the provider needs no price."""
    assert find_errors(ID_SG, *edits) == ()


def test_all_countries_need_a_default(find_errors: FindErrors) -> None:
    """`*` needs a default price, except where only the routes of some countries lead to the provider."""
    everywhere: Edit = ("tenants.acme.countries", ["*"])
    [found] = find_errors(everywhere, routes(route_to("box")), *capped("box", ID="1", SG="1"))
    assert " more countries" in found.found
    assert len(str(found)) < 300
    assert find_errors(everywhere, routes(route_to("box")), *capped("box", default="1")) == ()
    assert find_errors(everywhere, routes(route_to("box", country="ID"), route_to("own")), *capped("box", ID="1")) == ()


def test_tenant_cap_needs_prices_at_every_provider(find_errors: FindErrors) -> None:
    """A tenant's cap needs a price at each provider for the tenant's own countries only."""
    cap: Edit = (f"tenants.acme.policy.{CAP}", "5")
    other: Edit = (
        "tenants.other",
        {"country": "MY", "api_keys": [{"id": "k", "sha256": "c" * 64}]},
    )
    edits = (ID_SG, cap, other, routes(route_to("own", "keda", country="ID"), route_to("box")))
    assert [str(found.path) for found in find_errors(*edits)] == [
        "providers.keda.price",
        "providers.own.price",
        "providers.box.price",
    ]
    priced = [(f"providers.{name}.price", price) for name, price in (("own", "ID"), ("keda", "ID"), ("box", "SG"))]
    assert find_errors(*edits, *((path, {area: "1"}) for path, area in priced)) == ()
    [found] = find_errors(*edits, *((path, {area: "1"}) for path, area in priced[:2]))
    assert found.found == f"no price for SG, which tenants.acme.policy.{CAP} needs"


def test_two_caps_are_two_errors(find_errors: FindErrors) -> None:
    """A missing price is reported for each cap that needs it."""
    found = find_errors(ID_SG, (f"tenants.acme.policy.{CAP}", "5"), routes(route_to("box")), *capped("box", ID="1"))
    assert [error.path for error in found] == ["providers.box.price"] * 2


def test_small_prices_are_rounded_up(loaded: Callable[..., Settings]) -> None:
    """A price below a millionth counts as a millionth, so that no message is free."""
    from otp_service.bootstrap.settings_mapping import build_provider_policy

    settings = loaded(("providers.box.price", {"ID": "0.0000001", "SG": "0.0000011", "default": "0.015"}))
    assert build_provider_policy(settings.providers["box"]).price == {"ID": 1, "SG": 2, "default": 15_000}
