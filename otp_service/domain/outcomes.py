"""What became of handing a message to a gateway: outcomes, not booleans.

Section 0 of the gateways' fact sheet says what each means; this table says what follows from it. HTTP 200 is not
acceptance: a provider reads the gateway's own answer and names one of these.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["DeliveryStatus", "HealthSignal", "Outcome"]


class Outcome(StrEnum):
    """One answer of one gateway."""

    ACCEPTED = "accepted"
    RECIPIENT_INVALID = "recipient_invalid"
    RECIPIENT_BLOCKED = "recipient_blocked"
    DESTINATION_UNSUPPORTED = "destination_unsupported"
    """This gateway does not serve the number's country or network; another one may. It says nothing of its health."""
    CONTENT_REJECTED = "content_rejected"
    CONFIG_ERROR = "config_error"
    FUNDS = "funds"
    THROTTLED = "throttled"
    TRANSIENT = "transient"
    AMBIGUOUS = "ambiguous"

    @property
    def definitely_not_sent(self) -> bool:
        """The gateway has no text of ours: asking another cannot double it."""
        return self not in (Outcome.ACCEPTED, Outcome.AMBIGUOUS)

    @property
    def rejects_recipient(self) -> bool:
        """Every gateway would say the same: no fail-over."""
        return self in (Outcome.RECIPIENT_INVALID, Outcome.RECIPIENT_BLOCKED)

    @property
    def retryable(self) -> bool:
        """The same gateway may take it later, when the others have been asked."""
        return self in (Outcome.TRANSIENT, Outcome.THROTTLED)


class HealthSignal(StrEnum):
    """What an answer says about the provider itself, for its circuit."""

    SUCCESS = "success"
    """It works: also when it has judged the message, the recipient or the destination."""
    FAILURE = "failure"
    """It may be out of order: counted, and the circuit opens by the share of failures."""
    TRIP = "trip"
    """The account cannot send at all (password, rights, money): the circuit opens at once."""
    NONE = "none"
    """It says nothing: a call that was not made, or a gateway that asks for a slower pace."""

    @classmethod
    def of(cls, outcome: Outcome) -> HealthSignal:
        """Read an outcome whose answer says no more than its name."""
        match outcome:
            case Outcome.CONFIG_ERROR | Outcome.FUNDS:
                return cls.TRIP
            case Outcome.TRANSIENT | Outcome.AMBIGUOUS:
                return cls.FAILURE
            case Outcome.THROTTLED:
                return cls.NONE
            case _:
                return cls.SUCCESS


class DeliveryStatus(StrEnum):
    """Where a message stands at one provider."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    UNKNOWN = "unknown"
