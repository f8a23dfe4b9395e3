"""Cross-checks of `[[routes]]` with the providers, and the countries that they send to each provider."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from otp_service.domain.message import Channel
from otp_service.domain.numbering import has_prefix, may_have_prefix
from otp_service.domain.phone import SUPPORTED_COUNTRIES
from otp_service.domain.tenant import ALL_COUNTRIES
from otp_service.providers.config_parsing import Finding, dotted_path, quoted
from otp_service.settings.checked_values import duplicates, is_valid, valid_items
from otp_service.settings.model import Route, Settings, Target, Tenant


def routes_are_unique(settings: Settings) -> Iterator[Finding]:
    """One route decides for a channel, country and prefix."""
    areas = (
        (("routes", index), (route.channel, route.country, route.prefix))
        for index, route in valid_items(settings.routes)
    )
    for path, first in duplicates(areas):
        found = f"the same country and prefix as {dotted_path(first)}"
        yield path, found, "one route for each channel, country and prefix"


def email_route_is_for_all(route: Route) -> Iterator[Finding]:
    """An address has no country and no prefix."""
    for name in ("country", "prefix") if route.channel is Channel.EMAIL else ():
        if getattr(route, name) is not None:
            yield (name,), "not allowed with the channel email", "a route without it"


def route_providers_exist(settings: Settings) -> Iterator[Finding]:
    """A route names configured providers; a provider whose table has errors counts."""
    names = ", ".join(settings.providers) or "none is configured"
    for position, route in valid_items(settings.routes):
        for index, target in valid_items(route.providers):
            if is_valid(target.name) and target.name not in settings.providers:
                yield ("routes", position, "providers", index), f"{quoted(target.name)} is not a provider", names


def route_providers_serve_channel(settings: Settings) -> Iterator[Finding]:
    """Every provider of a route serves the channel of the route."""
    for position, route in valid_items(settings.routes):
        for index, target in valid_items(route.providers):
            provider = settings.providers.get(target.name) if is_valid(target.name) else None
            if not is_valid(route.channel, provider) or provider is None or route.channel in provider.channels:
                continue
            found = f"{quoted(target.name)} does not serve the channel {route.channel} of the route"
            serving = [
                name for name, one in settings.providers.items() if is_valid(one) and route.channel in one.channels
            ]
            yield ("routes", position, "providers", index), found, ", ".join(serving) or "none of those configured does"


def routed_countries(tenant: Tenant, routes: Sequence[Route]) -> Mapping[str, set[str]]:
    """Return the countries that the routes send to each provider for a tenant."""
    countries = tenant.countries or (() if tenant.country is None else (tenant.country,))
    routed: dict[str, set[str]] = {}
    for country in SUPPORTED_COUNTRIES if ALL_COUNTRIES in countries else countries:
        for channel in Channel:
            for target in _targets_of_country(country, [route for route in routes if route.channel is channel]):
                routed.setdefault(target.name, set()).add(country)
    return routed


def _targets_of_country(country: str, routes: Sequence[Route]) -> Iterator[Target]:
    """Yield the providers of the routes that apply to some number of a country.

    The most specific route comes first; the last one applies to all numbers of the country. All are of one channel.
    """
    for route in sorted(routes, key=lambda one: (-len(one.prefix or ""), one.country is None)):
        prefix = route.prefix or ""
        if route.country in (None, country) and may_have_prefix(country, prefix):
            yield from route.providers
            if has_prefix(country, prefix):
                return
