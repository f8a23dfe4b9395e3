"""Find the endpoint of a path in the routes that Litestar has registered, before Litestar routes the request.

The middleware needs the matched route early: it checks the media type, the API key and the store first, and it responds
to OPTIONS itself, because Litestar's own response considers only one handler of a path. It also serves HEAD wherever
GET is served, which Litestar does not do. The rules of a route for the middleware are declared with its handler, in
`opt`, as `EndpointRules`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from litestar.routes import BaseRoute, HTTPRoute
from litestar.types.internal_types import PathParameterDefinition

from otp_service.api.openapi import SCHEMA
from otp_service.api.problems import ErrorFormat, problem_response

__all__ = ["MAX_BODY_BYTES", "UNKNOWN_ENDPOINT", "Endpoint", "EndpointIndex", "EndpointRules", "endpoint_rules"]

MAX_BODY_BYTES: Final = 64 * 1024
"""The largest body of an endpoint that declares no other bound."""

_RULES: Final = "endpoint_rules"
_OTHER: Final = "other"
_NO_METHODS: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class EndpointRules:
    """The rules of an endpoint that the middleware applies.

    Attributes:
        label: The value of the label `route` in metrics and in the log; by default the path.
        body: The struct that a JSON body is decoded to, or None if the endpoint does not read JSON.
        accepts_form: Whether the body may be a form instead of JSON.
        idempotent: Whether the handler takes an `Idempotency-Key`.
        needs_api_key: Whether the request must have a valid API key.
        needs_store: Whether to refuse the request while the store may not be used.
        hashed_statuses: The statuses of responses for which a hash was computed; all others are paced.
        logged: Whether a log line is written for each request. Endpoints that machines poll are counted only.
        serves_head: Whether HEAD is answered like GET, without the body.
        error_format: The form of the endpoint's errors.
        max_body_bytes: The largest body; one of more than 64 KiB must announce its length.
    """

    label: str | None = None
    body: type[Any] | None = None
    accepts_form: bool = False
    idempotent: bool = False
    needs_api_key: bool = False
    needs_store: bool = False
    hashed_statuses: frozenset[int] = frozenset()
    logged: bool = True
    serves_head: bool = True
    error_format: ErrorFormat = problem_response
    max_body_bytes: int = MAX_BODY_BYTES


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path that the service has: its methods, its label in metrics and the rules that its handlers declare."""

    label: str
    methods: frozenset[str]
    rules: EndpointRules


_DEFAULT_RULES: Final = EndpointRules(label=_OTHER)
UNKNOWN_ENDPOINT: Final = Endpoint(_OTHER, frozenset(), EndpointRules())
"""The endpoint of every path that matches no other."""


def endpoint_rules(
    *,
    label: str | None = None,
    body: type[Any] | None = None,
    accepts_form: bool = False,
    idempotent: bool = False,
    needs_api_key: bool = False,
    needs_store: bool = False,
    hashed_statuses: Iterable[int] = (),
    logged: bool = True,
    serves_head: bool = True,
    error_format: ErrorFormat = problem_response,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> dict[str, EndpointRules]:
    """Return the `opt` of a handler or controller that declares these rules (see `EndpointRules`)."""
    rules = EndpointRules(
        label=label,
        body=body,
        accepts_form=accepts_form,
        idempotent=idempotent,
        needs_api_key=needs_api_key,
        needs_store=needs_store,
        hashed_statuses=frozenset(hashed_statuses),
        logged=logged,
        serves_head=serves_head,
        error_format=error_format,
        max_body_bytes=max_body_bytes,
    )
    return {_RULES: rules}


class EndpointIndex:
    """All endpoints, found by path.

    Attributes:
        by_path: The endpoints whose path has no parameters, by their normalized path.
    """

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        """Index the routes of the application.

        Raises:
            ValueError: The handlers of one path declare different rules.
        """
        self.by_path: dict[str, Endpoint] = {}
        self._by_template: dict[tuple[str | None, ...], Endpoint] = {}
        for route in routes:
            if isinstance(route, HTTPRoute):
                self._add(route)

    def match(self, path: str) -> Endpoint | None:
        """Return the endpoint of a normalized path.

        An endpoint without methods is a path that is known not to exist. None means that no route matches; a layer
        between the middleware and the routes may still serve the path.
        """
        if (endpoint := self.by_path.get(path)) is not None:
            return endpoint
        segments = tuple(path.split("/")[1:])
        for template, endpoint in self._by_template.items():
            if len(template) == len(segments) and all(map(_matches, template, segments)):
                return endpoint
        return None

    def _add(self, route: HTTPRoute) -> None:
        endpoint = _endpoint_of(route)
        components = route.path_components
        if any(isinstance(component, PathParameterDefinition) for component in components):
            template = tuple(component if isinstance(component, str) else None for component in components)
            self._by_template[template] = endpoint
        else:
            self.by_path[route.path] = endpoint


def _matches(template: str | None, segment: str) -> bool:
    return template is None or template == segment


def _endpoint_of(route: HTTPRoute) -> Endpoint:
    declared = {
        handler.opt.get(_RULES, _DEFAULT_RULES)
        for handler in route.route_handlers
        if handler.http_methods != {"OPTIONS"}
    }
    if len(declared) != 1:
        raise ValueError(f"the handlers of {route.path} declare different rules")
    rules: EndpointRules = declared.pop()
    return Endpoint(rules.label or route.path, _methods_of(route, rules), rules)


def _methods_of(route: HTTPRoute, rules: EndpointRules) -> frozenset[str]:
    if route.path.startswith(SCHEMA + "/{"):
        return _NO_METHODS  # Litestar's own "not found" page
    methods = frozenset(str(method) for method in route.methods)
    return methods | {"HEAD"} if rules.serves_head and "GET" in methods else methods
