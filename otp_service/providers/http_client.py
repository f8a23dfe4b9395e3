"""The one place that knows the HTTP client, and the one policy for calling gateways.

Nothing is retried and no redirect is followed: a send that is repeated is a second text. Every call has a fresh
connection, because a kept one that the gateway closes meanwhile makes an ambiguous outcome out of nothing. What
failed before the first byte of the request was written is `transient` (the gateway cannot have acted); whatever
fails later is `ambiguous`, unless a whole answer has come by then: some gateways say that a body is longer than it is
(they count wrongly), and then close, or wait. Certificates are checked, bodies are read up to 64 KiB, proxies of the
environment are not used, and the client's own logging of URLs is off (`observability.py`): they may hold passwords.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
import msgspec

from otp_service.domain.outcomes import Outcome
from otp_service.observability import LOG

__all__ = ["GatewayClient", "GatewayResponse"]

MAX_BODY_BYTES: Final = 64 * 1024
MAX_CONNECTIONS: Final = 256
_WRITING: Final = (".send_request_headers.started", ".send_connection_init.started")


@dataclass(frozen=True, slots=True)
class GatewayResponse:
    """A gateway's answer. The body may echo the message: it is read, never logged."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        """Leave the body out."""
        return f"Reply({self.status}, {len(self.body)} bytes)"


class GatewayClient:
    """Calls one gateway; every failure of the way there is an outcome."""

    def __init__(self, timeout_seconds: float) -> None:
        """Give each call `timeout_seconds` in all, from the look-up of the name to the last byte."""
        self.timeout_seconds = timeout_seconds
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(timeout_seconds),
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=0),
            headers={"User-Agent": "otp-service", "Accept": "application/json", "Accept-Encoding": "identity"},
        )

    async def close(self) -> None:
        """Close what is open."""
        await self._client.aclose()

    async def call(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, content: bytes | None = None
    ) -> GatewayResponse | Outcome:
        """Make one request, once: the reply, or `transient` / `ambiguous` when there is none."""
        written, response, body = False, None, bytearray()

        async def trace(event: str, _info: Mapping[str, Any]) -> None:
            nonlocal written
            written = written or event.endswith(_WRITING)

        extensions = {"trace": trace}
        try:
            request = self._client.build_request(method, url, headers=headers, content=content, extensions=extensions)
            async with asyncio.timeout(self.timeout_seconds):
                response = await self._client.send(request, stream=True)
                try:
                    await _read(response, body)
                finally:
                    await response.aclose()
        except Exception as problem:  # also what the client does not foresee: a reset while it connects, say
            LOG.info("gateway_unreached", kind=type(problem).__name__, written=written)
            if response is None or not _is_whole(body):
                return Outcome.AMBIGUOUS if written else Outcome.TRANSIENT
        return GatewayResponse(response.status_code, response.headers, bytes(body[:MAX_BODY_BYTES]))


async def _read(response: httpx.Response, body: bytearray) -> None:
    """Read into `body`, which grows in place, however small the pieces are."""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            break


def _is_whole(body: bytearray) -> bool:
    """Say whether a body that should go on is a whole JSON object or string by itself."""
    try:
        return isinstance(msgspec.json.decode(body.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n\0")), dict | str)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
