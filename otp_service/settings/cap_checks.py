"""Cross-checks of daily spend caps with the prices and the currencies of the providers that they count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from otp_service.domain.message import Channel
from otp_service.domain.provider_policy import ANY_COUNTRY
from otp_service.providers.config_fields import Caps, CommonProvider
from otp_service.providers.config_parsing import Finding, Path, dotted_path
from otp_service.settings.checked_values import is_valid
from otp_service.settings.model import Route, Settings, Tenant
from otp_service.settings.route_checks import routed_countries

MAX_NAMED: Final = 8
_NO_COUNTRY: Final = ""


class _Capped(NamedTuple):
    """A table with a spend cap, and the countries whose messages it counts at each provider."""

    path: Path
    caps: Caps
    countries: Mapping[str, set[str]]


def spend_caps_have_prices(settings: Settings) -> Iterator[Finding]:
    """Each spend cap has a price for every message that it must count: one without a price would count as nothing.

    A provider's cap needs those of the countries that the routes send there for any tenant; a tenant's cap those of the
    providers to which its countries are sent; a country's cap that of the country at each provider.
    """
    for capped in _spend_caps(settings):
        for name, provider in settings.providers.items():
            if is_valid(provider):
                yield from _missing_prices(name, provider, capped.countries.get(name, set()), capped.path)


def spend_caps_have_one_currency(settings: Settings) -> Iterator[Finding]:
    """A tenant's or a country's spend cap has the currency of every provider whose messages it counts.

    A provider whose messages are free may have any currency.
    """
    for path, caps, countries in _spend_caps(settings):
        currencies = {
            name: provider.currency
            for name, provider in settings.providers.items()
            if countries.get(name) and is_valid(provider) and any(provider.price.values())
        }
        others = [f"{name} ({currency})" for name, currency in currencies.items() if currency != caps.currency]
        if others:
            found = f"{caps.currency} is not the currency of {_listed(others)}"
            one = set(currencies.values())
            allowed = one.pop() if len(one) == 1 else "one currency for all providers whose messages it counts"
            yield (*path, "currency"), found, allowed


def _spend_caps(settings: Settings) -> Iterator[_Capped]:
    """Yield every table with a spend cap: the providers, then the tenants, then the countries."""
    tables = (
        *settings.providers.values(),
        *(one.policy for one in settings.tenants.values()),
        *settings.countries.values(),
    )
    if not any(map(_has_spend_cap, tables)):
        return
    routed = {name: _counted_countries(tenant, settings.routes) for name, tenant in settings.tenants.items()}
    by_any: dict[str, set[str]] = {}
    for by_provider in routed.values():
        for name, countries in by_provider.items():
            by_any.setdefault(name, set()).update(countries)
    for name, provider in settings.providers.items():
        if _has_spend_cap(provider):
            yield _Capped(("providers", name), provider, {name: by_any.get(name, set())})
    for name, tenant in settings.tenants.items():
        if _has_spend_cap(tenant.policy):
            yield _Capped(("tenants", name, "policy"), tenant.policy, routed[name])
    for area, caps in settings.countries.items():
        if _has_spend_cap(caps):
            counted = {name: _of_area(area, countries, settings.countries) for name, countries in by_any.items()}
            yield _Capped(("countries", area), caps, counted)


def _counted_countries(tenant: Tenant, routes: Sequence[Route]) -> dict[str, set[str]]:
    """Return the countries of the messages that the routes send to each provider for a tenant; e-mails have none."""
    by_phone = [route for route in routes if route.channel is not Channel.EMAIL]
    counted = dict(routed_countries(tenant, by_phone))
    for route in routes:
        for target in route.providers if route.channel is Channel.EMAIL else ():
            counted.setdefault(target.name, set()).add(_NO_COUNTRY)
    return counted


def _has_spend_cap(caps: Caps) -> bool:
    return is_valid(caps) and is_valid(caps.daily_spend_cap) and caps.daily_spend_cap is not None


def _of_area(area: str, countries: set[str], named: Mapping[str, Caps]) -> set[str]:
    """Return those of `countries` to which the caps of `area` apply: a country, or each one without caps of its own."""
    return countries - {_NO_COUNTRY, *named} if area == ANY_COUNTRY else countries & {area}


def _missing_prices(name: str, provider: CommonProvider, countries: set[str], capped: Path) -> Iterator[Finding]:
    missing = sorted(countries - set(provider.price)) if ANY_COUNTRY not in provider.price else []
    if missing:
        names = [country or "e-mails" for country in missing]
        found = f"no price for {_listed(names, 'countries')}, which {dotted_path((*capped, 'daily_spend_cap'))} needs"
        yield ("providers", name, "price"), found, f"a price for each of them, or {ANY_COUNTRY}"


def _listed(names: list[str], what: str = "providers") -> str:
    more = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {more} more {what}" if more > 0 else "")
