"""The route that applies to a number."""

from __future__ import annotations

import pytest

from otp_service.delivery.routing import Route, Routes
from otp_service.domain.message import Channel

ROUTES = [
    Route(("default",)),
    Route(("indonesia", "second"), "ID"),
    Route(("telkomsel",), "ID", "+62811"),
    Route(("telkomsel-1",), "ID", "+628111"),
    Route(("any-62",), None, "+62"),
    Route(("singapore",), "SG"),
    Route(("singapore-8",), None, "+658"),
]


@pytest.mark.parametrize(
    ("country", "number", "providers"),
    [
        ("ID", "+628111000000", ("telkomsel-1",)),
        ("ID", "+628112000000", ("telkomsel",)),
        ("ID", "+6281210100055", ("any-62",)),
        ("SG", "+6581234567", ("singapore-8",)),
        ("SG", "+6591234567", ("singapore",)),
        ("DE", "+4915112345678", ("default",)),
    ],
)
def test_most_specific_route_applies(country: str, number: str, providers: tuple[str, ...]) -> None:
    """The longest prefix wins over a country, and a country over the default, in any order of the config."""
    for turn in range(len(ROUTES)):
        turned = ROUTES[turn:] + ROUTES[:turn]
        assert Routes(turned).providers(country, number, "v1") == providers
        assert Routes(turned[::-1]).providers(country, number, "v1") == providers


def test_route_with_prefix_and_country_needs_both() -> None:
    """The prefix +1 is shared by many countries."""
    routes = Routes([Route(("canada",), "CA", "+1"), Route(("states",), "US")])

    assert routes.providers("US", "+12025550123", "v1") == ("states",)
    assert routes.providers("CA", "+16135550123", "v1") == ("canada",)


def test_country_decides_between_equal_prefixes() -> None:
    """The route with a country is more specific."""
    routes = Routes([Route(("anyone",), None, "+1"), Route(("canada",), "CA", "+1")])

    assert routes.providers("CA", "+16135550123", "v1") == ("canada",)
    assert routes.providers("US", "+12025550123", "v1") == ("anyone",)


def test_order_of_the_route_is_kept() -> None:
    """Providers without weights are called in the order of the config."""
    assert Routes(ROUTES[:2]).providers("ID", "+6281210100055", "v1") == ("indonesia", "second")


def test_no_provider_without_a_matching_route() -> None:
    """The result is empty."""
    assert Routes([Route(("indonesia",), "ID")]).providers("SG", "+6581234567", "v1") == ()
    assert Routes([]).providers("ID", "+6281210100055", "v1") == ()


def test_route_of_another_channel_does_not_apply() -> None:
    """A more specific route of another channel is not used, and a channel without a route has no provider."""
    routes = Routes([Route(("text",)), Route(("chat",), "ID", "+62812", Channel.WHATSAPP)])
    assert routes.providers("ID", "+6281210100055", "v1") == ("text",)
    assert routes.providers("ID", "+6281210100055", "v1", Channel.WHATSAPP) == ("chat",)
    assert routes.providers("ID", "+6281210100055", "v1", Channel.VOICE) == ()
