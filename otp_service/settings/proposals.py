"""Limits that a config does not have and its daily caps suggest: what `check-config` proposes to an operator.

A cap stops a flood only when the day's money is gone; a limit by the hour stops it within the hour. The rule: a peak
hour takes at most twice the hourly mean of the messages that the caps allow in a day (`hourly_window`). How many those
are for one country, for one tenant and for all tenants together is the least that the caps of the tenants and those of
the routed providers each say; a spend cap counts as so many messages of its lowest price. Where somebody has no cap,
the line names it: the proposal leaves its messages out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from otp_service.domain.limits import Window
from otp_service.settings.gateways import Caps
from otp_service.settings.mistakes import dotted
from otp_service.settings.tree import Settings
from otp_service.settings.values import HIGHEST_COUNT

__all__ = ["hourly_window", "proposed_limits"]

HOUR: Final = 3600
HOURS_A_DAY: Final = 24
PEAK: Final = 2
"""An honest peak hour over the mean one."""
LEAST: Final = 10
"""Messages an hour: below it a limit would hit a handful of honest people who come at once."""
NAMED: Final = 3
"""So many names stand in a line; the others are counted."""
_ALL: Final = "*"


@dataclass(frozen=True, slots=True)
class _Bound:
    """So many messages a day, by the caps of `of`; `without` have no cap."""

    messages: int
    of: tuple[str, ...]
    without: tuple[str, ...]


def hourly_window(messages: int) -> Window:
    """Say what an hour may take where a day may take `messages`: twice the mean, and at least 10 or the whole day's."""
    peak = -(-messages * PEAK // HOURS_A_DAY)
    return Window(min(max(peak, min(messages, LEAST)), HIGHEST_COUNT), HOUR)


def proposed_limits(settings: Settings) -> list[str]:
    """Propose, a line each, windows for `country`, `tenant` and `global` where they are empty and caps exist."""
    tenants, providers = _tenant_caps(settings), _provider_caps(settings)
    bounds = {
        "country": _tightest(_busiest_country(settings, tenants), _total(providers)),
        "tenant": _tightest(_largest(tenants), _total(providers)),
        "global": _tightest(_total(tenants), _total(providers)),
    }
    named = settings.limits.named()
    return [_line(name, bound) for name, bound in bounds.items() if bound is not None and not named[name]]


def _tenant_caps(settings: Settings) -> dict[str, int | None]:
    return {
        dotted(("tenants", name)): _messages(tenant.policy, _prices(settings, tenant.policy.currency))
        for name, tenant in settings.tenants.items()
    }


def _prices(settings: Settings, currency: str) -> Iterator[Decimal]:
    for provider in settings.providers.values():
        if provider.currency == currency:
            yield from provider.price.values()


def _provider_caps(settings: Settings) -> dict[str, int | None]:
    routed = {target.name for route in settings.routes for target in route.providers}
    return {
        dotted(("providers", name)): _messages(provider, provider.price.values())
        for name, provider in settings.providers.items()
        if name in routed
    }


def _messages(caps: Caps, prices: Iterable[Decimal]) -> int | None:
    """Say how many messages a day caps allow at most; None: they say nothing."""
    allowed = [] if caps.daily_message_cap is None else [caps.daily_message_cap]
    lowest = min((price for price in prices if price), default=None)
    if caps.daily_spend_cap is not None and lowest is not None:
        allowed.append(int(caps.daily_spend_cap / lowest))
    return min(allowed, default=None)


def _busiest_country(settings: Settings, caps: Mapping[str, int | None]) -> _Bound | None:
    """Find the country that the caps of the tenants who may send there allow the most messages."""
    allowed = {dotted(("tenants", name)): frozenset(tenant.countries) for name, tenant in settings.tenants.items()}
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
    """Take the least, but one that leaves nobody out before one that does."""
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
    return f'{dotted(("limits", name))}: none; {caps} suggest "{window.count}/{window.seconds}"{rest}'


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
