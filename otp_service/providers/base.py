"""The port of a provider, and the capabilities that a provider may have beside sending.

A provider knows its wire and nothing else. It never retries, never waits for its turn and never chooses: that is the
delivery's. It has its time from `clock`, so that a test can move it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from otp_service.domain.message import (
    AccountLimits,
    Balance,
    DeliveryReport,
    OutboundMessage,
    Receipt,
    ReceiptRequest,
    SendResult,
)
from otp_service.domain.outcomes import Outcome

__all__ = ["AccountLimitsProvider", "BalanceProvider", "PollingProvider", "Provider", "ReceiptProvider"]


class Provider(Protocol):
    """A configured gateway account."""

    name: str
    timeout_seconds: float
    idempotent_send: bool
    """The gateway knows a message by our id and sends it once: an ambiguous outcome may be asked for again."""
    reports_delivery: bool
    """It tells later what became of a message, by reports or receipts: `sent` is not the last word."""

    async def send(self, outbound: OutboundMessage) -> SendResult:
        """Hand one message over, once, within `timeout_seconds`; whatever goes wrong is an outcome, not an error."""

    async def close(self) -> None:
        """Let go of connections."""


@runtime_checkable
class PollingProvider(Provider, Protocol):
    """A gateway that can be asked what became of a message."""

    first_report_seconds: float
    """How long after a message was sent it is asked for first; 0: never."""

    async def fetch_report(self, provider_message_id: str) -> DeliveryReport:
        """Ask what became of a message that the gateway accepted as `provider_message_id`.

        Whatever goes wrong is a report without a status.
        """


@runtime_checkable
class ReceiptProvider(Provider, Protocol):
    """A gateway that calls us."""

    def parse_receipts(self, call: ReceiptRequest) -> Sequence[Receipt]:
        """Read a call; raises `ReceiptForged`. A body that cannot be read is no receipt: an empty list."""


@runtime_checkable
class BalanceProvider(Provider, Protocol):
    """A gateway that tells the account's balance."""

    async def fetch_balance(self) -> Balance | Outcome:
        """Ask; the outcome that a send would have when there is no answer."""


@runtime_checkable
class AccountLimitsProvider(Provider, Protocol):
    """A gateway whose account takes caps of its own."""

    async def set_limits(self, limits: AccountLimits) -> Outcome:
        """Set them: `accepted`, or why not."""
