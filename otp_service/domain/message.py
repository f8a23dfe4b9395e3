"""Messages and what gateways answer about them: values that cross the line between the delivery and a provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from otp_service.domain.outcomes import DeliveryStatus, HealthSignal, Outcome

__all__ = [
    "AccountLimits",
    "Balance",
    "DeliveryReport",
    "OutboundMessage",
    "Receipt",
    "ReceiptForged",
    "ReceiptRequest",
    "SendResult",
]


@dataclass(frozen=True, slots=True)
class OutboundMessage:
    """One message as a provider gets it. `code` and `text` are the secret: they stand in no `repr`.

    `message_id` is ours and stable over retries, `expires_in` the seconds that the code still lives. `brand` and
    `minutes` are for gateways that have the text as a template of their own; `receipt_url` is where this message's
    receipts go, "" when there is no public address.
    """

    message_id: str
    to: str
    country: str
    national_digits: str
    text: str
    code: str
    expires_in: int
    brand: str = ""
    minutes: int = 0
    receipt_url: str = ""

    def __repr__(self) -> str:
        """Name the message, not what it says."""
        return f"OutboundMessage({self.message_id})"


@dataclass(frozen=True, slots=True)
class SendResult:
    """A gateway's answer: the outcome, its own id for the message, and after how many seconds it would be asked again.

    `signal` says what the answer tells of the provider's health where the outcome alone does not: a refusal that nobody
    has documented is `config_error`, and is counted (FAILURE) where a refused password opens the circuit at once.
    """

    outcome: Outcome
    provider_message_id: str = ""
    retry_after: float | None = None
    signal: HealthSignal | None = None

    @property
    def health(self) -> HealthSignal:
        """What the answer says about the provider itself."""
        return self.signal or HealthSignal.of(self.outcome)

    @classmethod
    def undocumented(cls, retry_after: float | None = None) -> SendResult:
        """Make the answer for a refusal of unknown meaning: surely not sent, another provider is asked, it counts."""
        return cls(Outcome.CONFIG_ERROR, retry_after=retry_after, signal=HealthSignal.FAILURE)


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What a gateway knows of a message by now; `error` says why it is undelivered. No status: it is under way."""

    status: DeliveryStatus | None
    error: Outcome | None = None


@dataclass(frozen=True, slots=True)
class ReceiptRequest:
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
        return f"ReceiptRequest({self.method}, {self.message_id})"


@dataclass(frozen=True, slots=True)
class Receipt:
    """One authentic word about one message: ours by `message_id`. No status: nothing to note (a test call, `sent`).

    `to` is the recipient that the gateway names, in E.164 or digits, "" if it names none: a receipt about another
    number than the message's is ignored. `once` names a token that must not be seen twice, "" if there is none.
    """

    message_id: str
    status: DeliveryStatus | None
    error: Outcome | None = None
    provider_message_id: str = ""
    to: str = ""
    once: str = ""


class ReceiptForged(Exception):
    """The call does not prove that it comes from the gateway: 401, and nothing changes."""


@dataclass(frozen=True, slots=True)
class Balance:
    """What is left on an account; `currency` "" where the gateway does not say."""

    amount: Decimal
    currency: str = ""


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """Caps that the gateway itself holds for the account, a day."""

    daily_message_cap: int | None
    daily_spend_cap: Decimal | None
    alert_threshold: float
    block_on_limit: bool
