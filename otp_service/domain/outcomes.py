"""What became of handing a message to a gateway: outcomes, not booleans.

Section 0 of the gateways' fact sheet says what each means; this table says what follows from it. HTTP 200 is not
acceptance: a provider reads the gateway's own answer and names one of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Delivered", "DeliveryStatus", "Outcome", "Sending"]


class Outcome(StrEnum):
    """One answer of one gateway."""

    ACCEPTED = "accepted"
    RECIPIENT_INVALID = "recipient_invalid"
    RECIPIENT_BLOCKED = "recipient_blocked"
    CONTENT_REJECTED = "content_rejected"
    CONFIG_ERROR = "config_error"
    FUNDS = "funds"
    THROTTLED = "throttled"
    TRANSIENT = "transient"
    AMBIGUOUS = "ambiguous"

    @property
    def surely_unsent(self) -> bool:
        """The gateway has no text of ours: asking another cannot double it."""
        return self not in (Outcome.ACCEPTED, Outcome.AMBIGUOUS)

    @property
    def about_recipient(self) -> bool:
        """Every gateway would say the same: no fail-over."""
        return self in (Outcome.RECIPIENT_INVALID, Outcome.RECIPIENT_BLOCKED)

    @property
    def retryable(self) -> bool:
        """The same gateway may take it later, when the others have been asked."""
        return self in (Outcome.TRANSIENT, Outcome.THROTTLED)


class DeliveryStatus(StrEnum):
    """Where a message stands at one provider."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Sending:
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
        return f"Sending({self.message_id})"


@dataclass(frozen=True, slots=True)
class Delivered:
    """A gateway's answer: the outcome, its own id for the message, and after how long it would be asked again."""

    outcome: Outcome
    message_id: str = ""
    retry_after: float | None = None
