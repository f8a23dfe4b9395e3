"""Error codes of the Cloud API: why a request was refused, or why a message failed after it was accepted.

Source: Meta, "Cloud API error codes", developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes; beside each
code is the page's title. One table serves both uses: most errors of a message are reported by a webhook only.

A recipient without WhatsApp is `destination_unsupported` and never `recipient_invalid`: the number may be reached by
another channel. No code says that a number does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from otp_service.domain.outcomes import DeliveryStatus, Outcome

__all__ = [
    "ACCOUNT_ERRORS",
    "API_UNKNOWN",
    "ERROR_OUTCOMES",
    "MESSAGE_STATUSES",
    "PAIR_RATE_LIMIT",
    "PERMISSION_ERRORS",
    "outcome_of",
]

API_UNKNOWN: Final = 1
"""API Unknown: "invalid request or possible server error". The message may have been accepted."""

PAIR_RATE_LIMIT: Final = 131056
"""The limit of messages to one recipient, which says nothing about other messages."""

PERMISSION_ERRORS: Final = range(200, 300)
"""API Permission: permission is not granted or has been removed."""

ERROR_OUTCOMES: Final[Mapping[int, Outcome]] = MappingProxyType(
    {
        # the account: token, permissions, policy, payment
        0: Outcome.CONFIG_ERROR,  # AuthException: token expired or invalidated
        3: Outcome.CONFIG_ERROR,  # API Method: capability or permissions issue
        10: Outcome.CONFIG_ERROR,  # Permission Denied
        33: Outcome.CONFIG_ERROR,  # Parameter value is not valid: the business phone number has been deleted
        190: Outcome.CONFIG_ERROR,  # Access token has expired
        368: Outcome.CONFIG_ERROR,  # Temporarily blocked for policies violations
        131005: Outcome.CONFIG_ERROR,  # Access denied
        131031: Outcome.CONFIG_ERROR,  # Account has been locked
        131037: Outcome.CONFIG_ERROR,  # The number needs display name approval before messages can be sent
        131042: Outcome.FUNDS,  # Business eligibility payment issue
        131045: Outcome.CONFIG_ERROR,  # Incorrect certificate: the number is not registered
        133000: Outcome.CONFIG_ERROR,  # Incomplete deregistration
        133006: Outcome.CONFIG_ERROR,  # Phone number re-verification needed
        133010: Outcome.CONFIG_ERROR,  # Phone number not registered
        # rates
        4: Outcome.THROTTLED,  # API Too Many Calls
        80007: Outcome.THROTTLED,  # Rate limit issues
        130429: Outcome.THROTTLED,  # Rate limit hit: throughput of the Cloud API
        131048: Outcome.THROTTLED,  # Spam rate limit hit: too many messages of the number were blocked or reported
        PAIR_RATE_LIMIT: Outcome.THROTTLED,  # Pair rate limit hit: too many messages to the same recipient
        # the recipient on WhatsApp
        130472: Outcome.DESTINATION_UNSUPPORTED,  # User's number is part of an experiment
        130497: Outcome.DESTINATION_UNSUPPORTED,  # Business account is restricted from messaging users in this country
        131021: Outcome.DESTINATION_UNSUPPORTED,  # Recipient cannot be sender
        131026: Outcome.DESTINATION_UNSUPPORTED,  # Message undeliverable: no WhatsApp, old version, terms not accepted
        131049: Outcome.DESTINATION_UNSUPPORTED,  # Meta chose not to deliver
        131050: Outcome.DESTINATION_UNSUPPORTED,  # User has stopped receiving marketing messages
        # the template and the text
        131047: Outcome.CONTENT_REJECTED,  # Re-engagement message: outside the 24 hours only templates are allowed
        131051: Outcome.CONTENT_REJECTED,  # Unsupported message type
        131052: Outcome.CONTENT_REJECTED,  # Media download error
        131053: Outcome.CONTENT_REJECTED,  # Media upload error
        132000: Outcome.CONTENT_REJECTED,  # Template param count mismatch
        132001: Outcome.CONFIG_ERROR,  # Template does not exist: name, language, or not approved
        132005: Outcome.CONTENT_REJECTED,  # Template hydrated text too long
        132007: Outcome.CONTENT_REJECTED,  # Template format character policy violated
        132012: Outcome.CONTENT_REJECTED,  # Template parameter format mismatch
        132015: Outcome.CONFIG_ERROR,  # Template is paused: low quality
        132016: Outcome.CONFIG_ERROR,  # Template is disabled: paused too many times
        # the request: one of its parameters, which may be the recipient's number
        100: Outcome.CONFIG_ERROR,  # Invalid parameter
        131008: Outcome.CONFIG_ERROR,  # Required parameter is missing
        131009: Outcome.CONFIG_ERROR,  # Parameter value is not valid
        131030: Outcome.CONFIG_ERROR,  # Recipient phone number not in allowed list: a test number sends to few
        135000: Outcome.CONFIG_ERROR,  # Generic user error: unknown error with the request parameters
        # WhatsApp
        2: Outcome.TRANSIENT,  # API Service: downtime or overload
        131000: Outcome.TRANSIENT,  # Something went wrong: the message failed to send
        131016: Outcome.TRANSIENT,  # Service unavailable
        131057: Outcome.TRANSIENT,  # Account in maintenance mode: an upgrade of its throughput, minutes
        133004: Outcome.TRANSIENT,  # Server temporarily unavailable
    }
)

ACCOUNT_ERRORS: Final = frozenset({0, 3, 10, 33, 190, 368, 131005, 131031, 131037, 131045, 133000, 133006, 133010})
"""Those `config_error`s, beside `PERMISSION_ERRORS`, that no message of the account can pass.

All others may concern one template, one language or one recipient.
"""

MESSAGE_STATUSES: Final[Mapping[str, DeliveryStatus | None]] = MappingProxyType(
    {
        "sent": None,
        "delivered": DeliveryStatus.DELIVERED,
        "read": DeliveryStatus.DELIVERED,  # "delivered" is not reported of a message that is read at once
        "failed": DeliveryStatus.UNDELIVERED,
    }
)
"""Statuses of a message; source: Meta, "Status messages webhook reference". `sent` changes nothing."""


def outcome_of(code: int) -> Outcome | None:
    """Return the outcome of an error code; None if it is not listed."""
    return Outcome.CONFIG_ERROR if code in PERMISSION_ERRORS else ERROR_OUTCOMES.get(code)
