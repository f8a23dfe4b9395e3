"""The port `Provider`, and the capabilities that a provider may have in addition to sending.

A provider speaks one gateway's protocol. It never repeats a send that may have been accepted, never waits for capacity
and never selects another provider: the dispatcher does. An adapter that needs the time takes a `clock`, so that tests
control it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from otp_service.domain.message import (
    AccountLimits,
    Balance,
    DeliveryReport,
    GatewayEvent,
    InboundMessage,
    OutboundMessage,
    Receipt,
    ReceiptRequest,
    SendResult,
)
from otp_service.domain.outcomes import Outcome

__all__ = [
    "AccountLimitsProvider",
    "AccountTokenProvider",
    "BalanceProvider",
    "ChargeQueryProvider",
    "ChargeReportingProvider",
    "ExclusiveProvider",
    "FeedbackProvider",
    "InBandEvents",
    "InBandProvider",
    "InboundProvider",
    "LookupProvider",
    "PollingProvider",
    "Provider",
    "ReceiptProvider",
    "ShortLinkProvider",
    "SubscriptionProvider",
    "UrlCheckProvider",
    "reports_charge",
]


class Provider(Protocol):
    """A configured gateway account."""

    name: str
    timeout_seconds: float
    idempotent_send: bool
    """The gateway deduplicates sends by our message id: a send with an ambiguous outcome may be repeated."""
    reports_delivery: bool
    """Reports or receipts say later whether a message was delivered, so `sent` is not its final status."""

    async def send(self, outbound: OutboundMessage) -> SendResult:
        """Send one message within `timeout_seconds`. Every failure is an outcome; the method does not raise."""

    async def close(self) -> None:
        """Close all connections. The provider is not used afterwards."""


@runtime_checkable
class PollingProvider(Provider, Protocol):
    """A provider whose gateway can be queried for the delivery status of a message."""

    first_report_seconds: float
    """How long after a send the first query is made; 0 disables queries."""

    async def fetch_report(self, provider_message_id: str) -> DeliveryReport:
        """Query the status of the message that the gateway accepted as `provider_message_id`.

        Every failure is a report without a status; the method does not raise.
        """


@runtime_checkable
class InboundProvider(Provider, Protocol):
    """A provider whose gateway has an inbox that can be read."""

    inbound_poll_seconds: float
    """How often the inbox is read; 0: never."""
    inbound_page_size: int
    """How many messages the gateway returns at once; a page with fewer is the last one."""

    async def fetch_inbound(self, since: int | None) -> Sequence[InboundMessage] | Outcome:
        """Read the messages since a time (Unix seconds, the gateway's clock); None: from the start.

        On failure, return the outcome that a send would have; the method does not raise.
        """


@runtime_checkable
class LookupProvider(Provider, Protocol):
    """A provider whose gateway lists the messages that it accepted, to resolve an ambiguous outcome."""

    finds_messages: bool
    """Whether the gateway may be asked; False disables lookups."""

    async def find_message(self, to: str, country: str, after: float) -> str:
        """Find the message to `to` (E.164, of `country`) that the gateway accepted after a time, in Unix seconds.

        Returns:
            The gateway's id of the message; "" if there is none, or if it is not certain which one it is. Every
            failure is ""; the method does not raise.
        """


@runtime_checkable
class ShortLinkProvider(Provider, Protocol):
    """A provider whose gateway makes short, trackable addresses."""

    shortens_links: bool
    """Whether addresses in messages are to be shortened."""

    async def shorten(self, url: str, message_id: str) -> str | None:
        """Return a short address that leads to `url`, for our message `message_id`; None if the gateway gives none.

        Every failure is None; the method does not raise. Neither address may be logged.
        """


@runtime_checkable
class SubscriptionProvider(Provider, Protocol):
    """A provider whose gateway keeps opt-outs of its own, which it can be asked to end."""

    async def resubscribe(self, to: str) -> Outcome:
        """End the opt-out of a number (E.164) at the gateway; return `ACCEPTED`, or the outcome of the failure."""


@runtime_checkable
class ReceiptProvider(Provider, Protocol):
    """A provider whose gateway calls us with delivery receipts."""

    def parse_receipts(self, call: ReceiptRequest) -> Sequence[GatewayEvent]:
        """Authenticate and read a call of the gateway.

        Returns:
            The receipts and other events of the call; none if its body cannot be read.

        Raises:
            ReceiptForged: The call is not authentic.
        """


class InBandEvents(Protocol):
    """Handles what a gateway sends over the provider's connection. Receipts contain only the gateway's id."""

    async def remember(self, provider_message_ids: Sequence[str], message_id: str, expires_in: int) -> None:
        """Remember, for all replicas, that the gateway's ids name our message `message_id`.

        Args:
            provider_message_ids: The ids; a long message may have several.
            message_id: Our id.
            expires_in: How many seconds the code is still valid.

        Raises:
            Refused: The store is unavailable.
        """

    async def record(self, provider_message_ids: Sequence[str], receipt: Receipt) -> bool:
        """Record a receipt for the message that the first known one of the ids names.

        Returns:
            False if none of them is known (yet).

        Raises:
            Refused: The store is unavailable; the gateway should send the receipt again.
        """

    async def handle_inbound(self, message: InboundMessage) -> None:
        """Handle a text that somebody sent to the account.

        Raises:
            Refused: The store is unavailable; the gateway should send the text again.
        """


@runtime_checkable
class InBandProvider(Provider, Protocol):
    """A provider with a connection of its own, over which its gateway sends receipts and inbound messages."""

    def connect(self, events: InBandEvents) -> None:
        """Connect in the background, also before the first message, and pass what arrives to `events`."""


@runtime_checkable
class UrlCheckProvider(ReceiptProvider, Protocol):
    """A provider whose gateway checks that the URL of receipts is ours, and expects a text that it has sent."""

    def answer_url_check(self, call: ReceiptRequest) -> str | None:
        """Return the text of the response; None if the call is not such a check, and is parsed as receipts.

        Raises:
            ReceiptForged: The check is not authentic.
        """


@runtime_checkable
class AccountTokenProvider(ReceiptProvider, Protocol):
    """A provider whose gateway calls one URL for all messages, which may have the account's token as its last part."""

    def is_account_token(self, token: str) -> bool:
        """Return whether this is the account's token, compared in constant time."""


@runtime_checkable
class ExclusiveProvider(Provider, Protocol):
    """A provider whose account may be limited to one connection, which another process may hold."""

    def is_connected_elsewhere(self) -> bool:
        """Whether the gateway has refused the connection because another one is open."""


@runtime_checkable
class BalanceProvider(Provider, Protocol):
    """A provider whose gateway can be queried for the balance of the account."""

    async def fetch_balance(self) -> Balance | Outcome:
        """Query the balance; on failure, return the outcome that a send would have."""


@runtime_checkable
class AccountLimitsProvider(Provider, Protocol):
    """A provider whose gateway enforces limits that we can set for the account."""

    async def set_limits(self, limits: AccountLimits) -> Outcome:
        """Set the limits; return `ACCEPTED`, or the outcome of the failure."""


@runtime_checkable
class ChargeReportingProvider(Provider, Protocol):
    """A provider whose gateway reports what it charged: in results, receipts or reports (`charged`)."""

    reports_charge: bool
    """Whether it does. `charged` of any other provider is ignored, because the store does not keep its charges."""


@runtime_checkable
class ChargeQueryProvider(PollingProvider, Protocol):
    """A provider whose gateway reports what it charged only to queries, after the message was sent."""

    queries_charge: bool
    """Whether it is queried for the charge, also of a message whose receipt has come."""


@runtime_checkable
class FeedbackProvider(Provider, Protocol):
    """A provider whose gateway accepts reports of which messages were verified, to choose better routes."""

    takes_feedback: bool
    """Whether reports are sent."""

    async def send_feedback(self, provider_message_id: str, at: float) -> Outcome:
        """Report that the code of a message was verified, and when, in Unix seconds.

        Returns:
            `ACCEPTED`, or the outcome of the failure; the method does not raise.
        """


def reports_charge(provider: Provider) -> bool:
    """Return whether a provider's gateway reports what it charged."""
    return isinstance(provider, ChargeReportingProvider) and provider.reports_charge
