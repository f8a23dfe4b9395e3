"""Check every request before Litestar routes it, and complete every response: a plain ASGI middleware.

It checks in the order of the contract: body size, path and method, media type, API key, store. It answers OPTIONS, and
serves HEAD as GET without the body. Each response, also of Litestar, gets `Cache-Control: no-store`,
`X-Content-Type-Options: nosniff` and `X-Request-Id`. Each request is counted once and, except for probes, logged once.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, cast

from litestar.datastructures import State
from litestar.enums import ScopeType
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
from otp_service.api.json_handlers import DirectHandler
from otp_service.api.problems import RefusedWithHeaders
from otp_service.api.request_context import ApiRequest, RequestContext, set_context
from otp_service.api.response_pacing import Pacer
from otp_service.domain.errors import Reason, Refused
from otp_service.observability import LOG, METRICS, REQUEST_ID
from otp_service.service import OtpService

__all__ = ["ApiMiddleware"]

_FORWARDED_FOR: Final = b"x-forwarded-for"
_FIRST_ERROR_STATUS: Final = 400
_NO_HANDLERS: Final[Mapping[tuple[str, str], DirectHandler]] = MappingProxyType({})
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
        direct: Mapping[tuple[str, str], DirectHandler] = _NO_HANDLERS,
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
        self._added_headers = self._cross_origin.headers if api_keys.allowed_origins else None
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
        if scope["type"] != ScopeType.HTTP:
            await self._lifespan_app(scope, receive, send)
            return
        started = time.perf_counter()
        method = scope["method"]
        scope = scope.copy()  # the server reads the method from its own scope, so that one is not changed
        headers = dict(scope["headers"])
        endpoint = self._set_path(scope)
        client = scope.get("client")
        peer = client[0] if client else None
        context = RequestContext(request_id(scope, headers), headers, endpoint, peer, self._service, self._state)
        response = ResponseWriter(send, context, self._delay_seconds, self._added_headers, omit_body=method == "HEAD")
        bound = REQUEST_ID.set(context.request_id)
        try:
            if await self._is_accepted(scope, context, receive, response):
                await self._forward(scope, context, receive, response)
        finally:
            _record(method, context, response.status, time.perf_counter() - started)
            REQUEST_ID.reset(bound)

    def _set_path(self, scope: HTTPScope) -> Endpoint:
        """Normalize the path, as Litestar's router does, and return its endpoint."""
        path = scope["path"][:_MAX_PATH_CHARACTERS]
        if (endpoint := self._endpoints.by_path.get(path)) is None:
            path = normalize_path(path)
            endpoint = self._endpoints.match(path) or UNKNOWN_ENDPOINT
        scope["path"] = path
        return endpoint

    async def _is_accepted(
        self, scope: HTTPScope, context: RequestContext, receive: Receive, response: ResponseWriter
    ) -> bool:
        """Read and check a request. Return False if its response is sent already, or nobody waits for one."""
        endpoint = context.endpoint
        try:
            if endpoint.rules.max_body_bytes <= MAX_BODY_BYTES or not is_large(context.headers):
                context.body = await read_body(context.headers, receive)
            else:
                context.body = await self._read_large_body(context, receive)
            if endpoint is UNKNOWN_ENDPOINT:
                return True
            if scope["method"] not in endpoint.methods:
                raise _wrong_method(endpoint)
            if scope["method"] == "OPTIONS":
                context.headers_to_send += self._cross_origin.preflight_headers(context, endpoint.methods)
                await response.send_options(endpoint.methods)
                return False
            await self._check_access(scope, context, endpoint.rules)
        except Refused as refused:
            if isinstance(refused, UnusableKey):  # it is configured, so the log line names it
                context.log_fields.update(tenant=refused.tenant_name, api_key=refused.key_id)
            await response.send_problem(refused)
            return False
        except ClientDisconnected:
            return False
        return True

    def _forward(
        self, scope: HTTPScope, context: RequestContext, receive: Receive, response: ResponseWriter
    ) -> Awaitable[None]:
        """Pass a request to its handler, or to the application."""
        if respond := self._direct.get((scope["path"], scope["method"])):
            return respond(ApiRequest(scope, context), response)
        if scope["method"] == "HEAD":
            scope["method"] = cast("Any", "GET")
        set_context(scope, context)
        set_response(scope, response)
        return self._app(scope, replay_body(context.body, receive), response.send)

    async def _read_large_body(self, context: RequestContext, receive: Receive) -> bytes:
        """Read a large body; raises `Refused`. Few are read at a time, because anybody can send them."""
        if self._large_bodies >= _MAX_LARGE_BODIES:
            raise Refused(Reason.OVERLOADED, "Send the large body again later.", retry_after_ms=_LARGE_BODY_RETRY_MS)
        self._large_bodies += 1
        try:
            return await read_body(context.headers, receive, context.endpoint.rules.max_body_bytes)
        finally:
            self._large_bodies -= 1

    async def _check_access(self, scope: HTTPScope, context: RequestContext, rules: EndpointRules) -> None:
        """Check what the endpoint requires besides the method. Raises `Refused`."""
        headers, log_fields = context.headers, context.log_fields
        if rules.body is not None:
            check_content_type(scope, headers, accepts_form=rules.accepts_form)
        if rules.needs_api_key:
            authorization = single_header(scope, headers, AUTHORIZATION)
            if self._access_tokens is None:
                principal = self._api_keys.authenticate(authorization)
            else:
                principal = await authenticate(self._api_keys, self._access_tokens, authorization, log_fields)
            context.principal = principal
            log_fields.update(tenant=principal.tenant.name, api_key=principal.key_id)
            if IDEMPOTENCY_KEY in headers:
                single_header(scope, headers, IDEMPOTENCY_KEY)
        if rules.needs_store:
            self._check_store()
        if rules.needs_api_key:
            is_forwarded = _FORWARDED_FOR in headers
            context.client_address = self._forwarded_address(scope, context.peer) if is_forwarded else context.peer

    def _forwarded_address(self, scope: HTTPScope, peer: str | None) -> str | None:
        """Return the address of a caller behind trusted proxies; the peer's if that is not one."""
        forwarded = b",".join(value for name, value in scope["headers"] if name == _FORWARDED_FOR).decode("latin-1")
        if not self._has_warned and not (peer and is_trusted_proxy(peer, self._trusted_proxies)):
            self._has_warned = True
            hint = "X-Forwarded-For of this peer is ignored; if the peer is your proxy, add it to trusted_proxies"
            LOG.warning("forwarded_for_ignored", peer_network=network_of(peer), hint=hint)
        return client_address(peer, forwarded, self._trusted_proxies)

    def _delay_seconds(self, context: RequestContext, status: int) -> float:
        """Return how long to delay a response: one without a hash whose caller exceeds the rate of such responses."""
        now = time.monotonic()
        rules, principal = context.endpoint.rules, context.principal
        caller: tuple[object, ...]
        if principal is None:
            caller = (_network(context.peer), rules.logged)
        elif principal.publishable:  # many clients share this key
            caller = (principal.tenant.name, principal.key_id, _network(context.client_address))
        else:
            caller = (principal.tenant.name, principal.key_id)
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


def _wrong_method(endpoint: Endpoint) -> Refused:
    """Return the refusal of a method that an endpoint does not have (405); one without methods does not exist (404)."""
    if not endpoint.methods:
        return Refused(Reason.NOT_FOUND)
    headers = [(b"allow", allow_header(endpoint.methods).encode())]
    return RefusedWithHeaders(headers, Reason.METHOD_NOT_ALLOWED, "Use a method that the Allow header lists.")


def _network(address: str | None) -> str | None:
    """Return whose responses are paced together: an IPv4 address, or the /64 of an IPv6 one, which one host may own."""
    return rate_limit_address(address) if address is not None and ":" in address else address


def _record(method: str, context: RequestContext, status: int, seconds: float) -> None:
    """Count the request, and write its log line if the endpoint is logged. `status` is 0 if there was no response."""
    endpoint = context.endpoint
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
