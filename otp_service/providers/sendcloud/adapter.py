"""Aurora SendCloud: SMS templates over HTTPS (`/smsapi/send`), and webhooks that report its status.

The gateway has an idempotency key: requests with the same `sendRequestId` are processed once within an hour. The
adapter always sends our message id as that key, so a send with an ambiguous outcome may be repeated.

The vendor's pages disagree. The settings `mode` and `auth` select one of the variants:

- `mode = "template"` is the send reference of Aurora (`templateId`, `phone`, `vars`). `mode = "text"` is the literal
  example of its authentication page (`to`, `message`).
- `auth = "parameters"` is Aurora's authentication. `auth = "signature"` is that of the older sendcloud.net, of which
  Aurora is the overseas branch: the key is not sent, custom arguments are called `tag`, numbers are digits, and
  `msgType` 2 means "international" (the default 0, mainland China, is not supported). Aurora's own reference has no
  `msgType`, and none is sent there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from otp_service.domain.message import GatewayEvent, OutboundMessage, ReceiptForged, ReceiptRequest, SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.sendcloud import wire
from otp_service.providers.sendcloud.config import SendcloudConfig
from otp_service.providers.sendcloud.webhook import parse_webhook

__all__ = ["Sendcloud"]


class Sendcloud:
    """One account at Aurora SendCloud."""

    def __init__(
        self, name: str, config: SendcloudConfig, client: GatewayClient, clock: Callable[[], float] = time.time
    ) -> None:
        """Send through `client`; `clock` returns Unix seconds, for signed requests."""
        self.name = name
        self.idempotent_send = True
        self.reports_delivery = config.reports_delivery
        self.timeout_seconds = client.timeout_seconds
        self._config = config
        self._client = client
        self._clock = clock
        self._timestamp_in_ms = False

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()

    async def send(self, outbound: OutboundMessage) -> SendResult:
        """Send one message; see `Provider.send`.

        Neither a template variable that the gateway would refuse nor, as a template, a text that must be read is sent.
        """
        if outbound.needs_text and self._config.mode == "template":
            return SendResult(Outcome.CONTENT_REJECTED)
        content = wire.send_body(self._config, outbound, self._timestamp())
        if content is None:
            return SendResult(Outcome.CONTENT_REJECTED)
        url = self._config.base_url.rstrip("/") + "/smsapi/send"
        response = await self._client.call("POST", url, headers={"Content-Type": wire.FORM}, content=content)
        if self._config.auth == "signature" and wire.rejects_timestamp(response):
            self._timestamp_in_ms = not self._timestamp_in_ms
        return wire.parse_send_response(response, outbound.to, outbound.country)

    def parse_receipts(self, call: ReceiptRequest) -> Sequence[GatewayEvent]:
        """Read a webhook call; see `ReceiptProvider.parse_receipts`. Without `hook_key` none is accepted."""
        if self._config.hook_key is None:
            raise ReceiptForged
        return parse_webhook(call, self._config.hook_key)

    def _timestamp(self) -> str:
        """Return the time in the unit that the gateway accepts.

        The documents say "UNIX timestamp", which is seconds, and the vendor's SDKs send milliseconds. A timestamp in
        the wrong unit is refused (461) and nothing is sent; the next request uses the other unit.
        """
        now = self._clock()
        return str(int(now * 1000) if self._timestamp_in_ms else int(now))
