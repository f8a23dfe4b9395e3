"""WhatsApp: one-time codes as authentication templates through Meta's Cloud API, and webhooks with their status.

WhatsApp has no idempotency key: a response that is lost leaves the outcome ambiguous. The webhook about that message
still arrives and names our message.

The text is WhatsApp's own: an authentication template has only the code as a parameter. How long WhatsApp tries to
deliver is set at the template (`message_send_ttl_seconds`, by default 10 minutes) and not in a request.
"""

from __future__ import annotations

from collections.abc import Sequence

from otp_service.domain.message import OutboundMessage, Receipt, ReceiptForged, ReceiptRequest, SendResult
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.whatsapp import wire
from otp_service.providers.whatsapp.config import WhatsappConfig
from otp_service.providers.whatsapp.webhook import answer_url_check, parse_webhook

__all__ = ["Whatsapp"]


class Whatsapp:
    """One business phone number on WhatsApp."""

    def __init__(self, name: str, config: WhatsappConfig, client: GatewayClient) -> None:
        """Send through `client`."""
        self.name = name
        self.idempotent_send = False
        self.reports_delivery = config.reports_delivery
        self.timeout_seconds = client.timeout_seconds
        self._config = config
        self._client = client
        self._url = wire.messages_url(config)
        self._headers = {"Authorization": f"Bearer {config.access_token.reveal()}", "Content-Type": wire.JSON}

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()

    async def send(self, outbound: OutboundMessage) -> SendResult:
        """Send one message; see `Provider.send`."""
        content = wire.send_body(self._config, outbound)
        return wire.parse_send_response(
            await self._client.call("POST", self._url, headers=self._headers, content=content)
        )

    def answer_url_check(self, call: ReceiptRequest) -> str | None:
        """Answer Meta's check of the webhook's URL; see `UrlCheckProvider.answer_url_check`."""
        return answer_url_check(call, self._config) if call.method == "GET" else None

    def parse_receipts(self, call: ReceiptRequest) -> Sequence[Receipt]:
        """Read a webhook call; see `ReceiptProvider.parse_receipts`."""
        if call.method == "GET":
            raise ReceiptForged
        return parse_webhook(call, self._config)
