"""What the middleware knows of a request, and the request as the route handlers see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec
from litestar.datastructures import Headers, State
from litestar.types import HTTPScope

from otp_service.api.auth import Principal
from otp_service.api.endpoints import Endpoint
from otp_service.api.headers import Headers as HeadersByName
from otp_service.service import OtpService

__all__ = ["ApiRequest", "RequestContext", "context_of", "set_context"]

_CONTEXT: Final = "otp.context"


class RequestContext(msgspec.Struct, eq=False):
    """What is known of a request. The middleware creates it and keeps it in the ASGI scope.

    Attributes:
        request_id: The value of `X-Request-Id` in the response.
        headers: The request headers, by name in lower case.
        endpoint: The endpoint that the path matches, or `UNKNOWN_ENDPOINT`.
        peer: The address of the TCP connection; None on a Unix socket.
        service: The use cases; None for an application without them.
        state: What other handlers use, by name (see `make_app`).
        body: The whole request body, within the size limit.
        principal: The API key that was checked, or None for an endpoint that needs none.
        client_address: The address of the caller, behind trusted proxies; None on a Unix socket.
        headers_to_send: More headers of the response, with a result of a handler.
        log_fields: What the log line of the request contains besides method, route, status and duration.
    """

    request_id: str
    headers: HeadersByName
    endpoint: Endpoint
    peer: str | None
    service: OtpService | None = None
    state: State = msgspec.field(default_factory=State)
    body: bytes = b""
    principal: Principal | None = None
    client_address: str | None = None
    headers_to_send: list[tuple[bytes, bytes]] = []  # a new one for each request, as msgspec does with empty ones
    log_fields: dict[str, Any] = {}


def set_context(scope: HTTPScope, context: RequestContext) -> None:
    """Keep `context` in the ASGI scope of its request."""
    cast("dict[str, Any]", scope)[_CONTEXT] = context


def context_of(scope: Mapping[str, Any]) -> RequestContext:
    """Return the context of the request with this ASGI scope."""
    context: RequestContext = scope[_CONTEXT]
    return context


class ApiRequest:
    """A request that the middleware has checked, as the handlers of JSON routes get it.

    Attributes:
        scope: The ASGI scope.
        context: What the middleware knows of the request.
        service: The use cases.
        principal: The API key of the request, for endpoints that need one.
    """

    __slots__ = ("context", "principal", "scope", "service")

    def __init__(self, scope: HTTPScope, context: RequestContext) -> None:
        self.scope = scope
        self.context = context
        self.service: OtpService = context.service  # type: ignore[assignment]  # every application with routes has it
        self.principal: Principal = context.principal  # type: ignore[assignment]  # their handlers alone use it

    @property
    def headers(self) -> Headers:
        """The headers, with all lines of one that is repeated."""
        return Headers.from_scope(self.scope)
