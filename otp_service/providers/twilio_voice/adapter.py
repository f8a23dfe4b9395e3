"""Twilio Programmable Voice: a call that speaks the code, its status callbacks and its status.

As for messages, there is no idempotency key: a response that is lost leaves the outcome ambiguous.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from otp_service.domain.message import Balance, DeliveryReport, OutboundMessage, Receipt, ReceiptRequest, SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.twilio.account_calls import AccountCalls
from otp_service.providers.twilio.wire import parse_balance_response, parse_send_response
from otp_service.providers.twilio_voice import wire
from otp_service.providers.twilio_voice.config import TwilioVoiceConfig
from otp_service.providers.twilio_voice.result_codes import ERROR_OUTCOMES
from otp_service.providers.twilio_voice.webhook import parse_call_callback

__all__ = ["TwilioVoice"]


class TwilioVoice:
    """Calls of one account or subaccount at Twilio."""

    def __init__(self, name: str, config: TwilioVoiceConfig, client: GatewayClient) -> None:
        """Call through `client`."""
        self.name = name
        self.idempotent_send = False
        self.first_report_seconds = config.report_poll_seconds
        self.reports_charge = self.queries_charge = config.report_poll_seconds > 0
        self.reports_delivery = config.reports_delivery
        self.timeout_seconds = client.timeout_seconds
        self._config = config
        self._client = client
        self._account = AccountCalls(config, client)

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()

    async def send(self, outbound: OutboundMessage) -> SendResult:
        """Start one call; see `Provider.send`."""
        response = await self._account.post("Calls", wire.call_body(self._config, outbound))
        return parse_send_response(response, ERROR_OUTCOMES)

    def parse_receipts(self, call: ReceiptRequest) -> Sequence[Receipt]:
        """Read a status callback; see `ReceiptProvider.parse_receipts`."""
        return parse_call_callback(call, self._config)

    async def fetch_report(self, provider_message_id: str) -> DeliveryReport:
        """Query the status of a call; see `PollingProvider.fetch_report`."""
        response = await self._account.get(f"Calls/{quote(provider_message_id, safe='')}")
        return wire.parse_call_response(self._config, response, provider_message_id)

    async def fetch_balance(self) -> Balance | Outcome:
        """Query the balance; see `BalanceProvider.fetch_balance`. A subaccount has none of its own."""
        return parse_balance_response(await self._account.get("Balance"))
