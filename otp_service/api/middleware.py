"""What happens to every request before and after its handler: a plain ASGI layer around the framework.

Judged here, in the contract's order: size, path and method, media type, then the key. OPTIONS is answered here, and
HEAD is served as GET without its body. Added to every reply, whoever made it: `Cache-Control: no-store`,
`X-Content-Type-Options: nosniff` and `X-Request-Id`. Written once per request: a metric and, outside of probes, a log
line.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, cast

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from litestar.utils import normalize_path

from otp_service.api.auth import Keys, Network, Principal, client_address, is_trusted, network_of
from otp_service.api.headers import AUTHORIZATION, IDEMPOTENCY_KEY, Headers, check_media, request_id, single
from otp_service.api.methods import PathMethods
from otp_service.api.problems import MEDIA_TYPE, PROBLEMS, RefusedWith, problem_body, problem_headers
from otp_service.api.response_pacing import Pacer
from otp_service.delivery.receipts import PATH as RECEIPTS
from otp_service.domain.errors import Reason, Refused
from otp_service.observability import LOG, METRICS

__all__ = ["FACTS", "MAX_BODY_BYTES", "Edge"]

MAX_BODY_BYTES: Final = 64 * 1024
_DECLARED_DIGITS: Final = 18
"""A Content-Length of more digits is not read as a number, which would take its time."""
_ALWAYS: Final = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
_FORWARDED: Final = b"x-forwarded-for"

FACTS: Final = "otp.facts"
"""Where a handler leaves what the request's one log line is to say."""

_JSON_ROUTES: Final = frozenset(
    {"/v1/request-code", "/v1/verify-code", "/v1/normalize-phone", "/v1/admin/recipients/unlock"}
)
_VERIFICATIONS: Final = "/v1/verifications/"
_REFUSED: Final = 400
_STORELESS: Final = "/v1/normalize-phone"
_HASHED: Final[Mapping[str, frozenset[int]]] = {
    "/v1/request-code": frozenset({202}),
    "/v1/verify-code": frozenset({200, 422}),
}
"""The answers that have taken a hash, by route; all others are paced (`pacing.py`)."""
_QUIET: Final = frozenset({"/livez", "/readyz", "/metrics", "/dev/messages"})
"""What is asked for again and again by machines and pages: counted, and not logged."""

_KNOWN: Final = _JSON_ROUTES | _QUIET | {"/.well-known/jwks.json"}
_MAX_PATH_CHARACTERS: Final = 1024
"""What is longer names nothing of ours, cut or not; and the framework keeps the last 1024 paths that it has seen."""


class Edge:
    """The outermost layer."""

    def __init__(
        self,
        app: ASGIApp,
        keys: Keys,
        trusted_proxies: Sequence[Network],
        gate: Callable[[], None],
        methods: PathMethods,
        *,
        workers: int = 1,
    ) -> None:
        """Stand around `app`, one of `workers` processes; `gate` raises `Refused` while the store may not be used."""
        self._app = app
        self._keys = keys
        self._trusted = trusted_proxies
        self._gate = gate
        self._methods = methods
        self._pacer = Pacer(alone=workers == 1)
        self._warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == ScopeType.HTTP:
            await self._http(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        scope = scope.copy()  # the server's own is left as it is: it reads the method there
        headers = dict(scope["headers"])
        own_id = request_id(scope, headers)
        facts = cast("dict[str, Any]", scope)  # for members of our own
        reply = _Reply(send, own_id, partial(self._wait, scope, facts), bodiless=method == "HEAD")
        # as the router reads it: what is judged is what is served
        facts["path"] = normalize_path(scope["path"][:_MAX_PATH_CHARACTERS])
        facts["otp.request_id"] = own_id
        facts[FACTS] = {}
        started = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=own_id):
            try:
                await self._serve(scope, facts, headers, receive, reply)
            finally:
                _record(method, scope["path"], facts.get(FACTS, {}), reply.status, time.perf_counter() - started)

    async def _serve(
        self, scope: HTTPScope, facts: dict[str, Any], headers: Headers, receive: Receive, reply: _Reply
    ) -> None:
        try:
            body = await _read_body(headers, receive)
            methods = self._check_method(scope, facts)
            if methods is not None and scope["method"] == "OPTIONS":
                await reply.allow(methods)
                return
            self._judge(scope, facts, headers)
        except Refused as refused:
            facts[FACTS]["outcome"] = refused.reason.value
            await reply.refuse(refused)
            return
        except _Gone:
            return
        facts["otp.body"] = body
        await self._app(scope, _replay(body, receive), reply.send)

    async def _wait(self, scope: HTTPScope, facts: dict[str, Any], status: int) -> None:
        """Hold an answer that cost no hash back while its caller has had more than its share of them."""
        path, now = scope["path"], time.monotonic()
        principal: Principal | None = facts.get("otp.principal")
        client = scope.get("client")
        caller: tuple[object, object] = (client and client[0], path in _QUIET)
        if principal is not None:
            caller = (principal.tenant.name, principal.key_id)
        if status in _HASHED.get(path, ()):
            self._pacer.note(caller, now)
        elif pause := self._pacer.pause(caller, now, refused=status >= _REFUSED):
            await asyncio.sleep(pause)

    def _check_method(self, scope: HTTPScope, facts: dict[str, Any]) -> frozenset[str] | None:
        """Give the methods of a path, None for one that only the layers below may know; raise `Refused`: 404, 405."""
        methods = self._methods.of(scope["path"])
        if methods is not None and scope["method"] not in methods:
            if not methods:
                raise Refused(Reason.NOT_FOUND)
            raise RefusedWith({"Allow": _listed(methods)}, Reason.METHOD_NOT_ALLOWED, "Use a method that Allow names.")
        if scope["method"] == "HEAD":
            facts["method"] = "GET"
        return methods

    def _judge(self, scope: HTTPScope, facts: dict[str, Any], headers: Headers) -> None:
        path, method = scope["path"], scope["method"]
        if path in _JSON_ROUTES:
            check_media(scope, headers)
        elif path.startswith(RECEIPTS):  # what proves such a call is its gateway's affair
            self._gate()
            return
        elif not (path.startswith(_VERIFICATIONS) and method in ("GET", "DELETE")):
            return
        facts["otp.principal"] = principal = self._keys.principal(single(scope, headers, AUTHORIZATION))
        facts[FACTS].update(tenant=principal.tenant.name, api_key=principal.key_id)
        single(scope, headers, IDEMPOTENCY_KEY)
        if path != _STORELESS:
            self._gate()
        facts["otp.client"] = self._client(scope, headers)

    def _client(self, scope: HTTPScope, headers: Headers) -> str | None:
        """Find who called, behind trusted proxies."""
        client = scope.get("client")
        peer = client[0] if client else None
        if _FORWARDED not in headers:
            return peer
        forwarded = b",".join(value for name, value in scope["headers"] if name == _FORWARDED).decode("latin-1")
        if not self._warned and not (peer and is_trusted(peer, self._trusted)):
            self._warned = True
            hint = "X-Forwarded-For of this peer is not believed; if it is a proxy of yours, name it in trusted_proxies"
            LOG.warning("forwarded_for_ignored", peer_network=network_of(peer), hint=hint)
        return client_address(peer, forwarded, self._trusted)


class _Gone(Exception):
    """The client went away before its body was complete."""


class _Reply:
    """Passes messages on with our headers added, and remembers the status."""

    def __init__(
        self, send: Send, request_id: str, before: Callable[[int], Awaitable[None]], *, bodiless: bool
    ) -> None:
        self._send = send
        self._request_id = request_id
        self._before = before
        self._bodiless = bodiless
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            await self._before(self.status)
            own = [*_ALWAYS, (b"x-request-id", self._request_id.encode())]
            kept = [(name, value) for name, value in message["headers"] if name.lower() != b"cache-control"]
            message["headers"] = [*kept, *own]
        elif self._bodiless and message["type"] == "http.response.body":
            message["body"] = b""
        await self._send(message)

    async def refuse(self, refused: Refused) -> None:
        body = problem_body(refused, self._request_id)
        headers = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), **problem_headers(refused)}
        await self._answer(PROBLEMS[refused.reason][0], headers, body)

    async def allow(self, methods: frozenset[str]) -> None:
        """Answer OPTIONS."""
        await self._answer(204, {"allow": _listed(methods)}, b"")

    async def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": raw})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})


def _listed(methods: frozenset[str]) -> str:
    return ", ".join(sorted(methods))


async def _read_body(headers: Headers, receive: Receive) -> bytes:
    """Read the whole body, or refuse it as soon as it is known to be too large."""
    declared = headers.get(b"content-length", b"0")
    too_large = Refused(Reason.BODY_TOO_LARGE, f"At most {MAX_BODY_BYTES} bytes.")
    if declared.isdigit() and (len(declared) > _DECLARED_DIGITS or int(declared) > MAX_BODY_BYTES):
        raise too_large
    if declared == b"0" and b"transfer-encoding" not in headers:
        return b""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise _Gone
        part = message.get("body", b"")
        parts.append(part)
        size += len(part)
        more = message.get("more_body", False)
        if size > MAX_BODY_BYTES:
            raise too_large
    return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give the body once more to whoever reads below; after it, what comes from the client."""
    given = False

    async def replayed() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _record(method: str, path: str, facts: dict[str, Any], status: int, seconds: float) -> None:
    """Count the request and write its one line: what was asked, what became of it."""
    route = _route(path)
    METRICS.requests.labels(route, str(status)).inc()
    METRICS.request_seconds.labels(route).observe(seconds)
    if path not in _QUIET:
        facts.setdefault("outcome", "ok" if status else "client_gone")
        duration_ms = round(seconds * 1000, 1)
        LOG.info("request", method=method, route=route, status=status, duration_ms=duration_ms, **facts)


def _route(path: str) -> str:
    """Name a route without what a caller put into its path."""
    if path in _KNOWN:
        return path
    templates = {_VERIFICATIONS: _VERIFICATIONS + "{id}", RECEIPTS: RECEIPTS + "{provider}"}
    return next((template for start, template in templates.items() if path.startswith(start)), "other")
