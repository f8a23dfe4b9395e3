"""A spend cap stands only where every country that can come to it has a price."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from otp_service.settings import ConfigError, Settings
from tests.settings.complete_config import Edit

Mistakes = Callable[..., tuple[ConfigError, ...]]

ID_SG: Edit = ("tenants.acme.countries", ["ID", "SG"])
CAP = "daily_spend_cap"


def routes(*given: dict[str, Any]) -> Edit:
    """Replace the routes."""
    return ("routes", list(given))


def to(*providers: str, **area: str) -> dict[str, Any]:
    """Make a route."""
    return {**area, "providers": list(providers)}


def capped(provider: str, **price: str) -> tuple[Edit, Edit]:
    """Give a provider a cap, and just these prices."""
    return (f"providers.{provider}.{CAP}", "5"), (f"providers.{provider}.price", price)


REFUSED = [
    pytest.param([routes(to("box")), *capped("box")], "ID, SG", id="no price at all"),
    pytest.param([routes(to("box")), *capped("box", ID="1")], "SG", id="one country of two"),
    pytest.param([routes(to("box", country="SG"), to("own")), *capped("box", ID="1")], "SG", id="a country's route"),
    pytest.param([routes(to("own", "box")), *capped("box", ID="1")], "SG", id="second in its route"),
    pytest.param([routes(to("box", prefix="+62811"), to("own")), *capped("box", SG="1")], "ID", id="a prefix"),
    pytest.param([routes(to("box", prefix="+6"), to("own")), *capped("box")], "ID, SG", id="a prefix of two countries"),
    pytest.param(
        [("tenants.acme.countries", ["US", "JM"]), routes(to("box", prefix="+1658"), to("own")), *capped("box")],
        "JM",
        id="a prefix of one country of a shared code",
    ),
    pytest.param(
        [("tenants.acme.countries", ["US", "JM"]), routes(to("box", prefix="+1212"), to("own")), *capped("box")],
        "JM, US",
        id="a prefix that may be of either",
    ),
    pytest.param(
        [
            ("tenants.acme.countries", ["ID"]),
            routes(to("box", country="ID", prefix="+62811"), to("own")),
            *capped("box"),
        ],
        "ID",
        id="a country and a prefix",
    ),
    pytest.param(
        [("tenants.acme.countries", None), routes(to("box")), *capped("box", SG="1")], "ID", id="only country"
    ),
]


@pytest.mark.parametrize(("edits", "countries"), REFUSED)
def test_a_country_without_a_price_is_refused(mistakes: Mistakes, edits: list[Edit], countries: str) -> None:
    """One line at the provider's price, which names the countries and the cap."""
    [found] = mistakes(ID_SG, *edits)

    assert found.path == "providers.box.price"
    assert found.found == f"no price for {countries}, which providers.box.{CAP} needs"
    assert "default" in found.allowed


TAKEN = [
    pytest.param([routes(to("box")), *capped("box", ID="1", SG="2")], id="each has its own"),
    pytest.param([routes(to("box")), *capped("box", default="1")], id="default"),
    pytest.param([routes(to("box", country="ID"), to("own")), *capped("box", ID="1")], id="the other goes elsewhere"),
    pytest.param([routes(to("own")), *capped("box")], id="no route goes there"),
    pytest.param([routes(to("own", prefix="+62"), to("own", country="SG"), to("box")), *capped("box")], id="shadowed"),
    pytest.param(
        [routes(to("box", prefix="+65"), to("own")), *capped("box", SG="1")], id="a prefix of another country"
    ),
    pytest.param([routes(to("box", country="MY"), to("own")), *capped("box")], id="a country that nobody may"),
    pytest.param(
        [("tenants.acme.countries", ["US"]), routes(to("box", prefix="+1658"), to("own")), *capped("box")],
        id="a prefix of the neighbour",
    ),
]


@pytest.mark.parametrize("edits", TAKEN)
def test_a_cap_with_a_price_for_whatever_comes_is_taken(mistakes: Mistakes, edits: list[Edit]) -> None:
    """What cannot come there needs no price."""
    assert mistakes(ID_SG, *edits) == ()


def test_all_countries_need_a_default(mistakes: Mistakes) -> None:
    """For `*` a default is needed wherever a route for all goes, and a country's price where only that one goes."""
    everywhere: Edit = ("tenants.acme.countries", ["*"])
    [found] = mistakes(everywhere, routes(to("box")), *capped("box", ID="1", SG="1"))
    assert " more countries" in found.found
    assert len(str(found)) < 300
    assert mistakes(everywhere, routes(to("box")), *capped("box", default="1")) == ()
    assert mistakes(everywhere, routes(to("box", country="ID"), to("own")), *capped("box", ID="1")) == ()


def test_the_cap_of_a_tenant_needs_prices_at_every_provider(mistakes: Mistakes) -> None:
    """One line for each provider that its countries can be sent to; other tenants' countries do not matter."""
    cap: Edit = (f"tenants.acme.policy.{CAP}", "5")
    other: Edit = (
        "tenants.other",
        {"country": "MY", "api_keys": [{"id": "k", "sha256": "c" * 64}]},
    )
    edits = (ID_SG, cap, other, routes(to("own", "keda", country="ID"), to("box")))
    assert [str(found.path) for found in mistakes(*edits)] == [
        "providers.keda.price",
        "providers.own.price",
        "providers.box.price",
    ]
    priced = [(f"providers.{name}.price", price) for name, price in (("own", "ID"), ("keda", "ID"), ("box", "SG"))]
    assert mistakes(*edits, *((path, {area: "1"}) for path, area in priced)) == ()
    [found] = mistakes(*edits, *((path, {area: "1"}) for path, area in priced[:2]))
    assert found.found == f"no price for SG, which tenants.acme.policy.{CAP} needs"


def test_two_caps_are_two_lines(mistakes: Mistakes) -> None:
    """A provider that lacks a price for its own cap and for a tenant's is told of both."""
    found = mistakes(ID_SG, (f"tenants.acme.policy.{CAP}", "5"), routes(to("box")), *capped("box", ID="1"))
    assert [mistake.path for mistake in found] == ["providers.box.price"] * 2


def test_a_price_too_small_to_count_is_rounded_up(loaded: Callable[..., Settings]) -> None:
    """Below a millionth a price still counts as one, so that no number of messages is free."""
    from otp_service.bootstrap.settings_mapping import provider_policy

    settings = loaded(("providers.box.price", {"ID": "0.0000001", "SG": "0.0000011", "default": "0.015"}))
    assert provider_policy(settings.providers["box"]).price == {"ID": 1, "SG": 2, "default": 15_000}
