"""Selects the providers for a number and their order.

Of the routes of the message's channel, the one with the longest matching prefix applies, then one for the country,
then the default. Providers without a
weight are called in the order of the route. Providers with a weight share their positions: for each message, they are
drawn at random in proportion to their weights. The draw depends only on our message id, so a retry and every other
replica compute the same order.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from otp_service.domain.message import Channel

__all__ = ["Route", "Routes", "WeightedProvider"]

_HASH_BYTES = 8


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
    """The providers of `channel` for numbers of `country` (None: any) that start with `prefix` ("": any)."""

    providers: tuple[str | WeightedProvider, ...]
    country: str | None = None
    prefix: str = ""
    channel: Channel = Channel.SMS

    def order(self, message_id: str) -> tuple[str, ...]:
        """Return the names of the providers in the order for this message."""
        weighted = [provider for provider in self.providers if isinstance(provider, WeightedProvider)]
        drawn = iter(sorted(weighted, key=lambda provider: provider.sort_key(message_id)))
        return tuple(
            next(drawn).name if isinstance(provider, WeightedProvider) else provider for provider in self.providers
        )


class Routes:
    """All routes. Only the most specific matching route applies to a number."""

    def __init__(self, routes: Sequence[Route]) -> None:
        """Sort `routes` from the most to the least specific."""
        self._routes = sorted(routes, key=lambda route: (-len(route.prefix), route.country is None))

    def providers(self, country: str, e164: str, message_id: str, channel: Channel = Channel.SMS) -> tuple[str, ...]:
        """Return the names of the providers for a message to a number, in order; empty if no route matches."""
        for route in self._routes:
            if route.channel is channel and e164.startswith(route.prefix) and route.country in (None, country):
                return route.order(message_id)
        return ()
