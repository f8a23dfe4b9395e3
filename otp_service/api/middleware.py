"""Check every request before Litestar routes it, and complete every response: a plain ASGI middleware.

It checks in the order of the contract: body size, path and method, media type, API key, store. It answers OPTIONS, and
serves HEAD as GET without the body. Each response, also of Litestar, gets `Cache-Control: no-store`,
`X-Content-Type-Options: nosniff` and `X-Request-Id`. Each request is counted once and, except for probes, logged once.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, cast

from litestar.datastructures import State
from litestar.enums import ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send
from litestar.utils import normalize_path
from prometheus_client import Counter, Histogram

from otp_service.api.access_tokens import AccessTokens, authenticate
from otp_service.api.asgi_messages import (
    MAX_BODY_BYTES,
    ClientDisconnected,
    ResponseWriter,
    allow_header,
    is_large,
    read_body,
    replay_body,
    set_response,
)
from otp_service.api.auth import (
    ApiKeys,
    Network,
    Principal,
    UnusableKey,
    client_address,
    is_trusted_proxy,
    network_of,
    rate_limit_address,
)
from otp_service.api.cross_origin import CrossOriginRules
from otp_service.api.endpoints import UNKNOWN_ENDPOINT, Endpoint, EndpointIndex, EndpointRules
from otp_service.api.headers import (
    AUTHORIZATION,
    IDEMPOTENCY_KEY,
    check_content_type,
    request_id,
    single_header,
)
from otp_service.api.json_handlers import respond
from otp_service.api.problems import RefusedWithHeaders
from otp_service.api.request_context import RequestContext, set_context
from otp_service.api.response_pacing import Pacer
from otp_service.domain.errors import Reason, Refused
from otp_service.observability import LOG, METRICS, REQUEST_ID
from otp_service.service import OtpService

__all__ = ["ApiMiddleware"]

_FORWARDED_FOR: Final = b"x-forwarded-for"
_FIRST_ERROR_STATUS: Final = 400
_NO_HANDLERS: Final[Mapping[tuple[str, str], HTTPRouteHandler]] = MappingProxyType({})
_MAX_PATH_CHARACTERS: Final = 1024
"""No path of the API is longer. Longer ones are cut, because Litestar caches the last 1024 paths that it has seen."""


_MAX_LARGE_BODIES: Final = 4
"""Bodies of more than 64 KiB that one process reads at the same time."""
_LARGE_BODY_RETRY_MS: Final = 5_000


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
        service: OtpService | None = None,
        state: State | None = None,
        lifespan_app: ASGIApp | None = None,
        direct: Mapping[tuple[str, str], HTTPRouteHandler] = _NO_HANDLERS,
        workers: int = 1,
        access_tokens: AccessTokens | None = None,
    ) -> None:
        """Wrap `app`.

        Args:
            app: The application that gets the requests that pass all checks.
            api_keys: The configured keys.
            endpoints: The endpoints of `app`.
            trusted_proxies: The networks whose `X-Forwarded-For` is trusted.
            check_store: Raises `Refused` while the store may not be used.
            service: The use cases, for the handlers of JSON routes.
            state: What other handlers use, by name.
            lifespan_app: The application that gets the lifespan messages; by default `app`.
            direct: The handlers that are called without `app`, by path and method.
            workers: How many processes share the CPU cores, this one included.
            access_tokens: The issuers whose access tokens are accepted instead of API keys, if any.
        """
        self._app = app
        self._api_keys = api_keys
        self._access_tokens = access_tokens
        self._cross_origin = CrossOriginRules(api_keys.allowed_origins)
        self._endpoints = endpoints
        self._trusted_proxies = trusted_proxies
        self._check_store = check_store
        self._service = service
        self._state = State() if state is None else state
        self._lifespan_app = app if lifespan_app is None else lifespan_app
        self._direct = direct
        self._pacer = Pacer(single_process=workers == 1)
        self._has_warned = False
        self._large_bodies = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection: a request, or the lifespan."""
        if scope["type"] == ScopeType.HTTP:
            await self._serve_request(scope, receive, send)
        else:
            await self._lifespan_app(scope, receive, send)

    async def _serve_request(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        method = scope["method"]
        scope = scope.copy()  # the server reads the method from its own scope, so that one is not changed
        headers = dict(scope["headers"])
        scope["path"] = normalize_path(scope["path"][:_MAX_PATH_CHARACTERS])  # as Litestar's router does
        endpoint = self._endpoints.match(scope["path"])
        context = RequestContext(
            request_id(scope, headers), headers, endpoint, _peer_address(scope), self._service, self._state
        )
        response = ResponseWriter(
            send, context, self._delay_seconds, self._cross_origin.headers, omit_body=method == "HEAD"
        )
        set_context(scope, context)
        set_response(scope, response)
        bound = REQUEST_ID.set(context.request_id)
        try:
            await self._check_and_forward(scope, context, receive, response)
        finally:
            _record(method, context, response.status, time.perf_counter() - started)
            REQUEST_ID.reset(bound)

    async def _check_and_forward(
        self, scope: HTTPScope, context: RequestContext, receive: Receive, response: ResponseWriter
    ) -> None:
        try:
            context.body = await self._read_body(context, receive)
            if (endpoint := context.endpoint) is not None:
                _check_method(scope["method"], endpoint)
                if scope["method"] == "OPTIONS":
                    context.headers_to_send += self._cross_origin.preflight_headers(context, endpoint.methods)
                    await response.send_options(endpoint.methods)
                    return
                await self._check_access(scope, context, endpoint.rules)
        except Refused as refused:
            await response.send_problem(refused)
            return
        except ClientDisconnected:
            return
        if handler := self._direct.get((scope["path"], scope["method"])):
            await respond(handler, scope, {})
            return
        if scope["method"] == "HEAD":
            scope["method"] = cast("Any", "GET")
        await self._app(scope, replay_body(context.body, receive), response.send)

    async def _read_body(self, context: RequestContext, receive: Receive) -> bytes:
        """Read the body; raises `Refused`. Few large ones are read at a time, because anybody can send them."""
        max_bytes = context.rules.max_body_bytes
        if max_bytes <= MAX_BODY_BYTES or not is_large(context.headers):
            return await read_body(context.headers, receive)
        if self._large_bodies >= _MAX_LARGE_BODIES:
            raise Refused(Reason.OVERLOADED, "Send the large body again later.", retry_after_ms=_LARGE_BODY_RETRY_MS)
        self._large_bodies += 1
        try:
            return await read_body(context.headers, receive, max_bytes)
        finally:
            self._large_bodies -= 1

    async def _check_access(self, scope: HTTPScope, context: RequestContext, rules: EndpointRules) -> None:
        """Check what the endpoint requires besides the method. Raises `Refused`."""
        headers = context.headers
        if rules.body is not None:
            check_content_type(scope, headers, accepts_form=rules.accepts_form)
        if rules.needs_api_key:
            context.principal = await self._authenticate(scope, context)
            context.log_fields.update(tenant=context.principal.tenant.name, api_key=context.principal.key_id)
            single_header(scope, headers, IDEMPOTENCY_KEY)
        if rules.needs_store:
            self._check_store()
        if rules.needs_api_key:
            context.client_address = self._client_address(scope, context)

    async def _authenticate(self, scope: HTTPScope, context: RequestContext) -> Principal:
        """Return the principal of a request. Raises `Refused`; the log line names a key that is configured."""
        authorization = single_header(scope, context.headers, AUTHORIZATION)
        try:
            return await authenticate(self._api_keys, self._access_tokens, authorization, context.log_fields)
        except UnusableKey as refused:
            context.log_fields.update(tenant=refused.tenant_name, api_key=refused.key_id)
            raise

    def _client_address(self, scope: HTTPScope, context: RequestContext) -> str | None:
        """Return the address of the caller, behind trusted proxies; None on a Unix socket."""
        peer = context.peer
        if _FORWARDED_FOR not in context.headers:
            return peer
        forwarded = b",".join(value for name, value in scope["headers"] if name == _FORWARDED_FOR).decode("latin-1")
        if not self._has_warned and not (peer and is_trusted_proxy(peer, self._trusted_proxies)):
            self._has_warned = True
            hint = "X-Forwarded-For of this peer is ignored; if the peer is your proxy, add it to trusted_proxies"
            LOG.warning("forwarded_for_ignored", peer_network=network_of(peer), hint=hint)
        return client_address(peer, forwarded, self._trusted_proxies)

    def _delay_seconds(self, context: RequestContext, status: int) -> float:
        """Return how long to delay a response: one without a hash whose caller exceeds the rate of such responses."""
        now = time.monotonic()
        rules = context.rules
        caller: tuple[object, ...] = (_network(context.peer), rules.logged)
        if (principal := context.principal) is not None:
            caller = (principal.tenant.name, principal.key_id)
            if principal.publishable:  # many clients share this key
                caller = (*caller, _network(context.client_address))
        if status in rules.hashed_statuses:
            self._pacer.record_response(caller, now)
            return 0.0
        return self._pacer.delay_seconds(caller, now, is_error=status >= _FIRST_ERROR_STATUS)


@functools.cache  # `labels` takes two microseconds
def _requests(route: str, status: int) -> Counter:
    return METRICS.requests.labels(route, status)


@functools.cache
def _request_seconds(route: str) -> Histogram:
    return METRICS.request_seconds.labels(route)


def _check_method(method: str, endpoint: Endpoint) -> None:
    """Raise `Refused` if the endpoint does not exist (404) or does not have the method (405)."""
    if not endpoint.methods:
        raise Refused(Reason.NOT_FOUND)
    if method not in endpoint.methods:
        headers = [(b"allow", allow_header(endpoint.methods).encode())]
        raise RefusedWithHeaders(headers, Reason.METHOD_NOT_ALLOWED, "Use a method that the Allow header lists.")


def _peer_address(scope: HTTPScope) -> str | None:
    client = scope.get("client")
    return client[0] if client else None


def _network(address: str | None) -> str | None:
    """Return whose responses are paced together: an IPv4 address, or the /64 of an IPv6 one, which one host may own."""
    return rate_limit_address(address) if address is not None and ":" in address else address


def _record(method: str, context: RequestContext, status: int, seconds: float) -> None:
    """Count the request, and write its log line if the endpoint is logged. `status` is 0 if there was no response."""
    endpoint = context.endpoint or UNKNOWN_ENDPOINT
    _requests(endpoint.label, status).inc()
    _request_seconds(endpoint.label).observe(seconds)
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
