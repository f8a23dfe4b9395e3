"""Result codes of Vonage: `status` of each part in a response, and `status` and `err-code` of a receipt.

Sources: the vendor's guides "Troubleshooting SMS" and "Delivery receipts" (developer.vonage.com, messaging/sms/guides);
rows from elsewhere name their source.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from otp_service.domain.outcomes import DeliveryStatus, Outcome

__all__ = [
    "ACCEPTED",
    "ACCOUNT_ERRORS",
    "INVALID_PARAMETER",
    "NO_ERROR",
    "RECEIPT_ERRORS",
    "RECEIPT_STATUSES",
    "STATUS_OUTCOMES",
]

ACCEPTED: Final = 0
INVALID_PARAMETER: Final = 3

STATUS_OUTCOMES: Final[Mapping[int, Outcome]] = {
    # Troubleshooting SMS, "SMS API error codes": any status but 0 means that the message was not queued for sending
    1: Outcome.THROTTLED,  # faster than the limit of the account
    2: Outcome.CONFIG_ERROR,  # a parameter is missing
    INVALID_PARAMETER: Outcome.CONFIG_ERROR,  # the text may name `to`; see `wire.parse_send_response`
    4: Outcome.CONFIG_ERROR,  # wrong or disabled credentials
    5: Outcome.TRANSIENT,  # internal error
    6: Outcome.RECIPIENT_INVALID,  # message not processed, such as an unrecognized number prefix
    7: Outcome.RECIPIENT_BLOCKED,  # number barred
    8: Outcome.CONFIG_ERROR,  # account suspended
    9: Outcome.FUNDS,  # not enough credit
    10: Outcome.THROTTLED,  # too many simultaneous connections
    11: Outcome.CONFIG_ERROR,  # account not provisioned for this API
    12: Outcome.CONTENT_REJECTED,  # too long
    14: Outcome.CONFIG_ERROR,  # wrong signature
    15: Outcome.CONFIG_ERROR,  # sender not authorized, mostly in North America
    22: Outcome.CONFIG_ERROR,  # network code, which we do not send
    23: Outcome.CONFIG_ERROR,  # callback URL too long, or with illegal characters
    29: Outcome.CONFIG_ERROR,  # account in demo mode: the number is not on its list
    32: Outcome.CONFIG_ERROR,  # signature and secret in one request
    33: Outcome.RECIPIENT_INVALID,  # number deactivated
    # The list of 2016 (docs.nexmo.com), repeated in public clients; the guide of today leaves these out
    13: Outcome.TRANSIENT,  # communication failed: "the message was not submitted"
    16: Outcome.CONFIG_ERROR,  # ttl
    19: Outcome.CONFIG_ERROR,  # facility not enabled for the account
    20: Outcome.CONFIG_ERROR,  # message class, which we do not send
    34: Outcome.RECIPIENT_INVALID,  # number missing or invalid
    # Public clients only
    17: Outcome.CONTENT_REJECTED,  # blocked by the provider
}
"""A status that is not listed is `ambiguous`: what it means for the message is not known."""

ACCOUNT_ERRORS: Final = frozenset({4, 8, 11, 14})
"""Statuses of `config_error` that certainly concern the account, so that its circuit opens at once.

The others concern a single request or destination.
"""

RECEIPT_STATUSES: Final[Mapping[str, DeliveryStatus | None]] = {
    # Delivery receipts, "DLR status messages"
    "accepted": None,
    "buffered": None,
    "delivered": DeliveryStatus.DELIVERED,
    "expired": DeliveryStatus.UNDELIVERED,
    "failed": DeliveryStatus.UNDELIVERED,
    "rejected": DeliveryStatus.UNDELIVERED,
    "unknown": None,  # "no useful information available"
}

NO_ERROR: Final = 0

RECEIPT_ERRORS: Final[Mapping[int, Outcome]] = {
    # Delivery receipts, "DLR error codes"
    1: Outcome.TRANSIENT,  # unknown
    2: Outcome.TRANSIENT,  # subscriber temporarily absent
    3: Outcome.RECIPIENT_INVALID,  # subscriber permanently absent: number no longer active
    4: Outcome.RECIPIENT_BLOCKED,  # barred by the user
    5: Outcome.TRANSIENT,  # portability: another gateway may know the network
    6: Outcome.CONTENT_REJECTED,  # anti-spam filter of the carrier
    7: Outcome.TRANSIENT,  # handset busy
    8: Outcome.TRANSIENT,  # network
    9: Outcome.RECIPIENT_BLOCKED,  # "illegal number": the user has asked not to receive messages
    10: Outcome.CONTENT_REJECTED,  # illegal message, such as a wrong encoding
    11: Outcome.DESTINATION_UNSUPPORTED,  # no suitable route
    12: Outcome.DESTINATION_UNSUPPORTED,  # no route to the number
    13: Outcome.RECIPIENT_BLOCKED,  # age restriction of the subscriber
    14: Outcome.RECIPIENT_BLOCKED,  # SMS not enabled in the subscriber's plan
    15: Outcome.TRANSIENT,  # prepaid credit of the subscriber: a local gateway may be free for them
    99: Outcome.TRANSIENT,  # general error, in the route
    # Public clients that cite the same guide
    16: Outcome.FUNDS,  # quota of the gateway
    50: Outcome.CONFIG_ERROR,  # 50, 51: entity and header are not registered (India)
    51: Outcome.CONFIG_ERROR,
    52: Outcome.CONTENT_REJECTED,  # content not registered
    53: Outcome.RECIPIENT_BLOCKED,  # no consent
    54: Outcome.CONFIG_ERROR,  # other regulation
}
"""A code that is not listed is `transient`: undelivered, and another gateway may be used."""
