"""Result codes of Twilio: error codes of a refused request or an undelivered message, and message statuses.

Source: Twilio's Error and Warning Dictionary, https://www.twilio.com/docs/api/errors/<code>; beside each code is the
dictionary's title. One table serves both uses: with a messaging service, an error that a request would have had is
reported by a receipt instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from otp_service.domain.outcomes import DeliveryStatus, Outcome

__all__ = ["ACCOUNT_ERRORS", "ACCOUNT_OUTCOMES", "ERROR_OUTCOMES", "FAILED_STATUSES", "MESSAGE_STATUSES"]

ACCOUNT_OUTCOMES: Final[Mapping[int, Outcome]] = MappingProxyType(
    {
        10001: Outcome.FUNDS,  # Account is not active: the first cause named is a balance of 0
        20003: Outcome.CONFIG_ERROR,  # Permission denied: wrong or deleted credentials, or of another region
        20005: Outcome.FUNDS,  # Account not active, "potentially because you ran out of funds"
        20403: Outcome.CONFIG_ERROR,  # Forbidden: account suspended or closed
        20429: Outcome.THROTTLED,  # Too many requests: "never processed and always safe to retry"
        30002: Outcome.CONFIG_ERROR,  # Account suspended, after the message was queued
        63038: Outcome.THROTTLED,  # Account exceeded the daily messages limit
        70051: Outcome.CONFIG_ERROR,  # Authorization failed: account or key unknown, suspended, without permission
    }
)
"""Codes that concern the account, for messages and calls alike."""

ERROR_OUTCOMES: Final[Mapping[int, Outcome]] = MappingProxyType(
    {
        **ACCOUNT_OUTCOMES,
        # the recipient
        21211: Outcome.RECIPIENT_INVALID,  # Invalid 'To' phone number
        21214: Outcome.RECIPIENT_INVALID,  # 'To' phone number cannot be reached
        21217: Outcome.RECIPIENT_INVALID,  # Phone number does not appear to be valid
        21265: Outcome.RECIPIENT_INVALID,  # 'To' number cannot be a short code
        21610: Outcome.RECIPIENT_BLOCKED,  # Attempt to send to unsubscribed recipient (STOP)
        21614: Outcome.RECIPIENT_INVALID,  # 'To' number is not a valid mobile number
        21635: Outcome.RECIPIENT_INVALID,  # 'To' number cannot be a landline
        30003: Outcome.TRANSIENT,  # Unreachable destination handset: off, no service, roaming
        30004: Outcome.RECIPIENT_BLOCKED,  # Message blocked
        30005: Outcome.RECIPIENT_INVALID,  # Unknown destination handset
        30006: Outcome.RECIPIENT_INVALID,  # Landline or unreachable carrier
        # SMS Pumping Protection (30450, 30453, 30454) and Fraud Guard (60410) block numbers or prefixes for fraud.
        # `destination_unsupported` would fail over to a gateway without that protection, and evade it
        30450: Outcome.RECIPIENT_BLOCKED,  # Message delivery blocked
        30453: Outcome.RECIPIENT_BLOCKED,  # Message couldn't be delivered
        30454: Outcome.RECIPIENT_BLOCKED,  # Blocked by the protection of the destination
        60410: Outcome.RECIPIENT_BLOCKED,  # Verification delivery attempt blocked
        # the destination
        21408: Outcome.DESTINATION_UNSUPPORTED,  # Permissions disabled for the destination region
        21612: Outcome.DESTINATION_UNSUPPORTED,  # 'To' and 'From' cannot be combined: no route, or the sender's kind
        # the text
        21602: Outcome.CONTENT_REJECTED,  # Message body is required
        21617: Outcome.CONTENT_REJECTED,  # Message body exceeds 1600 characters
        30007: Outcome.CONTENT_REJECTED,  # Message filtered, by Twilio or a carrier
        # the sender and the parameters
        21212: Outcome.CONFIG_ERROR,  # Invalid 'From' number
        21603: Outcome.CONFIG_ERROR,  # 'From' number is required
        21606: Outcome.CONFIG_ERROR,  # 'From' is not a message-capable number of this account for this destination
        21608: Outcome.CONFIG_ERROR,  # 'To' is not verified: trial account, or no approved compliance profile
        21609: Outcome.CONFIG_ERROR,  # Invalid 'StatusCallback': not reachable, or a host name with an underscore
        21611: Outcome.THROTTLED,  # 'From' number has exceeded the maximum number of queued messages
        21624: Outcome.CONFIG_ERROR,  # Invalid validity period value
        21659: Outcome.CONFIG_ERROR,  # 'From' is not a Twilio phone number
        21660: Outcome.CONFIG_ERROR,  # Mismatch between the 'From' number and the account
        21701: Outcome.CONFIG_ERROR,  # The messaging service does not exist
        21703: Outcome.CONFIG_ERROR,  # The messaging service contains no phone numbers
        21705: Outcome.CONFIG_ERROR,  # The messaging service is invalid
        30001: Outcome.THROTTLED,  # Queue overflow
        30010: Outcome.CONFIG_ERROR,  # Message price exceeds max price, which a messaging service may set
        30018: Outcome.CONFIG_ERROR,  # Destination carrier requires sender ID pre-registration
        30022: Outcome.THROTTLED,  # US A2P 10DLC: rate limits exceeded
        30023: Outcome.THROTTLED,  # US A2P 10DLC: daily message cap reached
        30024: Outcome.CONFIG_ERROR,  # Numeric sender ID not provisioned on carrier
        30032: Outcome.CONFIG_ERROR,  # Toll-free number has not been verified
        30034: Outcome.CONFIG_ERROR,  # US A2P 10DLC: message from an unregistered number
        30042: Outcome.CONFIG_ERROR,  # Sender ID is blocked as generic, or has special characters
        # the network
        30008: Outcome.TRANSIENT,  # Unknown error
        30017: Outcome.TRANSIENT,  # Carrier network congestion
        30036: Outcome.TRANSIENT,  # Validity period expired: it stayed too long in Twilio's queue, and was not sent
    }
)
"""An undelivered message with any other code, or without one, is `transient`: another gateway may be used."""

ACCOUNT_ERRORS: Final = frozenset({20003, 20403, 30002, 70051})
"""Codes of `config_error` that certainly concern the account, so that its circuit opens at once.

The others concern one sender, one destination or one request.
"""

MESSAGE_STATUSES: Final[Mapping[str, DeliveryStatus | None]] = MappingProxyType(
    {
        # "Message Status values" of the Messages resource; None: in transit
        "accepted": None,
        "scheduled": None,
        "queued": None,
        "sending": None,
        "sent": None,
        "delivered": DeliveryStatus.DELIVERED,
        "read": DeliveryStatus.DELIVERED,
        "undelivered": DeliveryStatus.UNDELIVERED,
        "failed": DeliveryStatus.UNDELIVERED,
        "canceled": DeliveryStatus.UNDELIVERED,
    }
)
"""Other statuses are those of incoming messages, and of messages with several recipients."""

FAILED_STATUSES: Final = frozenset({"failed", "canceled"})
"""The statuses of a message that was never sent; `undelivered` was sent to a carrier."""
