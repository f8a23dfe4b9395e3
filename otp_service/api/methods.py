"""Which methods a path has: for OPTIONS, for the Allow of a 405, and so that HEAD is answered wherever GET is.

The framework answers OPTIONS for one of a path's handlers at a time, and has no HEAD; so the edge asks here, before
a request reaches the framework.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from litestar.routes import BaseRoute
from litestar.types.internal_types import PathParameterDefinition

from otp_service.api.openapi import SCHEMA
from otp_service.delivery.receipts import PATH as RECEIPTS

__all__ = ["PathMethods"]

_NOTHING: Final[frozenset[str]] = frozenset()


class PathMethods:
    """The methods of every path, by the routes of the framework."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        """Index `routes`; those of the same path add up."""
        self._fixed: dict[str, frozenset[str]] = {}
        self._templates: dict[tuple[str | None, ...], frozenset[str]] = {}
        for route in routes:
            self._add(route)

    def of(self, path: str) -> frozenset[str] | None:
        """Give the methods of a path: none where it is known that nothing is there, None where it is not known."""
        if (fixed := self._fixed.get(path)) is not None:
            return fixed
        parts = tuple(path.split("/")[1:])
        for template, methods in self._templates.items():
            if len(template) == len(parts) and all(map(_fits, template, parts)):
                return methods
        return None

    def _add(self, route: BaseRoute) -> None:
        parts = route.path_components
        if any(isinstance(part, PathParameterDefinition) for part in parts):
            template = tuple(part if isinstance(part, str) else None for part in parts)
            self._templates[template] = self._templates.get(template, _NOTHING) | _methods(route)
        else:
            self._fixed[route.path] = self._fixed.get(route.path, _NOTHING) | _methods(route)


def _fits(template: str | None, part: str) -> bool:
    return template is None or template == part


def _methods(route: BaseRoute) -> frozenset[str]:
    """Add HEAD to GET; but not for receipts, where GET changes what is known of a message."""
    if route.path.startswith(SCHEMA + "/{"):
        return _NOTHING  # the framework's page for what is not there
    methods = frozenset(str(method) for method in route.methods)
    heads = "GET" in methods and not route.path.startswith(RECEIPTS)
    return methods | {"HEAD"} if heads else methods
