"""The routes for machines: probes, metrics and the keys that proofs are checked with."""

from __future__ import annotations

from typing import Any

from litestar import Request, get

from otp_service.api import openapi_examples
from otp_service.api.schemas import Jwks, State

__all__ = ["jwks", "live", "metrics", "ready"]


@get(
    "/livez",
    operation_id="live",
    summary="Whether this process lives",
    tags=["operations"],
    responses=openapi_examples.responses("live"),
)
async def live() -> State:
    """Answer as long as the event loop turns, whatever the store does."""
    return State("live")


@get(
    "/readyz",
    operation_id="ready",
    summary="Whether it can serve",
    tags=["operations"],
    responses=openapi_examples.responses("ready"),
)
async def ready(request: Request[Any, Any, Any]) -> State:
    """Answer 200 while the store answers, and 503 otherwise."""
    await request.app.state.ready()
    return State("ready")


@get(
    "/.well-known/jwks.json",
    operation_id="jwks",
    summary="The keys of proof tokens",
    tags=["operations"],
    responses=openapi_examples.responses("jwks"),
)
async def jwks(request: Request[Any, Any, Any]) -> Jwks:
    """List the public keys, those of retired keys too while they are configured."""
    return request.app.state.jwks  # type: ignore[no-any-return]  # the composition root's


@get(
    "/metrics",
    operation_id="metrics",
    summary="Prometheus metrics",
    tags=["operations"],
    media_type=openapi_examples.METRICS_TYPE,
    responses=openapi_examples.responses("metrics"),
)
async def metrics(request: Request[Any, Any, Any]) -> bytes:
    """Give the metrics of all workers in Prometheus' text format."""
    return request.app.state.metrics()  # type: ignore[no-any-return]  # the composition root's
