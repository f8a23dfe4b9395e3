"""Check every request before Litestar routes it, and complete every response: a plain ASGI middleware.

It checks in the order of the contract: body size, path and method, media type, API key, store. It answers OPTIONS, and
serves HEAD as GET without the body. Each response, also of Litestar, gets `Cache-Control: no-store`,
`X-Content-Type-Options: nosniff` and `X-Request-Id`. Each request is counted once and, except for probes, logged once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, cast

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send
from litestar.utils import normalize_path

from otp_service.api.asgi_messages import ClientDisconnected, ResponseWriter, allow_header, read_body, replay_body
from otp_service.api.auth import ApiKeys, Network, client_address, is_trusted_proxy, network_of
from otp_service.api.endpoints import Endpoint, EndpointIndex, EndpointRules
from otp_service.api.headers import (
    AUTHORIZATION,
    IDEMPOTENCY_KEY,
    Headers,
    check_content_type,
    request_id,
    single_header,
)
from otp_service.api.problems import RefusedWithHeaders
from otp_service.api.request_context import RequestContext, set_context
from otp_service.api.response_pacing import Pacer
from otp_service.domain.errors import Reason, Refused
from otp_service.observability import LOG, METRICS

__all__ = ["ApiMiddleware"]

_FORWARDED_FOR: Final = b"x-forwarded-for"
_FIRST_ERROR_STATUS: Final = 400
_UNKNOWN_ENDPOINT: Final = Endpoint("other", frozenset(), EndpointRules())
_MAX_PATH_CHARACTERS: Final = 1024
"""No path of the API is longer. Longer ones are cut, because Litestar caches the last 1024 paths that it has seen."""


class ApiMiddleware:
    """The outermost ASGI layer of the application."""

    def __init__(
        self,
        app: ASGIApp,
        api_keys: ApiKeys,
        endpoints: EndpointIndex,
        *,
        trusted_proxies: Sequence[Network],
        check_store: Callable[[], None],
        workers: int = 1,
    ) -> None:
        """Wrap `app`.

        Args:
            app: The application that gets the requests that pass all checks.
            api_keys: The configured keys.
            endpoints: The endpoints of `app`.
            trusted_proxies: The networks whose `X-Forwarded-For` is believed.
            check_store: Raises `Refused` while the store may not be used.
            workers: How many processes share the CPU cores, this one included.
        """
        self._app = app
        self._api_keys = api_keys
        self._endpoints = endpoints
        self._trusted_proxies = trusted_proxies
        self._check_store = check_store
        self._pacer = Pacer(single_process=workers == 1)
        self._has_warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection: a request, or the lifespan."""
        if scope["type"] == ScopeType.HTTP:
            await self._serve_request(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _serve_request(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        scope = scope.copy()  # the server reads the method from its own scope, so that one is not changed
        headers = dict(scope["headers"])
        scope["path"] = normalize_path(scope["path"][:_MAX_PATH_CHARACTERS])  # as Litestar's router does
        context = RequestContext(request_id(scope, headers), self._endpoints.match(scope["path"]))
        set_context(scope, context)
        pace = partial(self._pace, scope, context)
        response = ResponseWriter(send, context.request_id, pace, omit_body=method == "HEAD")
        started = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=context.request_id):
            try:
                await self._check_and_forward(scope, context, headers, receive, response)
            finally:
                _record(method, context, response.status, time.perf_counter() - started)

    async def _check_and_forward(
        self, scope: HTTPScope, context: RequestContext, headers: Headers, receive: Receive, response: ResponseWriter
    ) -> None:
        try:
            context.body = await read_body(headers, receive)
            if (endpoint := context.endpoint) is not None:
                _check_method(scope["method"], endpoint)
                if scope["method"] == "OPTIONS":
                    await response.send_options(endpoint.methods)
                    return
                self._check_access(scope, context, headers, endpoint.rules)
        except Refused as refused:
            context.log_fields["outcome"] = refused.reason.value
            await response.send_problem(refused)
            return
        except ClientDisconnected:
            return
        if scope["method"] == "HEAD":
            scope["method"] = cast("Any", "GET")
        await self._app(scope, replay_body(context.body, receive), response.send)

    def _check_access(self, scope: HTTPScope, context: RequestContext, headers: Headers, rules: EndpointRules) -> None:
        """Check what the endpoint requires besides the method. Raises `Refused`."""
        if rules.body is not None:
            check_content_type(scope, headers)
        if rules.needs_api_key:
            context.principal = self._api_keys.authenticate(single_header(scope, headers, AUTHORIZATION))
            context.log_fields.update(tenant=context.principal.tenant.name, api_key=context.principal.key_id)
            single_header(scope, headers, IDEMPOTENCY_KEY)
        if rules.needs_store:
            self._check_store()
        if rules.needs_api_key:
            context.client_address = self._client_address(scope, headers)

    def _client_address(self, scope: HTTPScope, headers: Headers) -> str | None:
        """Return the address of the caller, behind trusted proxies; None on a Unix socket."""
        peer = _peer_address(scope)
        if _FORWARDED_FOR not in headers:
            return peer
        forwarded = b",".join(value for name, value in scope["headers"] if name == _FORWARDED_FOR).decode("latin-1")
        if not self._has_warned and not (peer and is_trusted_proxy(peer, self._trusted_proxies)):
            self._has_warned = True
            hint = "X-Forwarded-For of this peer is ignored; if the peer is your proxy, add it to trusted_proxies"
            LOG.warning("forwarded_for_ignored", peer_network=network_of(peer), hint=hint)
        return client_address(peer, forwarded, self._trusted_proxies)

    async def _pace(self, scope: HTTPScope, context: RequestContext, status: int) -> None:
        """Delay a response for which no hash was computed while its caller exceeds the rate of such responses."""
        now = time.monotonic()
        rules = (context.endpoint or _UNKNOWN_ENDPOINT).rules
        caller: tuple[object, object] = (_peer_address(scope), rules.logged)
        if context.principal is not None:
            caller = (context.principal.tenant.name, context.principal.key_id)
        if status in rules.hashed_statuses:
            self._pacer.record_response(caller, now)
        elif delay := self._pacer.delay_seconds(caller, now, is_error=status >= _FIRST_ERROR_STATUS):
            await asyncio.sleep(delay)


def _check_method(method: str, endpoint: Endpoint) -> None:
    """Raise `Refused` if the endpoint does not exist (404) or does not have the method (405)."""
    if not endpoint.methods:
        raise Refused(Reason.NOT_FOUND)
    if method not in endpoint.methods:
        headers = {"Allow": allow_header(endpoint.methods)}
        raise RefusedWithHeaders(headers, Reason.METHOD_NOT_ALLOWED, "Use a method that the Allow header lists.")


def _peer_address(scope: HTTPScope) -> str | None:
    client = scope.get("client")
    return client[0] if client else None


def _record(method: str, context: RequestContext, status: int, seconds: float) -> None:
    """Count the request, and write its log line if the endpoint is logged. `status` is 0 if there was no response."""
    endpoint = context.endpoint or _UNKNOWN_ENDPOINT
    METRICS.requests.labels(endpoint.label, str(status)).inc()
    METRICS.request_seconds.labels(endpoint.label).observe(seconds)
    if endpoint.rules.logged:
        context.log_fields.setdefault("outcome", "ok" if status else "client_gone")
        duration_ms = round(seconds * 1000, 1)
        LOG.info(
            "request",
            method=method,
            route=endpoint.label,
            status=status,
            duration_ms=duration_ms,
            **context.log_fields,
        )
