"""Routes that gateways call with delivery receipts. `ReceiptHandler` checks and parses them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast
from urllib.parse import parse_qsl

from litestar import Controller, HttpMethod, route
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.types import Method
from litestar.types.internal_types import PathParameterDefinition

from otp_service.api import openapi_examples
from otp_service.api.endpoints import endpoint_rules
from otp_service.api.json_handlers import JsonHandlers
from otp_service.api.request_context import ApiRequest
from otp_service.api.schemas import ReceiptAccepted
from otp_service.delivery.receipts import RECEIPTS_PATH, ReceiptHandler
from otp_service.domain.message import ReceiptRequest

__all__ = ["ReceiptRoutes"]

MAX_SIGNED_BYTES: Final = 3 * 1024 * 1024
"""Meta puts several statuses into one call of up to 3 MB (Cloud API, "Webhooks"); its signature is over all of it."""

_RULES: Final[dict[str, Any]] = {"label": f"{RECEIPTS_PATH}{{provider}}", "needs_store": True, "serves_head": False}
_METHODS = [HttpMethod.GET, HttpMethod.POST, HttpMethod.PUT]


def _operation_ids(suffix: str) -> Callable[[HTTPRouteHandler, Method, list[str | PathParameterDefinition]], str]:
    """Return a function that makes a unique OpenAPI operation id for each method of a route."""
    return lambda _handler, method, _path: f"{method.lower()}{suffix}"


class ReceiptRoutes(Controller):
    """Delivery receipts, in the form of each gateway. HEAD is not served, because GET changes the delivery."""

    path = RECEIPTS_PATH
    tags = ("receipts",)
    middleware = (JsonHandlers,)
    opt = endpoint_rules(**_RULES)

    @route(
        "/{provider:str}/{token:str}",
        http_method=_METHODS,
        status_code=200,
        operation_id=_operation_ids("Receipt"),
        summary="Deliver a receipt with the token of its message, or of the account",
        responses=openapi_examples.responses("receipt"),
    )
    async def by_token(
        self, request: ApiRequest, provider: FromPath[str], token: FromPath[str]
    ) -> ReceiptAccepted | str:
        """Record what a gateway reports of the message with this token, or of any message under the account's token.

        An unknown message gets 200, too.
        """
        return await _receive(request, provider, token)

    @route(
        "/{provider:str}",
        opt=endpoint_rules(**_RULES, max_body_bytes=MAX_SIGNED_BYTES),
        http_method=_METHODS,
        status_code=200,
        operation_id=_operation_ids("SignedReceipt"),
        summary="Deliver a receipt that the gateway has signed",
        responses=openapi_examples.responses("receipt"),
    )
    async def signed(self, request: ApiRequest, provider: FromPath[str]) -> ReceiptAccepted | str:
        """Record what a gateway reports under its own signature. An unknown message gets 200, too.

        A gateway that checks the URL gets the text that it sent (WhatsApp: `hub.challenge`).
        """
        return await _receive(request, provider, None)


async def _receive(request: ApiRequest, provider: str, token: str | None) -> ReceiptAccepted | str:
    """Return the response, or the text that a gateway expects when it checks the URL."""
    handler = cast("ReceiptHandler", request.context.state.receipts)
    text = await handler.receive(provider, token, _receipt_request(request))
    return ReceiptAccepted() if text is None else text


def _receipt_request(request: ApiRequest) -> ReceiptRequest:
    scope = request.scope
    query = scope["query_string"].decode("latin-1")
    return ReceiptRequest(
        method=scope["method"],
        url=scope["path"] + (f"?{query}" if query else ""),
        message_id=None,
        now=0.0,
        content_type=request.headers.get("content-type", ""),
        headers=dict(request.headers.items()),
        query=parse_qsl(query, keep_blank_values=True),
        body=request.context.body,
    )
