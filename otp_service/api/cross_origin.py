"""Calls by web pages of other origins (CORS): which pages may read a response, and the headers for preflights.

A browser sends a preflight (OPTIONS without the API key) before a request with an `Authorization` header. So preflights
are allowed for the origins of all publishable keys; the response to the request itself only names an origin that the
key of the request allows. No origin is allowed by default, and then no header is added. Cookies are never allowed: the
service uses none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from otp_service.api.request_context import RequestContext

__all__ = ["CrossOriginRules"]

RawHeader = tuple[bytes, bytes]

PREFLIGHT_SECONDS: Final = 600
"""How long a browser may cache a preflight: an origin that is removed is refused after that time."""

_VARY: Final[RawHeader] = (b"vary", b"Origin")
_ALLOW_ORIGIN: Final = b"access-control-allow-origin"
_EXPOSED: Final[RawHeader] = (
    b"access-control-expose-headers",
    b"RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-Id",
)
_ALLOWED_HEADERS: Final[RawHeader] = (
    b"access-control-allow-headers",
    b"Authorization, Content-Type, Idempotency-Key, X-Request-Id",
)
_MAX_AGE: Final[RawHeader] = (b"access-control-max-age", b"%d" % PREFLIGHT_SECONDS)
_NOT_PREFLIGHTED: Final = frozenset({"OPTIONS", "HEAD"})


class CrossOriginRules:
    """Adds the headers of CORS to the responses of endpoints that take an API key."""

    def __init__(self, origins: Iterable[str]) -> None:
        """Allow `origins`, which are those of all keys together; none: no response gets a header."""
        self._origins = frozenset(origins)

    def headers(self, context: RequestContext) -> tuple[RawHeader, ...]:
        """Return the headers of a response. Until a key is known, every allowed origin may read it."""
        if not self._origins or not context.endpoint.rules.needs_api_key:
            return ()
        origin = context.headers.get(b"origin", b"")
        allowed = self._origins if context.principal is None else context.principal.allowed_origins
        if origin.decode("latin-1") not in allowed:
            return (_VARY,)
        return _VARY, (_ALLOW_ORIGIN, origin), _EXPOSED

    def preflight_headers(self, context: RequestContext, methods: Iterable[str]) -> tuple[RawHeader, ...]:
        """Return what the response to OPTIONS has besides `headers`, if it is the preflight of an allowed origin."""
        is_preflight = b"access-control-request-method" in context.headers
        if not is_preflight or len(self.headers(context)) <= 1:
            return ()
        named = ", ".join(sorted(set(methods) - _NOT_PREFLIGHTED)).encode()
        return (b"access-control-allow-methods", named), _ALLOWED_HEADERS, _MAX_AGE
