"""Call the handlers of JSON routes directly, under Litestar.

Litestar routes the request and builds the OpenAPI document from the handler. Between the two it would build keyword
arguments and a response with generic steps, and raise a refusal through all its layers: 60 of the 200 microseconds that
the server and the API took for a request (measured without the store).
"""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from otp_service.api.asgi_messages import response_of
from otp_service.api.headers import idempotency_key
from otp_service.api.request_bodies import decode_body
from otp_service.api.request_context import ApiRequest, RequestContext, context_of
from otp_service.domain.errors import Refused

__all__ = ["JsonHandlers"]

_encode: Final = msgspec.json.Encoder().encode


class JsonHandlers:
    """A Litestar middleware of routes whose handlers return a struct or a text. It answers in the place of Litestar.

    A handler gets `request` and, as its route declares them, path parameters, `data` and `idempotency_key`.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Replace `app`, which is the handler as Litestar would call it."""
        del app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that the API's middleware has checked."""
        context = context_of(scope)
        handler = cast("HTTPRouteHandler", scope["route_handler"])
        request = ApiRequest(scope, receive, send)
        try:
            result = await handler.fn(request=request, **_arguments(scope, context))
        except Refused as refused:
            await response_of(scope).send_problem(refused)
        else:
            if isinstance(result, str):
                await response_of(scope).send_text(handler.status_code, result)
            else:
                await response_of(scope).send_json(handler.status_code, _encode(result))


def _arguments(scope: Scope, context: RequestContext) -> dict[str, Any]:
    """Return the arguments of a handler besides `request`. Raises `Refused` (`request_malformed`)."""
    arguments: dict[str, Any] = dict(scope["path_params"])
    rules = context.rules
    if rules.body is not None:
        arguments["data"] = decode_body(rules.body, context.body)
    if rules.idempotent:
        arguments["idempotency_key"] = idempotency_key(context.headers)
    return arguments
