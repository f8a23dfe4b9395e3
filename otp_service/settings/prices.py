"""A cap on money holds only where every message has a price.

What has none counts as nothing, and passes the cap. So a spend cap is refused unless each country whose messages can
come to it has a price, its own or `default`, at each provider concerned: for a provider's cap the countries that the
routes can send there for any tenant, for a tenant's cap the providers that its countries can be sent to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final

from otp_service.domain.numbering import has_prefix, may_have_prefix
from otp_service.domain.phone import SUPPORTED_COUNTRIES
from otp_service.domain.provider_policy import DEFAULT_AREA
from otp_service.domain.tenant import ALL_COUNTRIES
from otp_service.settings.gateways import CommonProvider
from otp_service.settings.mistakes import Finding, dotted
from otp_service.settings.tree import Route, Settings, Tenant
from otp_service.settings.walk import is_sound

__all__ = ["spend_caps_have_prices"]

MOST_NAMED: Final = 8
_ALLOWED: Final = f"a price for each of them, or {DEFAULT_AREA}"

Reached = Mapping[str, set[str]]
"""The countries that can be sent to each provider."""


def spend_caps_have_prices(settings: Settings) -> Iterator[Finding]:
    """Every spend cap counts whatever can come to it."""
    reached = {name: _reached(tenant, settings.routes) for name, tenant in settings.tenants.items()}
    for name, provider in settings.providers.items():
        if not is_sound(provider):
            continue
        if _stands(provider.daily_spend_cap):
            by_anyone = (by_tenant.get(name, set()) for by_tenant in reached.values())
            yield from _unpriced(name, provider, set().union(*by_anyone), ("providers", name))
        for tenant_name, by_tenant in reached.items():
            if _stands(settings.tenants[tenant_name].policy.daily_spend_cap):
                countries = by_tenant.get(name, set())
                yield from _unpriced(name, provider, countries, ("tenants", tenant_name, "policy"))


def _stands(cap: Decimal | None) -> bool:
    return is_sound(cap) and cap is not None


def _unpriced(name: str, provider: CommonProvider, countries: set[str], cap_of: tuple[str, ...]) -> Iterator[Finding]:
    missing = sorted(countries - set(provider.price)) if DEFAULT_AREA not in provider.price else []
    if missing:
        cap = dotted((*cap_of, "daily_spend_cap"))
        yield ("providers", name, "price"), f"no price for {_named(missing)}, which {cap} needs", _ALLOWED


def _named(countries: Sequence[str]) -> str:
    more = len(countries) - MOST_NAMED
    return ", ".join(countries[:MOST_NAMED]) + (f" and {more} more countries" if more > 0 else "")


def _reached(tenant: Tenant, routes: Sequence[Route]) -> Reached:
    reached: dict[str, set[str]] = {}
    for country in _countries(tenant):
        for route in _serving(country, routes):
            for target in route.providers:
                reached.setdefault(target.name, set()).add(country)
    return reached


def _countries(tenant: Tenant) -> Iterable[str]:
    allowed = tenant.countries or (() if tenant.country is None else (tenant.country,))
    return SUPPORTED_COUNTRIES if ALL_COUNTRIES in allowed else allowed


def _serving(country: str, routes: Sequence[Route]) -> Iterator[Route]:
    """Go through the routes that some number of a country takes: the most specific first, until one takes all."""
    for route in sorted(routes, key=lambda one: (-len(one.prefix or ""), one.country is None)):
        prefix = route.prefix or ""
        if route.country in (None, country) and may_have_prefix(country, prefix):
            yield route
            if has_prefix(country, prefix):
                return
