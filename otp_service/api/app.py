"""Build the ASGI application from the routes, the error handlers and the middleware."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final

from litestar import Controller, Litestar, Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp

from otp_service.api.access_tokens import AccessTokens
from otp_service.api.admin import OptOutAdminRoutes, RecipientAdminRoutes
from otp_service.api.app_attest_routes import AppAttestRoutes
from otp_service.api.asgi_messages import MAX_BODY_BYTES
from otp_service.api.auth import ApiKeys, Network
from otp_service.api.camara_routes import CamaraRoutes
from otp_service.api.endpoints import EndpointIndex
from otp_service.api.guard_routes import GuardAdminRoutes
from otp_service.api.hook_routes import CodeHooks, HookRoutes
from otp_service.api.json_handlers import direct_handlers
from otp_service.api.middleware import ApiMiddleware
from otp_service.api.openapi import openapi_config
from otp_service.api.operations import jwks, live, metrics, ready
from otp_service.api.proof_routes import ProofRoutes
from otp_service.api.receipt_routes import ReceiptRoutes
from otp_service.api.request_context import context_of
from otp_service.api.schemas import Jwks
from otp_service.api.verification_routes import CodeRoutes, VerificationRoutes
from otp_service.delivery.receipts import ReceiptHandler
from otp_service.domain.errors import Reason, Refused
from otp_service.observability import LOG
from otp_service.service import OtpService

__all__ = ["ApiDependencies", "make_app"]


@dataclass(frozen=True, slots=True)
class ApiDependencies:
    """What the API is built from.

    Attributes:
        service: The use cases.
        api_keys: The configured API keys.
        trusted_proxies: The networks whose `X-Forwarded-For` is trusted.
        jwks: The public keys of proof tokens.
        check_store: Raises `Refused` while the store may not be used, by the result of the last probe.
        check_ready: Probes the store, and raises `Refused` if the service cannot answer requests.
        receipts: The handler of delivery receipts.
        metrics: Returns the metrics in the Prometheus text format.
        lifespan: Entered before the first request, and left after the last one.
        inner_middleware: An ASGI layer between the API's own middleware and the routes, or None.
        workers: How many worker processes serve the API.
        hooks: The endpoints to which other products hand over codes.
        access_tokens: The issuers whose access tokens are accepted instead of API keys, if any.
    """

    service: OtpService
    api_keys: ApiKeys
    trusted_proxies: Sequence[Network]
    jwks: Jwks
    check_store: Callable[[], None]
    check_ready: Callable[[], Awaitable[None]]
    receipts: ReceiptHandler
    metrics: Callable[[], bytes]
    lifespan: Callable[[], AbstractAsyncContextManager[None]]
    inner_middleware: Callable[[ASGIApp], ASGIApp] | None = None
    workers: int = 1
    access_tokens: AccessTokens | None = None
    hooks: CodeHooks = field(default_factory=CodeHooks)


def make_app(dependencies: ApiDependencies) -> ASGIApp:
    """Return the application: the middleware, the optional inner layer, and Litestar with all routes."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        async with dependencies.lifespan():
            yield

    routes = _routes()
    in_state = ("receipts", "hooks", "jwks", "check_ready", "metrics")
    return ApiMiddleware(
        dependencies.inner_middleware(routes) if dependencies.inner_middleware else routes,
        dependencies.api_keys,
        EndpointIndex(routes.routes),
        trusted_proxies=dependencies.trusted_proxies,
        check_store=dependencies.check_store,
        service=dependencies.service,
        state=State({name: getattr(dependencies, name) for name in in_state}),
        lifespan_app=Litestar(lifespan=[lifespan], openapi_config=None, logging_config=None),
        direct=direct_handlers(routes.routes),
        workers=dependencies.workers,
        access_tokens=dependencies.access_tokens,
    )


@functools.cache
def _routes() -> Litestar:
    """Return all routes, which every application of the process shares: Litestar takes 35 ms to register them.

    The handlers find what belongs to their application in the context of the request.
    """
    controllers: list[type[Controller]] = [
        CodeRoutes,
        VerificationRoutes,
        RecipientAdminRoutes,
        OptOutAdminRoutes,
        GuardAdminRoutes,
        ReceiptRoutes,
        ProofRoutes,
        AppAttestRoutes,
        CamaraRoutes,
        HookRoutes,
    ]
    return Litestar(
        route_handlers=[*controllers, live, ready, jwks, metrics],
        exception_handlers={Refused: _on_refused, HTTPException: _on_http_exception, Exception: _on_unhandled},
        # Litestar demands a request of its own in the signature of a handler, also of those that `JsonHandlers` calls
        signature_namespace={"ApiRequest": Request},
        openapi_config=openapi_config(),
        request_max_body_size=MAX_BODY_BYTES,
        logging_config=None,
    )


_REASON_BY_STATUS: Final = {
    404: Reason.NOT_FOUND,
    405: Reason.METHOD_NOT_ALLOWED,
    413: Reason.BODY_TOO_LARGE,
    415: Reason.MEDIA_TYPE_UNSUPPORTED,
}
"""The reasons for what Litestar refuses; any other status below 500 is `request_malformed`."""


def _on_refused(request: Request[Any, Any, Any], refused: Refused) -> Response[bytes]:
    context = context_of(request.scope)
    context.log_fields["outcome"] = refused.reason.value
    error = context.endpoint.rules.error_format(refused, context.headers, context.request_id)
    headers = {name.decode(): value.decode() for name, value in error.headers}
    return Response(error.body, status_code=error.status, headers=headers, media_type=error.media_type)


def _on_http_exception(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Answer what Litestar refuses with a problem of the API."""
    if error.status_code >= 500:
        return _on_unhandled(request, error)
    response = _on_refused(request, Refused(_REASON_BY_STATUS.get(error.status_code, Reason.REQUEST_MALFORMED)))
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response


def _on_unhandled(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    LOG.error("unhandled_exception", kind=type(error).__name__, exc_info=error)
    return _on_refused(request, Refused(Reason.INTERNAL_ERROR))
