"""Which providers serve a number, in which order: the longest matching prefix, then the country, then the default."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Route", "Routes"]


@dataclass(frozen=True, slots=True)
class Route:
    """Numbers of `country` (None: of any) that start with `prefix` ("" : any) go to `providers`, in order."""

    providers: tuple[str, ...]
    country: str | None = None
    prefix: str = ""


class Routes:
    """All routes; the most specific one that fits a number is the number's only one."""

    def __init__(self, routes: Sequence[Route]) -> None:
        """Sort `routes` by how specific they are."""
        self._routes = sorted(routes, key=lambda route: (-len(route.prefix), route.country is None))

    def providers(self, country: str, e164: str) -> tuple[str, ...]:
        """Name the providers for a number; empty when no route fits."""
        for route in self._routes:
            if e164.startswith(route.prefix) and route.country in (None, country):
                return route.providers
        return ()
