"""Puts the edge, the routes and the problems together into one ASGI application."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, cast

from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ASGIApp

from otp_service.api.admin import Recipients
from otp_service.api.auth import Keys, Network
from otp_service.api.headers import header_mistake
from otp_service.api.methods import PathMethods
from otp_service.api.middleware import FACTS, MAX_BODY_BYTES, Edge
from otp_service.api.openapi import openapi_config
from otp_service.api.operations import jwks, live, metrics, ready
from otp_service.api.problems import MEDIA_TYPE, PROBLEMS, problem_body, problem_headers
from otp_service.api.receipt_routes import ReceiptCalls
from otp_service.api.request_bodies import StrictRequest
from otp_service.api.schemas import Jwks
from otp_service.api.verification_routes import Codes, VerificationsById
from otp_service.delivery.receipts import ReceiptHandler
from otp_service.domain.errors import FieldError, Reason, Refused
from otp_service.observability import LOG
from otp_service.service import OtpService

__all__ = ["ApiDependencies", "make_app"]


@dataclass(frozen=True, slots=True)
class ApiDependencies:
    """What the edge stands on; the composition root puts it together. `gate` and `ready` raise `Refused`."""

    service: OtpService
    keys: Keys
    trusted_proxies: Sequence[Network]
    jwks: Jwks
    gate: Callable[[], None]
    ready: Callable[[], Awaitable[None]]
    receipts: ReceiptHandler
    metrics: Callable[[], bytes]
    lifespan: Callable[[], AbstractAsyncContextManager[None]]
    inner_middleware: Callable[[ASGIApp], ASGIApp] | None = None
    workers: int = 1


def make_app(parts: ApiDependencies) -> ASGIApp:
    """Make the application."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        async with parts.lifespan():
            yield

    app = Litestar(
        route_handlers=[Codes, VerificationsById, Recipients, ReceiptCalls, live, ready, jwks, metrics],
        exception_handlers={Refused: _refused, HTTPException: _framework, Exception: _unforeseen},
        openapi_config=openapi_config(),
        request_class=StrictRequest,
        request_max_body_size=MAX_BODY_BYTES,
        lifespan=[lifespan],
        logging_config=None,
        state=State({name: getattr(parts, name) for name in ("service", "receipts", "jwks", "ready", "metrics")}),
    )
    inner = parts.inner_middleware(app) if parts.inner_middleware else app
    return Edge(inner, parts.keys, parts.trusted_proxies, parts.gate, PathMethods(app.routes), workers=parts.workers)


_FRAMEWORK: Final = {
    404: Reason.NOT_FOUND,
    405: Reason.METHOD_NOT_ALLOWED,
    413: Reason.BODY_TOO_LARGE,
    415: Reason.MEDIA_TYPE_UNSUPPORTED,
}
_WANTED: Final = {"idempotency-key": "Send 1-255 characters, or leave this header out."}


def _refused(request: Request[Any, Any, Any], refused: Refused) -> Response[bytes]:
    request_id = request.scope.get("otp.request_id", "")
    facts = cast("dict[str, Any]", request.scope).get(FACTS, {})
    facts["outcome"] = refused.reason.value
    return Response(
        problem_body(refused, str(request_id)),
        status_code=PROBLEMS[refused.reason][0],
        headers=problem_headers(refused),
        media_type=MEDIA_TYPE,
    )


def _framework(request: Request[Any, Any, Any], problem: HTTPException) -> Response[bytes]:
    """Tell what the framework refuses by itself as a problem of ours."""
    if problem.status_code >= 500:
        return _unforeseen(request, problem)
    reason = _FRAMEWORK.get(problem.status_code, Reason.REQUEST_MALFORMED)
    mistakes: tuple[FieldError, ...] = ()
    if isinstance(problem, ValidationException):
        mistakes = tuple(_mistake(extra) for extra in problem.extra or [] if isinstance(extra, dict))
    response = _refused(request, Refused(reason, mistakes=mistakes))
    for name, value in (problem.headers or {}).items():
        response.headers[name] = value
    return response


def _mistake(extra: dict[str, Any]) -> FieldError:
    """Name the header or parameter and say what to send; the framework's words are not passed on."""
    name = str(extra.get("key", "the request")).replace("_", "-")
    return header_mistake(name, _WANTED.get(name, "Send what the document at /schema says."))


def _unforeseen(request: Request[Any, Any, Any], problem: Exception) -> Response[bytes]:
    LOG.error("unforeseen", kind=type(problem).__name__, exc_info=problem)
    return _refused(request, Refused(Reason.INTERNAL_ERROR))
