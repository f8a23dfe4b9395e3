"""Outcomes of calls to gateways, what each one implies, and the status of a message at a provider.

HTTP 200 is not acceptance: an adapter reads the gateway's own result and returns one of these outcomes.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["DeliveryStatus", "HealthSignal", "Outcome", "reported_error"]


class Outcome(StrEnum):
    """The outcome of one call to one gateway."""

    ACCEPTED = "accepted"
    """The gateway accepted the message. It is sent through no other provider."""
    RECIPIENT_INVALID = "recipient_invalid"
    """The number is malformed or does not exist. Final for all providers."""
    RECIPIENT_BLOCKED = "recipient_blocked"
    """The recipient opted out or is barred. Final for all providers."""
    DESTINATION_UNSUPPORTED = "destination_unsupported"
    """This gateway does not serve the number's country or network; another one may. Says nothing about its health."""
    CONTENT_REJECTED = "content_rejected"
    """The gateway rejects the text or the template. Another provider is called."""
    CONFIG_ERROR = "config_error"
    """The account cannot send: wrong credentials, address not allowed, sender or template not approved."""
    FUNDS = "funds"
    """The account's balance or quota is used up."""
    THROTTLED = "throttled"
    """The gateway asks for a lower rate; it may accept the message later."""
    RECIPIENT_THROTTLED = "recipient_throttled"
    """The gateway's limit of messages to this number, against abuse. Final for all providers: failover would evade it.

    Callers see it as `throttled`; see `reported_error`.
    """
    TRANSIENT = "transient"
    """The request was not processed: no connection, or a documented temporary failure. May be retried later."""
    AMBIGUOUS = "ambiguous"
    """The gateway may have accepted the message: a timeout or a broken connection after the request was written."""

    @property
    def definitely_not_sent(self) -> bool:
        """Whether the gateway does not have the message, so that calling another one cannot duplicate it."""
        return self not in (Outcome.ACCEPTED, Outcome.AMBIGUOUS)

    @property
    def rejects_recipient(self) -> bool:
        """Whether the refusal concerns the recipient at every gateway, so that there is no failover."""
        return self in (Outcome.RECIPIENT_INVALID, Outcome.RECIPIENT_BLOCKED, Outcome.RECIPIENT_THROTTLED)

    @property
    def retryable(self) -> bool:
        """Whether the same gateway may accept the message later, after the other providers were called."""
        return self in (Outcome.TRANSIENT, Outcome.THROTTLED)


def reported_error(error: str) -> str:
    """Return the name of an error in responses and events, which do not tell the two kinds of `throttled` apart."""
    return Outcome.THROTTLED.value if error == Outcome.RECIPIENT_THROTTLED else error


class HealthSignal(StrEnum):
    """What a result says about the provider's health, for its circuit."""

    SUCCESS = "success"
    """The provider works, also if it rejected the message, the recipient or the destination."""
    FAILURE = "failure"
    """The provider may be out of order; the circuit opens when the share of failures is too high."""
    TRIP = "trip"
    """The account cannot send at all (password, permissions, funds); the circuit opens at once."""
    NONE = "none"
    """No information: the call was not made, or the gateway asked for a lower rate."""

    @classmethod
    def of(cls, outcome: Outcome) -> HealthSignal:
        """Return the signal of an outcome, for results that do not carry their own."""
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
    """The status of a message at one provider."""

    QUEUED = "queued"
    """The provider was not called, or will be called again."""
    SENDING = "sending"
    """A call is in progress."""
    SENT = "sent"
    """The gateway accepted the message."""
    DELIVERED = "delivered"
    """The gateway reported that the message was delivered."""
    UNDELIVERED = "undelivered"
    """The gateway accepted the message and reported later that it was not delivered."""
    FAILED = "failed"
    """The gateway rejected the message, or the provider was not called before the code expired."""
    UNKNOWN = "unknown"
    """The gateway may have accepted the message (`Outcome.AMBIGUOUS`)."""
