"""`[countries]`: the keys, and which spend caps fit the prices and currencies of the providers."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from otp_service.settings import ConfigError, Settings, config_warnings, unused_keys
from tests.settings.complete_config import Edit, edited_config

FindErrors = Callable[..., tuple[ConfigError, ...]]

ROUTES: Edit = ("routes", [{"country": "ID", "providers": ["box"]}, {"providers": ["own"]}])
PRICES: tuple[Edit, ...] = (("providers.box.price", {"ID": "400"}), ("providers.own.price", {"default": "0.05"}))
RUPIAH: Edit = ("providers.box.currency", "IDR")


def cap(area: str, amount: str = "5", **more: str) -> Edit:
    """Return the change that gives a country a spend cap."""
    return (f"countries.{area}", {"daily_spend_cap": amount, **more})


def test_the_keys_are_those_of_other_caps(loaded: Callable[..., Settings]) -> None:
    """A country has the caps of a provider, with the same defaults; `default` is for each other country."""
    caps = {"daily_message_cap": 10, "alert_threshold": 0.5, "block_on_limit": False}
    settings = loaded(("countries", {"ID": caps, "default": {"daily_spend_cap": "7"}}), *PRICES, ROUTES)
    indonesia, other = settings.countries["ID"], settings.countries["default"]
    assert (indonesia.daily_message_cap, indonesia.alert_threshold, indonesia.block_on_limit) == (10, 0.5, False)
    assert (other.daily_spend_cap, other.currency, other.daily_message_cap) == (Decimal(7), "USD", None)
    assert dict(loaded().countries) == {}


@pytest.mark.parametrize(
    ("edit", "path"),
    [
        (("countries.id", {}), "countries.id"),
        (("countries.XX", {}), "countries.XX"),
        (("countries.ID", {"daily_message_cap": 0}), "countries.ID.daily_message_cap"),
        (("countries.ID", {"daily_cap": 1}), "countries.ID.daily_cap"),
        (("countries", []), "countries"),
    ],
)
def test_wrong_keys_and_values(find_errors: FindErrors, edit: Edit, path: str) -> None:
    """Each error names its key."""
    assert [error.path for error in find_errors(edit)] == [path]


def test_a_country_cap_needs_prices(find_errors: FindErrors) -> None:
    """A country's spend cap needs the price of that country at each provider; the default cap those of the others."""
    [found] = find_errors(ROUTES, PRICES[0], cap("SG"))
    assert (found.path, found.found) == (
        "providers.own.price",
        "no price for SG, which countries.SG.daily_spend_cap needs",
    )
    assert find_errors(ROUTES, PRICES[0], cap("ID")) == ()
    assert find_errors(ROUTES, PRICES[0], ("countries.SG", {}), cap("default")) == ()


@pytest.mark.parametrize("currency", ["USD", "EUR"])
def test_a_cap_in_another_currency_is_refused(find_errors: FindErrors, currency: str) -> None:
    """The caps of a tenant and of countries have the currency of every provider that they count."""
    [found] = find_errors(ROUTES, *PRICES, RUPIAH, cap("ID", currency=currency))
    assert str(found) == f"countries.ID.currency: {currency} is not the currency of box (IDR); allowed: IDR"
    assert find_errors(ROUTES, *PRICES, RUPIAH, cap("ID", currency="IDR"), cap("SG")) == ()
    tenant: tuple[Edit, ...] = (
        ("tenants.acme.policy.daily_spend_cap", "5"),
        ("tenants.acme.policy.currency", currency),
    )
    [both] = find_errors(ROUTES, *PRICES, RUPIAH, *tenant)
    assert both.path == "tenants.acme.policy.currency"
    assert "one currency for all providers" in both.allowed
    free: Edit = ("providers.box.price", {"default": "0"})
    assert find_errors(ROUTES, free, PRICES[1], RUPIAH, *tenant[:1]) == ()


def test_emails_belong_to_no_country(find_errors: FindErrors) -> None:
    """Their provider needs a default price for the cap of a tenant, and none for those of countries."""
    emails = {"channel": "email", "providers": ["mail"]}
    routes: Edit = ("routes", [{"providers": ["own"]}, emails])
    mail: Edit = ("providers.mail", {"type": "inbox", "currency": "EUR"})
    assert find_errors(routes, mail, PRICES[1], cap("ID"), cap("default")) == ()
    [found] = find_errors(routes, mail, PRICES[1], ("tenants.acme.policy.daily_spend_cap", "5"))
    assert found.found == "no price for e-mails, which tenants.acme.policy.daily_spend_cap needs"


def test_warnings(loaded: Callable[..., Settings]) -> None:
    """A currency without a spend cap has no effect, and a country that no tenant may send to is probably a slip."""
    edits: tuple[Edit, ...] = (
        ("countries.ID", {"currency": "IDR"}),
        ("countries.MY", {"daily_message_cap": 5}),
        ("tenants.acme.policy", {"currency": "USD", "daily_spend_cap": "5"}),
    )
    assert unused_keys(edited_config(*edits)) == ["countries.ID.currency"]
    warnings = config_warnings(loaded(edits[0], edits[1]))
    assert "countries.MY: no tenant may send to this country" in warnings
    assert not [line for line in warnings if line.startswith("countries.ID")]
    everywhere = config_warnings(loaded(edits[1], ("tenants.acme.countries", ["*"])))
    assert not [line for line in everywhere if line.startswith("countries")]
