"""Call the handlers of JSON routes directly, instead of through Litestar.

Litestar registers these handlers and builds the OpenAPI document from them. To call them, it would build keyword
arguments and a response in generic steps, and raise a refusal through all its layers: 60 of the 200 microseconds that
the server and the API took for a request (measured without the store). Its routing costs 15 more, so a path without
parameters is not routed by it either: the API's middleware finds its handler in `direct_handlers`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Final, cast

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.routes import BaseRoute, HTTPRoute
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from otp_service.api.asgi_messages import ResponseWriter, response_of
from otp_service.api.headers import IDEMPOTENCY_KEY, idempotency_key, is_form
from otp_service.api.proof_bodies import decode_form
from otp_service.api.request_bodies import decode_body
from otp_service.api.request_context import ApiRequest, context_of
from otp_service.domain.errors import Reason, Refused
from otp_service.observability import LOG

__all__ = ["DirectHandler", "JsonHandlers", "direct_handlers"]

DirectHandler = Callable[[ApiRequest, ResponseWriter], Awaitable[None]]
"""Sends the response to a request."""

_encode: Final = msgspec.json.Encoder().encode


class JsonHandlers:
    """A Litestar middleware that replaces Litestar's call of handlers that return a struct, a text or None.

    A handler gets `request` and, as its route declares them, path parameters, `data` and `idempotency_key`.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Replace `app`, which is the handler as Litestar would call it."""
        del app

    async def __call__(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        """Respond to a request that the API's middleware has checked."""
        handler = cast("HTTPRouteHandler", scope["route_handler"])
        request = ApiRequest(cast("HTTPScope", scope), context_of(scope))
        await _respond(handler.fn, handler.status_code, request, response_of(scope))


def direct_handlers(routes: Iterable[BaseRoute]) -> dict[tuple[str, str], DirectHandler]:
    """Return the handlers of JSON routes whose path has no parameters, by path and method."""
    return {
        (route.path, method): partial(_respond, handler.fn, handler.status_code)
        for route in routes
        if isinstance(route, HTTPRoute) and not route.path_parameters
        for handler in route.route_handlers
        if JsonHandlers in handler.resolve_middleware()
        for method in handler.http_methods
    }


async def _respond(
    handler: Callable[..., Awaitable[Any]], status: int, request: ApiRequest, response: ResponseWriter
) -> None:
    """Send what the handler returns, or a problem response."""
    try:
        result = await handler(request=request, **_arguments(request))
    except Refused as refused:
        await response.send_problem(refused)
    except Exception as error:
        LOG.error("unhandled_exception", kind=type(error).__name__, exc_info=error)
        await response.send_problem(Refused(Reason.INTERNAL_ERROR))
    else:
        if result is None:
            await response.send_empty(status)
        elif isinstance(result, str):
            await response.send_text(status, result)
        else:
            await response.send_json(status, _encode(result))


def _arguments(request: ApiRequest) -> dict[str, Any]:
    """Return the arguments of a handler, from path, body and headers. Raises `Refused` (`request_malformed`)."""
    arguments: dict[str, Any] = dict(request.scope.get("path_params", ()))
    context, rules = request.context, request.context.endpoint.rules
    if rules.body is not None:
        decode = decode_form if rules.accepts_form and is_form(context.headers) else decode_body
        arguments["data"] = decode(rules.body, context.body)
    if rules.idempotent and IDEMPOTENCY_KEY in context.headers:
        arguments["idempotency_key"] = idempotency_key(context.headers)
    return arguments
