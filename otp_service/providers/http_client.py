"""The HTTP client for gateways. Only this module imports httpx; one set of rules holds for every gateway.

- A request is sent once. The client never retries and never follows a redirect: repeating a send would send a second
  SMS. It keeps no cookies, so no request depends on another one.
- An idle connection is kept for `keepalive_seconds`, less than gateways keep theirs, and is checked before it is used
  again (see `http_transport.py`).
- A failure before the first byte of the request is written is `transient`: the gateway cannot have acted on it. A later
  failure is `ambiguous`, unless a complete JSON body has arrived: some gateways declare a Content-Length that is too
  large, and then close the connection or keep it open.
- TLS certificates are verified, at most 64 KiB of a body are read, and proxy settings of the environment are ignored.
- URLs and bodies are neither logged nor kept: they contain passwords, numbers and codes.

Requests and responses are httpx's, and go to the transport without `httpx.AsyncClient`: its cookies, redirects, hooks
and authentication are not wanted here, and cost 200 us per call, more than the call itself.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import httpx
import msgspec

from otp_service.domain.outcomes import Outcome
from otp_service.domain.secret import MaskedStruct
from otp_service.observability import LOG
from otp_service.providers.http_transport import SingleUseTransport

__all__ = ["GatewayClient", "GatewayResponse"]

MAX_BODY_BYTES: Final = 64 * 1024
KEEPALIVE_SECONDS: Final = 3.0
"""Less than the idle timeout of common servers (5 s: Apache, Node.js; 60 to 75 s: load balancers, nginx)."""

_HEADERS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Connection": "keep-alive",
    "User-Agent": "otp-service",
}

_METHODS_WITH_CONTENT: Final = frozenset({"PATCH", "POST", "PUT"})
"""A request with one of these methods has a Content-Length also without content (RFC 9110, section 8.6)."""

_PLAIN_URL: Final = re.compile(r"(?!.*/\.)(https?://[\w.:\[\]-]+)(/(?:[\w~/?&=+:,;.-]+|%[0-9A-Fa-f]{2})*+)", re.ASCII)
"""An origin, and a path with a query that needs no quoting and that httpx would send unchanged."""


class GatewayResponse(MaskedStruct, frozen=True):
    """An HTTP response of a gateway. Never log the body: it may echo the message with its code."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        """Show the status and the size, without the body."""
        return f"GatewayResponse({self.status}, {len(self.body)} bytes)"


class GatewayClient:
    """Calls one gateway. A call that gets no response returns an outcome instead of raising."""

    def __init__(self, timeout_seconds: float, keepalive_seconds: float = KEEPALIVE_SECONDS) -> None:
        """Limit each call to `timeout_seconds` in total, from the DNS lookup to the last byte of the body.

        An idle connection is closed after `keepalive_seconds`; 0: each request has its own connection.
        """
        self.timeout_seconds = timeout_seconds
        self._transport = SingleUseTransport(keepalive_seconds)

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    async def call(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, content: bytes | None = None
    ) -> GatewayResponse | Outcome:
        """Send one request, once.

        Returns:
            The response; without one, `TRANSIENT` if the gateway cannot have acted, or else `AMBIGUOUS`.
        """
        extensions: dict[str, Any] = {}
        response, body = None, bytearray()
        try:
            request = new_request(method, url, headers or {}, content)
            extensions = request.extensions  # the transport adds `written`
            async with asyncio.timeout(self.timeout_seconds):
                response = await self._transport.handle_async_request(request)
                await _read_body(response, body)
        except Exception as error:  # httpx does not wrap every error: a reset during connect, for example
            written = "written" in extensions
            LOG.info("gateway_call_failed", kind=type(error).__name__, request_written=written)
            if response is None or not _is_complete_json(body):
                return Outcome.AMBIGUOUS if written else Outcome.TRANSIENT
        return GatewayResponse(response.status_code, response.headers, bytes(body[:MAX_BODY_BYTES]))


def new_request(method: str, url: str, headers: Mapping[str, str], content: bytes | None) -> httpx.Request:
    """Make the request that httpx makes with the headers of every call, those of the origin and `headers`.

    httpx takes 30 us to parse a URL, and 60 us to merge headers. A plain URL is not parsed: what depends on its origin
    is cached, and the rest, which may contain a number and a code, is given as the extension `target`.
    """
    plain = _PLAIN_URL.fullmatch(url)
    target = {"target": plain[2].encode()} if plain else None
    bare = _cached_bare_request(plain[1]) if plain else _bare_request(url)
    stream = httpx.ByteStream(content or b"")
    request = httpx.Request(method, bare.url, headers=bare.headers, stream=stream, extensions=target)
    request.headers.encoding = "ascii"  # any other header is refused
    if content or request.method in _METHODS_WITH_CONTENT:
        request.headers["Content-Length"] = str(len(content or b""))
    for name, value in headers.items():
        request.headers[name] = value
    return request


def _bare_request(url: str) -> httpx.Request:
    """Make a request for a URL or an origin, with no headers but those that every request to it has."""
    return httpx.Request("GET", url, headers=_HEADERS)


_cached_bare_request: Final = lru_cache(maxsize=64)(_bare_request)


async def _read_body(response: httpx.Response, body: bytearray) -> None:
    """Append to `body`, so that the caller keeps what was read when this fails; stop after 64 KiB, and close."""
    stream: httpx.AsyncByteStream = response.stream  # type: ignore[assignment]  # the transport's is asynchronous
    try:
        async for chunk in response.aiter_bytes() if "content-encoding" in response.headers else stream:
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                break
    finally:
        await stream.aclose()


def _is_complete_json(body: bytearray) -> bool:
    """Whether a body that was cut off is already a complete JSON object or string."""
    try:
        return isinstance(msgspec.json.decode(body.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n\0")), dict | str)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
