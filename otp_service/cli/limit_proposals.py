"""Rate limits that `check-config` proposes, from the daily caps of a configuration that has no such limits.

A cap stops a flood when the money of the day is spent; an hourly limit stops it within the hour. The rule: an hour has
at most twice the hourly mean of the messages that the caps allow in a day (`hourly_window`). That number, for one
country, for one tenant and for all tenants, is the smaller of what the caps of the tenants and those of the routed
providers allow, and for a country of what its own caps allow; a spend cap counts as messages at its lowest price.
Tenants, providers and countries without a cap are named: the proposal does not count their messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from otp_service.domain.limits import Window
from otp_service.domain.provider_policy import ANY_COUNTRY
from otp_service.providers.config_fields import Caps
from otp_service.providers.config_parsing import dotted_path
from otp_service.settings import Settings
from otp_service.settings.field_types import MAX_WINDOW_COUNT

__all__ = ["hourly_window", "proposed_limits"]

HOUR: Final = 3600
HOURS_A_DAY: Final = 24
PEAK_FACTOR: Final = 2
"""A legitimate peak hour, compared with the mean hour."""
MIN_PER_HOUR: Final = 10
"""A lower limit would refuse a few legitimate users who come at the same time."""
MAX_NAMES: Final = 3
"""Names in one line; the others are counted."""
_ALL: Final = "*"


@dataclass(frozen=True, slots=True)
class _Bound:
    """The messages a day that the caps of `of` allow; `without` have no cap."""

    messages: int
    of: tuple[str, ...]
    without: tuple[str, ...]


def hourly_window(messages: int) -> Window:
    """Return the window for `messages` a day: twice the hourly mean, but at least 10 or all of the day's."""
    peak = -(-messages * PEAK_FACTOR // HOURS_A_DAY)
    return Window(min(max(peak, min(messages, MIN_PER_HOUR)), MAX_WINDOW_COUNT), HOUR)


def proposed_limits(settings: Settings) -> list[str]:
    """Return a line for each of `country`, `tenant` and `global` that is empty and that the caps suggest."""
    tenants, providers = _tenant_caps(settings), _provider_caps(settings)
    bounds = {
        "country": _tightest(_busiest_country(settings, tenants), _total(providers), _largest(_country_caps(settings))),
        "tenant": _tightest(_largest(tenants), _total(providers)),
        "global": _tightest(_total(tenants), _total(providers)),
    }
    named = settings.limits.named()
    return [_line(name, bound) for name, bound in bounds.items() if bound is not None and not named[name]]


def _tenant_caps(settings: Settings) -> dict[str, int | None]:
    return {
        dotted_path(("tenants", name)): _messages(tenant.policy, _prices(settings, tenant.policy.currency))
        for name, tenant in settings.tenants.items()
    }


def _prices(settings: Settings, currency: str) -> Iterator[Decimal]:
    for provider in settings.providers.values():
        if provider.currency == currency:
            yield from provider.price.values()


def _provider_caps(settings: Settings) -> dict[str, int | None]:
    routed = {target.name for route in settings.routes for target in route.providers}
    return {
        dotted_path(("providers", name)): _messages(provider, provider.price.values())
        for name, provider in settings.providers.items()
        if name in routed
    }


def _country_caps(settings: Settings) -> dict[str, int | None]:
    """Return the messages a day of each country with caps; without default caps, the other countries have none."""
    if not settings.countries:
        return {}
    caps = {ANY_COUNTRY: Caps(), **settings.countries}
    return {
        dotted_path(("countries", area)): _messages(found, _prices(settings, found.currency))
        for area, found in caps.items()
    }


def _messages(caps: Caps, prices: Iterable[Decimal]) -> int | None:
    """Return the messages a day that caps allow; None if they set no bound."""
    allowed = [] if caps.daily_message_cap is None else [caps.daily_message_cap]
    lowest = min((price for price in prices if price), default=None)
    if caps.daily_spend_cap is not None and lowest is not None:
        allowed.append(int(caps.daily_spend_cap / lowest))
    return min(allowed, default=None)


def _busiest_country(settings: Settings, caps: Mapping[str, int | None]) -> _Bound | None:
    """Return the bound of the country with the highest one, from the caps of the tenants that may send there."""
    allowed = {dotted_path(("tenants", name)): frozenset(tenant.countries) for name, tenant in settings.tenants.items()}
    totals = (
        _total({name: caps[name] for name, countries in allowed.items() if countries & {country, _ALL}})
        for country in frozenset().union(*allowed.values())
    )
    return max(_found(totals), key=lambda bound: (bool(bound.without), bound.messages), default=None)


def _total(caps: Mapping[str, int | None]) -> _Bound | None:
    known = {name: cap for name, cap in caps.items() if cap is not None}
    return _Bound(sum(known.values()), tuple(known), _without(caps)) if known else None


def _largest(caps: Mapping[str, int | None]) -> _Bound | None:
    known = {name: cap for name, cap in caps.items() if cap is not None}
    return max((_Bound(cap, (name,), _without(caps)) for name, cap in known.items()), key=_size, default=None)


def _tightest(*bounds: _Bound | None) -> _Bound | None:
    """Return the lowest bound; bounds that count every message have precedence."""
    return min(_found(bounds), key=lambda bound: (bool(bound.without), bound.messages), default=None)


def _size(bound: _Bound) -> int:
    return bound.messages


def _found(bounds: Iterable[_Bound | None]) -> Iterator[_Bound]:
    return (bound for bound in bounds if bound is not None)


def _without(caps: Mapping[str, int | None]) -> tuple[str, ...]:
    return tuple(name for name, cap in caps.items() if cap is None)


def _line(name: str, bound: _Bound) -> str:
    window = hourly_window(bound.messages)
    caps = f"the caps of {_listed(bound.of)} ({bound.messages} messages a day)"
    rest = f"; without a cap: {_listed(bound.without)}" if bound.without else ""
    return f'{dotted_path(("limits", name))}: none; {caps} suggest "{window.count}/{window.seconds}"{rest}'


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more
