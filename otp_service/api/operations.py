"""Routes for operations: probes, metrics, and the public keys of proof tokens."""

from __future__ import annotations

from typing import Any

from litestar import Request, get

from otp_service.api import openapi_examples
from otp_service.api.endpoints import endpoint_rules
from otp_service.api.request_context import context_of
from otp_service.api.schemas import HealthStatus, Jwks

__all__ = ["jwks", "live", "metrics", "ready"]


@get(
    "/livez",
    operation_id="live",
    summary="Check that the process is alive",
    tags=["operations"],
    opt=endpoint_rules(logged=False),
    responses=openapi_examples.responses("live"),
)
async def live() -> HealthStatus:
    """Answer 200 as long as the event loop runs, whatever the state of the store."""
    return HealthStatus("live")


@get(
    "/readyz",
    operation_id="ready",
    summary="Check that the service can answer requests",
    tags=["operations"],
    opt=endpoint_rules(logged=False),
    responses=openapi_examples.responses("ready"),
)
async def ready(request: Request[Any, Any, Any]) -> HealthStatus:
    """Answer 200 while the store can be used, and 503 otherwise."""
    await context_of(request.scope).state.check_ready()
    return HealthStatus("ready")


@get(
    "/.well-known/jwks.json",
    operation_id="jwks",
    summary="Get the public keys of proof tokens",
    tags=["operations"],
    opt=endpoint_rules(),
    responses=openapi_examples.responses("jwks"),
)
async def jwks(request: Request[Any, Any, Any]) -> Jwks:
    """Return all configured public keys, also those that no longer sign."""
    return context_of(request.scope).state.jwks  # type: ignore[no-any-return]  # set in `make_app`


@get(
    "/metrics",
    operation_id="metrics",
    summary="Get Prometheus metrics",
    tags=["operations"],
    media_type=openapi_examples.METRICS_TYPE,
    opt=endpoint_rules(logged=False),
    responses=openapi_examples.responses("metrics"),
)
async def metrics(request: Request[Any, Any, Any]) -> bytes:
    """Return the metrics of all workers in the Prometheus text format."""
    return context_of(request.scope).state.metrics()  # type: ignore[no-any-return]  # set in `make_app`
