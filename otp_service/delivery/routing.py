"""Which providers serve a number, in which order: the longest matching prefix, then the country, then the default.

Plain names are asked in their order. Those with a weight are spread: each message has an order of its own, in which
one comes before the others in proportion to its weight. Where a route has both, the weighted ones share the places
that they hold, and the plain ones keep theirs. The order is worked out from the message's id and nothing else, so it
is the same whenever it is asked for, in a retry and on another replica.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Route", "Routes", "WeightedProvider"]

_HASH_BYTES = 8


@dataclass(frozen=True, slots=True)
class WeightedProvider:
    """A provider whose place among the weighted ones of its route is drawn for each message."""

    name: str
    weight: int

    def draw(self, message_id: str) -> float:
        """Draw a waiting time with the rate `weight`: the shortest of several is each one's in proportion to its own.

        Taking them by it is drawing by weight without putting back (Efraimidis and Spirakis, 2006). Each provider's
        draw is its own, so a provider that comes or goes does not change the order of the others.
        """
        digest = hashlib.blake2b(f"{self.name}:{message_id}".encode(), digest_size=_HASH_BYTES).digest()
        share = (int.from_bytes(digest, "big") + 1) / 2 ** (8 * _HASH_BYTES)
        return -math.log(share) / self.weight


@dataclass(frozen=True, slots=True)
class Route:
    """Numbers of `country` (None: of any) that start with `prefix` ("" : any) go to `providers`."""

    providers: tuple[str | WeightedProvider, ...]
    country: str | None = None
    prefix: str = ""

    def order(self, message_id: str) -> tuple[str, ...]:
        """Name the providers as this message asks them."""
        weighted = [one for one in self.providers if isinstance(one, WeightedProvider)]
        drawn = iter(sorted(weighted, key=lambda one: one.draw(message_id)))
        return tuple(next(drawn).name if isinstance(one, WeightedProvider) else one for one in self.providers)


class Routes:
    """All routes; the most specific one that fits a number is the number's only one."""

    def __init__(self, routes: Sequence[Route]) -> None:
        """Sort `routes` by how specific they are."""
        self._routes = sorted(routes, key=lambda route: (-len(route.prefix), route.country is None))

    def providers(self, country: str, e164: str, message_id: str) -> tuple[str, ...]:
        """Name the providers for a message to a number, in order; empty when no route fits."""
        for route in self._routes:
            if e164.startswith(route.prefix) and route.country in (None, country):
                return route.order(message_id)
        return ()
