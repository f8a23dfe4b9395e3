"""Vonage Voice API: a call that speaks the code, its events and its status.

The gateway has no idempotency key: a call whose response is lost is ambiguous. Its events still arrive, because their
URL is part of the request, and names our message.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from urllib.parse import quote

from otp_service.domain.message import DeliveryReport, OutboundMessage, Receipt, ReceiptRequest, SendResult
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.vonage_voice import wire
from otp_service.providers.vonage_voice.application_jwt import request_token
from otp_service.providers.vonage_voice.config import VonageVoiceConfig
from otp_service.providers.vonage_voice.webhook import parse_event

__all__ = ["VonageVoice"]


class VonageVoice:
    """Calls of one application at Vonage."""

    def __init__(
        self, name: str, config: VonageVoiceConfig, client: GatewayClient, clock: Callable[[], float] = time.time
    ) -> None:
        """Call through `client`; `clock` returns Unix seconds, for the tokens of requests."""
        self.name = name
        self.idempotent_send = False
        self.first_report_seconds = config.report_poll_seconds
        self.reports_charge = True
        self.reports_delivery = True
        self.timeout_seconds = client.timeout_seconds
        self._config = config
        self._client = client
        self._clock = clock
        self._url = config.base_url.rstrip("/") + "/v1/calls"

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()

    async def send(self, outbound: OutboundMessage) -> SendResult:
        """Start one call; see `Provider.send`."""
        headers = {"Authorization": self._authorization(), "Content-Type": "application/json"}
        content = wire.call_body(self._config, outbound)
        return wire.parse_created_response(await self._client.call("POST", self._url, headers=headers, content=content))

    def parse_receipts(self, call: ReceiptRequest) -> Sequence[Receipt]:
        """Read an event of a call; see `ReceiptProvider.parse_receipts`."""
        return parse_event(call, self._config)

    async def fetch_report(self, provider_message_id: str) -> DeliveryReport:
        """Query the status of a call; see `PollingProvider.fetch_report`."""
        url = f"{self._url}/{quote(provider_message_id, safe='')}"
        response = await self._client.call("GET", url, headers={"Authorization": self._authorization()})
        return wire.parse_call_response(self._config, response, provider_message_id)

    def _authorization(self) -> str:
        token = request_token(self._config.application_id, self._config.private_key, int(self._clock()))
        return f"Bearer {token}"
