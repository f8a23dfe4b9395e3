"""Twilio Programmable Messaging: SMS through the Messages API, status callbacks, message statuses and the balance.

Twilio has no idempotency key: a response that is lost leaves the outcome ambiguous. The status callback of that message
still arrives, because its URL is part of the request, and names our message.

Each message is given the rest of its code's lifetime as `ValidityPeriod`, so that Twilio does not send it later. That
limits the time in Twilio's queue only; a carrier may still deliver late.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from otp_service.domain.message import (
    Balance,
    DeliveryReport,
    OutboundMessage,
    Receipt,
    ReceiptRequest,
    SendResult,
)
from otp_service.domain.outcomes import Outcome
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.twilio import wire
from otp_service.providers.twilio.account_calls import AccountCalls
from otp_service.providers.twilio.config import TwilioConfig
from otp_service.providers.twilio.webhook import parse_status_callback

__all__ = ["Twilio"]


class Twilio:
    """One account or subaccount at Twilio, in one region."""

    def __init__(self, name: str, config: TwilioConfig, client: GatewayClient) -> None:
        """Send through `client`."""
        self.name = name
        self.idempotent_send = False
        self.first_report_seconds = config.report_poll_seconds
        self.reports_charge = self.queries_charge = config.report_poll_seconds > 0
        self.reports_delivery = config.reports_delivery
        self.takes_feedback = config.conversion_feedback
        self.timeout_seconds = client.timeout_seconds
        self._config = config
        self._client = client
        self._account = AccountCalls(config, client)

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()

    async def send(self, outbound: OutboundMessage) -> SendResult:
        """Send one message; see `Provider.send`."""
        response = await self._account.post("Messages", wire.send_body(self._config, outbound))
        return wire.parse_send_response(response)

    def parse_receipts(self, call: ReceiptRequest) -> Sequence[Receipt]:
        """Read a status callback; see `ReceiptProvider.parse_receipts`."""
        return parse_status_callback(call, self._config)

    async def fetch_report(self, provider_message_id: str) -> DeliveryReport:
        """Query the status of a message; see `PollingProvider.fetch_report`."""
        response = await self._account.get(f"Messages/{quote(provider_message_id, safe='')}")
        return wire.parse_message_response(response, provider_message_id)

    async def send_feedback(self, provider_message_id: str, at: float) -> Outcome:  # noqa: ARG002 - of the port
        """Confirm that the recipient used the code; see `FeedbackProvider.send_feedback`. The time is Twilio's own."""
        resource = f"Messages/{quote(provider_message_id, safe='')}/Feedback"
        return wire.parse_feedback_response(await self._account.post(resource, wire.CONFIRMED))

    async def fetch_balance(self) -> Balance | Outcome:
        """Query the balance; see `BalanceProvider.fetch_balance`. A subaccount has none of its own."""
        return wire.parse_balance_response(await self._account.get("Balance"))
