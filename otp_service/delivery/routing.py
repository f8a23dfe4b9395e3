"""Selects the providers for a number and their order.

Of the routes of a channel, the one with the longest matching prefix applies, then one for the country, then the
default. Providers without a weight are called in the order of the route. Providers with a weight share their positions:
for each message, they are drawn at random in proportion to their weights. The draw depends only on our message id, so a
retry and every other replica compute the same order.

A route can order its providers by conversion instead: Thompson sampling draws a conversion for each provider from what
its results support (`domain.conversion`), and the highest comes first. So the providers share the messages while little
is known, the best gets nearly all later, and one that stops delivering loses its messages. The provider that was
selected when the code was requested stays the first of its message, even if the results have changed since.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import filterfalse
from types import MappingProxyType
from typing import Final

from otp_service.domain.channel_route import ChannelRoute
from otp_service.domain.conversion import ConversionResults, number_prefix
from otp_service.domain.message import Channel

__all__ = ["Route", "Routes", "WeightedProvider"]

_HASH_BYTES = 8
_NONE_SELECTED: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class WeightedProvider:
    """A provider whose position among the weighted ones of its route is drawn for each message."""

    name: str
    weight: int

    def sort_key(self, message_id: str) -> float:
        """Return the provider's key for a message: an exponentially distributed number with the rate `weight`.

        Sorting by such keys is weighted random sampling without replacement (Efraimidis and Spirakis, 2006). Each key
        depends only on its own provider, so adding or removing a provider keeps the order of the others.
        """
        digest = hashlib.blake2b(f"{self.name}:{message_id}".encode(), digest_size=_HASH_BYTES).digest()
        uniform = (int.from_bytes(digest, "big") + 1) / 2 ** (8 * _HASH_BYTES)
        return -math.log(uniform) / self.weight


@dataclass(frozen=True, slots=True)
class Route:
    """The providers of `channel` for numbers of `country` (None: any) that start with `prefix` ("": any).

    `exploration` is set for a route by conversion: the share of messages that are sent in a random order, so that the
    results of every provider stay known. Such a route has no weights.
    """

    providers: tuple[str | WeightedProvider, ...]
    country: str | None = None
    prefix: str = ""
    channel: Channel = Channel.SMS
    exploration: float | None = None

    def order(self, message_id: str) -> tuple[str, ...]:
        """Return the names of the providers in the order for this message."""
        names = [provider for provider in self.providers if isinstance(provider, str)]
        if len(names) == len(self.providers):
            return tuple(names)
        weighted = [provider for provider in self.providers if isinstance(provider, WeightedProvider)]
        drawn = iter(sorted(weighted, key=lambda provider: provider.sort_key(message_id)))
        return tuple(
            next(drawn).name if isinstance(provider, WeightedProvider) else provider for provider in self.providers
        )

    def order_by_conversion(self, message_id: str, e164: str, results: ConversionResults) -> tuple[str, ...]:
        """Return the names of the providers in the order that `results` give them for this message to a number."""
        names = list(self.order(message_id))
        source = random.Random(message_id)  # noqa: S311 - it spreads load; nothing secret depends on it
        if self.exploration and source.random() < self.exploration:
            return tuple(source.sample(names, len(names)))
        drawn = {name: results.draw(name, number_prefix(e164), source) for name in names}
        return tuple(sorted(names, key=lambda name: -drawn[name]))


class Routes:
    """All routes. Only the most specific matching route applies to a number."""

    def __init__(self, routes: Sequence[Route], results: Callable[[], ConversionResults] = ConversionResults) -> None:
        """Sort `routes` from the most to the least specific; routes by conversion use what `results` returns."""
        self._results = results
        self._routes = sorted(routes, key=lambda route: (-len(route.prefix), route.country is None))

    def by_channel(
        self,
        country: str,
        e164: str,
        message_id: str,
        channels: Sequence[Channel],
        selected: Mapping[str, str] = _NONE_SELECTED,
    ) -> tuple[ChannelRoute, ...]:
        """Return the providers for a message to a number by channel, in order; a channel without any is left out.

        A provider that several channels have is called once, by the first of them. `selected` has the provider that was
        selected before, by channel.
        """
        routes: list[ChannelRoute] = []
        named: set[str] = set()
        for channel in channels:
            providers = self.providers(country, e164, message_id, channel, selected=selected.get(channel, ""))
            if new := tuple(filterfalse(named.__contains__, providers)):
                routes.append(ChannelRoute(channel, new))
            named.update(new)
        return tuple(routes)

    def providers(
        self, country: str, e164: str, message_id: str, channel: Channel = Channel.SMS, *, selected: str = ""
    ) -> tuple[str, ...]:
        """Return the names of the providers for a message to a number, in order; empty if no route matches.

        Args:
            country: The number's country, ISO 3166 alpha-2.
            e164: The number.
            message_id: Our id of the message.
            channel: The channel of the message.
            selected: The provider that was selected when the code was requested. It comes first on a route by
                conversion, whose order changes with the results; "" if none is selected yet.
        """
        for route in self._routes:
            if route.channel is channel and e164.startswith(route.prefix) and route.country in (None, country):
                if route.exploration is None:
                    return route.order(message_id)
                names = route.order_by_conversion(message_id, e164, self._results())
                return tuple(sorted(names, key=lambda name: name != selected))
        return ()
