"""One attempt: a signed POST on a connection of its own, to a checked address.

Redirects are not followed, and the body of the response is not read. Proxy settings of the environment are ignored, and
neither URL nor body is logged.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from otp_service.crypto.standard_webhooks import sign_webhook
from otp_service.providers.http_client import new_request
from otp_service.providers.http_transport import SingleUseTransport, TlsContext
from otp_service.webhooks.attempt_schedule import EndpointResponse, parse_retry_after
from otp_service.webhooks.endpoint import Endpoint
from otp_service.webhooks.target_addresses import Resolver, SharedLookup, TargetRefused, checked_addresses, resolve

__all__ = ["WebhookSender"]

CONTENT_TYPE: Final = "application/json"


class WebhookSender:
    """Sends events to one endpoint."""

    def __init__(
        self, endpoint: Endpoint, *, resolver: Resolver = resolve, clock: Callable[[], float] = time.time
    ) -> None:
        """Send to `endpoint`; `clock` returns Unix seconds."""
        self._endpoint = endpoint
        self._clock = clock
        self._lookup = SharedLookup(resolver)
        self._transport = SingleUseTransport(
            0,
            tls=partial(TlsContext, endpoint.ca_file),
            address_of=partial(checked_addresses, allow_private=endpoint.allow_private_targets, resolver=self._lookup),
        )

    async def send(self, event_id: str, body: bytes) -> EndpointResponse:
        """Post an event once; an attempt that gets no response says why."""
        timestamp = int(self._clock())
        headers = {
            "Content-Type": CONTENT_TYPE,
            "Connection": "close",
            "webhook-id": event_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign_webhook(self._endpoint.keys, event_id, timestamp, body),
        }
        request = new_request("POST", self._endpoint.url, headers, body)
        try:
            async with asyncio.timeout(self._endpoint.timeout_seconds):
                response = await self._transport.handle_async_request(request)
        except TimeoutError:
            return EndpointResponse(error="timeout")
        except TargetRefused:
            return EndpointResponse(error="target_refused")
        except Exception:
            return EndpointResponse(error="connection_lost" if "written" in request.extensions else "connect_failed")
        await response.aclose()
        retry_after = parse_retry_after(response.headers.get("retry-after"), self._clock())
        return EndpointResponse(response.status_code, retry_after_seconds=retry_after)

    async def close(self) -> None:
        """Close all connections, and end the lookup."""
        self._lookup.close()
        await self._transport.aclose()
