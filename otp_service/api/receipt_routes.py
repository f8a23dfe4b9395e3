"""Where gateways call us. What a call says is the desk's to judge; here it is only unwrapped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from litestar import Controller, HttpMethod, route
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.types import Method
from litestar.types.internal_types import PathParameterDefinition

from otp_service.api import openapi_examples
from otp_service.api.request_bodies import StrictRequest
from otp_service.api.schemas import Taken
from otp_service.delivery.receipts import PATH
from otp_service.domain.message import ReceiptRequest

__all__ = ["ReceiptCalls"]

_METHODS = [HttpMethod.GET, HttpMethod.POST, HttpMethod.PUT]


def _named(what: str) -> Callable[[HTTPRouteHandler, Method, list[str | PathParameterDefinition]], str]:
    """Name the operation of each method apart, as OpenAPI wants it."""
    return lambda _handler, method, _path: f"{method.lower()}{what}"


class ReceiptCalls(Controller):
    """Delivery receipts, in whatever form their gateway has."""

    path = PATH
    tags = ("receipts",)
    request_class = StrictRequest

    @route(
        "/{provider:str}/{token:str}",
        http_method=_METHODS,
        status_code=200,
        operation_id=_named("Receipt"),
        summary="Take a receipt by its token",
        responses=openapi_examples.responses("receipt"),
    )
    async def by_token(self, request: StrictRequest, provider: FromPath[str], token: FromPath[str]) -> Taken:
        """Take a gateway's word about the message that the token names; also when nobody knows it any more."""
        await _received(request, provider, token)
        return Taken()

    @route(
        "/{provider:str}",
        http_method=_METHODS,
        status_code=200,
        operation_id=_named("SignedReceipt"),
        summary="Take a receipt that its gateway signed",
        responses=openapi_examples.responses("receipt"),
    )
    async def signed(self, request: StrictRequest, provider: FromPath[str]) -> Taken:
        """Take a gateway's word that is proved by its own signature."""
        await _received(request, provider, None)
        return Taken()


async def _received(request: StrictRequest, provider: str, token: str | None) -> None:
    desk: Any = request.app.state.receipts
    await desk.receive(provider, token, _call(request))


def _call(request: StrictRequest) -> ReceiptRequest:
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
        body=request.raw_body,
    )
