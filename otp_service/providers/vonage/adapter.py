"""Vonage (formerly Nexmo): the SMS API (`/sms/json`), signed requests and receipts, and the balance.

The gateway has no idempotency key. A send whose response is lost is ambiguous, and so is one of which only some parts
were accepted. The `client-ref` of a message is our id, so its receipt is recognized also if the response was lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from otp_service.domain.message import Balance, OutboundMessage, Receipt, ReceiptRequest, SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.observability import LOG
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.vonage import wire
from otp_service.providers.vonage.config import VonageConfig
from otp_service.providers.vonage.webhook import parse_webhook

__all__ = ["Vonage"]


class Vonage:
    """One account at Vonage."""

    def __init__(
        self, name: str, config: VonageConfig, client: GatewayClient, clock: Callable[[], float] = time.time
    ) -> None:
        """Send through `client`; `clock` returns Unix seconds, for signed requests."""
        self.name = name
        self.idempotent_send = False
        self.reports_charge = True
        self.reports_delivery = True
        self.takes_feedback = config.conversion_feedback
        self.timeout_seconds = client.timeout_seconds
        self._config = config
        self._client = client
        self._clock = clock
        self._url = config.base_url.rstrip("/")
        self._warned_of_receipt_url = False

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()

    async def send(self, outbound: OutboundMessage) -> SendResult:
        """Send one message; see `Provider.send`. The provider's message id is that of the first part."""
        self._warn_of_receipt_url(outbound.receipt_url)
        parameters = wire.send_parameters(self._config, outbound, int(self._clock()))
        content, media_type = wire.encode_body(self._config, parameters)
        headers = {"Content-Type": media_type}
        if self._config.auth == "basic":
            headers["Authorization"] = wire.basic_authorization(self._config)
        response = await self._client.call("POST", self._url + "/sms/json", headers=headers, content=content)
        return wire.parse_send_response(response)

    def parse_receipts(self, call: ReceiptRequest) -> Sequence[Receipt]:
        """Read a delivery receipt; see `ReceiptProvider.parse_receipts`."""
        return parse_webhook(call, self._config)

    async def send_feedback(self, provider_message_id: str, at: float) -> Outcome:
        """Report that the recipient used the code; see `FeedbackProvider.send_feedback`."""
        url = self._config.conversion_url.rstrip("/") + "/conversions/sms"
        content = wire.conversion_body(self._config, provider_message_id, at)
        response = await self._client.call("POST", url, headers={"Content-Type": wire.FORM}, content=content)
        return wire.parse_conversion_response(response)

    async def fetch_balance(self) -> Balance | Outcome:
        """Query the balance in EUR; see `BalanceProvider.fetch_balance`. The secret is not part of the URL."""
        headers = {"Authorization": wire.basic_authorization(self._config)}
        response = await self._client.call("GET", self._url + "/account/get-balance", headers=headers)
        return wire.parse_balance_response(response)

    def _warn_of_receipt_url(self, receipt_url: str) -> None:
        """Log once that the gateway would refuse the receipt URL, so that messages are sent without it."""
        if self._warned_of_receipt_url or not receipt_url or wire.callback_url(self._config, receipt_url):
            return
        self._warned_of_receipt_url = True
        LOG.warning("receipt_url_too_long", provider=self.name, allowed=wire.MAX_CALLBACK_CHARS)
