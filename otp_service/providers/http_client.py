"""The HTTP client for gateways. Only this module imports httpx; one set of rules holds for every gateway.

- A request is sent once. The client never retries and never follows a redirect: repeating a send would send a second
  SMS.
- Each request has its own connection. If a kept-alive connection were reused and the gateway closed it meanwhile, the
  outcome would be ambiguous for no reason.
- A failure before the first byte of the request is written is `transient`: the gateway cannot have acted on it. A later
  failure is `ambiguous`, unless a complete JSON body has arrived: some gateways declare a Content-Length that is too
  large, and then close the connection or keep it open.
- TLS certificates are verified, at most 64 KiB of a body are read, and proxy settings of the environment are ignored.
- httpx's own logging is off (see `observability.py`), because URLs may contain passwords.
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
_WRITE_EVENTS: Final = (".send_request_headers.started", ".send_connection_init.started")


@dataclass(frozen=True, slots=True)
class GatewayResponse:
    """An HTTP response of a gateway. Never log the body: it may echo the message with its code."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        """Show the status and the size, without the body."""
        return f"GatewayResponse({self.status}, {len(self.body)} bytes)"


class GatewayClient:
    """Calls one gateway. A call that gets no response returns an outcome instead of raising."""

    def __init__(self, timeout_seconds: float) -> None:
        """Limit each call to `timeout_seconds` in total, from the DNS lookup to the last byte of the body."""
        self.timeout_seconds = timeout_seconds
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(timeout_seconds),
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=0),
            headers={"User-Agent": "otp-service", "Accept": "application/json", "Accept-Encoding": "identity"},
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def call(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, content: bytes | None = None
    ) -> GatewayResponse | Outcome:
        """Send one request, once.

        Returns:
            The response; without one, `TRANSIENT` if the gateway cannot have acted, or else `AMBIGUOUS`.
        """
        written, response, body = False, None, bytearray()

        async def trace(event: str, _info: Mapping[str, Any]) -> None:
            nonlocal written
            written = written or event.endswith(_WRITE_EVENTS)

        extensions = {"trace": trace}
        try:
            request = self._client.build_request(method, url, headers=headers, content=content, extensions=extensions)
            async with asyncio.timeout(self.timeout_seconds):
                response = await self._client.send(request, stream=True)
                try:
                    await _read_body(response, body)
                finally:
                    await response.aclose()
        except Exception as error:  # httpx does not wrap every error: a reset during connect, for example
            LOG.info("gateway_call_failed", kind=type(error).__name__, request_written=written)
            if response is None or not _is_complete_json(body):
                return Outcome.AMBIGUOUS if written else Outcome.TRANSIENT
        return GatewayResponse(response.status_code, response.headers, bytes(body[:MAX_BODY_BYTES]))


async def _read_body(response: httpx.Response, body: bytearray) -> None:
    """Append to `body`, so that the caller keeps what was read when this fails; stop after 64 KiB."""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            break


def _is_complete_json(body: bytearray) -> bool:
    """Whether a body that was cut off is already a complete JSON object or string."""
    try:
        return isinstance(msgspec.json.decode(body.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n\0")), dict | str)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
