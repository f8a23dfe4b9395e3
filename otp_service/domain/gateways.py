"""What a gateway can do, as the delivery sees it: everyone sends; the rest are capabilities that a provider may have.

A provider knows its wire and nothing else. It never retries, never waits for its turn and never chooses: that is the
delivery's. It has its time from `clock`, so that a test can move it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol, runtime_checkable

from otp_service.domain.outcomes import Delivered, DeliveryStatus, Outcome, Sending

__all__ = [
    "AccountLimits",
    "Balance",
    "Balances",
    "LimitsAccount",
    "Provider",
    "Receipt",
    "ReceiptCall",
    "ReceiptForged",
    "Receipts",
    "Report",
    "Reports",
]


class Provider(Protocol):
    """A configured gateway account."""

    name: str
    timeout_seconds: float
    repeatable: bool
    """The gateway knows a message by our id and sends it once: an ambiguous outcome may be asked for again."""
    tells: bool
    """It tells later what became of a message, by reports or receipts: `sent` is not the last word."""

    async def send(self, sending: Sending) -> Delivered:
        """Hand one message over, once, within `timeout_seconds`; whatever goes wrong is an outcome, not an error."""

    async def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a gateway knows of a message by now; `error` says why it is undelivered. No status: it is under way."""

    status: DeliveryStatus | None
    error: Outcome | None = None


@runtime_checkable
class Reports(Provider, Protocol):
    """A gateway that can be asked what became of a message."""

    first_report_seconds: float
    """How long after a message was sent it is asked for first; 0: never."""

    async def report(self, message_id: str) -> Report:
        """Ask for the message that the gateway named `message_id`; whatever goes wrong is a report without a status."""


@dataclass(frozen=True, slots=True)
class ReceiptCall:
    """A call of a gateway to `/v1/receipts/{provider}[/{token}]`.

    `message_id` is ours, out of a token whose MAC was right; None when there was no token, and the call has to prove
    itself by the gateway's own signature. Header names are in lower case. `url` is the public one that the gateway
    called. `now` in Unix seconds.
    """

    method: str
    url: str
    message_id: str | None
    now: float
    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Sequence[tuple[str, str]] = ()
    body: bytes = b""

    def __repr__(self) -> str:
        """Leave the body out: it may hold a number."""
        return f"ReceiptCall({self.method}, {self.message_id})"


@dataclass(frozen=True, slots=True)
class Receipt:
    """One authentic word about one message: ours by `message_id`. No status: nothing to note (a test call, `sent`).

    `to` is the recipient that the gateway names, in E.164 or digits, "" if it names none: a receipt about another
    number than the message's is ignored. `once` names a token that must not be seen twice, "" if there is none.
    """

    message_id: str
    status: DeliveryStatus | None
    error: Outcome | None = None
    gateway_id: str = ""
    to: str = ""
    once: str = ""


class ReceiptForged(Exception):
    """The call does not prove that it comes from the gateway: 401, and nothing changes."""


@runtime_checkable
class Receipts(Provider, Protocol):
    """A gateway that calls us."""

    def receipts(self, call: ReceiptCall) -> Sequence[Receipt]:
        """Read a call; raises `ReceiptForged`. A body that cannot be read is no receipt: an empty list."""


@dataclass(frozen=True, slots=True)
class Balance:
    """What is left on an account; `currency` "" where the gateway does not say."""

    amount: Decimal
    currency: str = ""


@runtime_checkable
class Balances(Provider, Protocol):
    """A gateway that tells the account's balance."""

    async def balance(self) -> Balance | Outcome:
        """Ask; the outcome that a send would have when there is no answer."""


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """Caps that the gateway itself holds for the account, a day."""

    daily_message_cap: int | None
    daily_spend_cap: Decimal | None
    alert_threshold: float
    block_on_limit: bool


@runtime_checkable
class LimitsAccount(Provider, Protocol):
    """A gateway whose account takes caps of its own."""

    async def set_limits(self, limits: AccountLimits) -> Outcome:
        """Set them: `accepted`, or why not."""
