"""Result codes of EIMS gateways: `status` of a response, and the two states of a row of a report.

The gateway's own document lists no code. Each table names its source.
"""

from __future__ import annotations

from typing import Final

from otp_service.domain.outcomes import Outcome

__all__ = [
    "ACCOUNT_ERRORS",
    "ACCOUNT_ERRORS_V2",
    "DELIVERED",
    "DELIVERY_STATUS_OUTCOMES",
    "NO_DELIVERY_REPORT",
    "SEND_STATUS_OUTCOMES",
    "SENT",
    "STATUS_OK",
    "STATUS_OUTCOMES",
    "WAITING_SEND_STATUSES",
]

STATUS_OK: Final = 0

STATUS_OUTCOMES: Final[dict[int, Outcome]] = {
    # 0 to -13: the documents of three vendors and three public clients agree
    -1: Outcome.CONFIG_ERROR,  # authentication error
    -2: Outcome.CONFIG_ERROR,  # IP address not allowed
    -3: Outcome.CONTENT_REJECTED,  # sensitive words
    -4: Outcome.CONTENT_REJECTED,  # content empty
    -5: Outcome.CONTENT_REJECTED,  # content too long
    -6: Outcome.CONTENT_REJECTED,  # content does not match the template
    -7: Outcome.CONTENT_REJECTED,  # too many numbers
    -8: Outcome.RECIPIENT_INVALID,  # number empty
    -9: Outcome.RECIPIENT_INVALID,  # abnormal number
    -10: Outcome.FUNDS,  # insufficient balance
    -11: Outcome.CONFIG_ERROR,  # wrong time format
    -12: Outcome.TRANSIENT,  # the platform failed to commit the batch: documented as not submitted
    -13: Outcome.CONFIG_ERROR,  # user locked
    # Below -13 the variants disagree. These meanings are those of the signed interface (documents of its resellers)
    -14: Outcome.CONFIG_ERROR,  # field empty
    -15: Outcome.THROTTLED,  # too frequent
    -16: Outcome.CONFIG_ERROR,  # timestamp out of window
    -17: Outcome.CONTENT_REJECTED,  # template empty
    -18: Outcome.TRANSIENT,  # port or program abnormal
    -19: Outcome.DESTINATION_UNSUPPORTED,  # no price agreed, which concerns one country or network
    -20: Outcome.CONFIG_ERROR,  # -20 to -24: data exists, validation, parameter, data cap, not found
    -21: Outcome.CONFIG_ERROR,
    -22: Outcome.CONFIG_ERROR,
    -23: Outcome.CONFIG_ERROR,
    -24: Outcome.CONFIG_ERROR,
    -25: Outcome.CONFIG_ERROR,  # out of time range
    -26: Outcome.TRANSIENT,  # fee lookup failed
    -27: Outcome.THROTTLED,  # limit of the period
    -28: Outcome.RECIPIENT_THROTTLED,  # limit of this phone number
    -29: Outcome.CONFIG_ERROR,  # workspace disabled
    -30: Outcome.CONFIG_ERROR,  # API key disabled
    -31: Outcome.CONFIG_ERROR,  # IP address not allowed
    -32: Outcome.CONFIG_ERROR,  # no permission
}

ACCOUNT_ERRORS: Final = frozenset({-1, -2, -13})
"""Statuses of `config_error` that certainly concern the account, so that its circuit opens at once.

The others concern a single request, or the variants disagree about them.
"""

ACCOUNT_ERRORS_V2: Final = ACCOUNT_ERRORS | {-29, -30, -31, -32}
"""`ACCOUNT_ERRORS` of the signed interface (V2), the only one that documents -29 to -32."""

SENT: Final = 0
WAITING_SEND_STATUSES: Final = frozenset({1, 2})
"""Send status "unsent" and "sending" (documents of the vendors). All others except `SENT` are failures."""

SEND_STATUS_OUTCOMES: Final[dict[int, Outcome]] = {
    # Send status from 1001 on (two public clients). A code that is not listed is `transient`: another route may work
    1001: Outcome.DESTINATION_UNSUPPORTED,  # no route
    1002: Outcome.DESTINATION_UNSUPPORTED,  # no channel
    1003: Outcome.FUNDS,  # no balance
    1004: Outcome.TRANSIENT,  # unknown
    1005: Outcome.TRANSIENT,  # send refused
    1006: Outcome.AMBIGUOUS,  # send timeout
    1007: Outcome.AMBIGUOUS,  # server timeout
    1008: Outcome.TRANSIENT,  # network limit of the supplier
    1009: Outcome.TRANSIENT,  # network limit of the consumer
    1010: Outcome.DESTINATION_UNSUPPORTED,  # no supplier
    1011: Outcome.RECIPIENT_BLOCKED,  # number on a blacklist
    1012: Outcome.CONTENT_REJECTED,  # sensitive words
    1013: Outcome.THROTTLED,  # daily limit
    1014: Outcome.TRANSIENT,  # network limit of the destination
    1016: Outcome.CONTENT_REJECTED,  # template
    1017: Outcome.FUNDS,  # the supplier has no balance
    1018: Outcome.TRANSIENT,  # profit limit of the user
    1019: Outcome.TRANSIENT,  # profit limit of the channel
    1020: Outcome.RECIPIENT_INVALID,  # length of the number
    1021: Outcome.TRANSIENT,  # job not found
    1022: Outcome.TRANSIENT,  # limit for China
    1023: Outcome.TRANSIENT,  # network limit of the route
}

NO_DELIVERY_REPORT: Final = 0
DELIVERED: Final = 3
DELIVERY_STATUS_OUTCOMES: Final[dict[int, Outcome]] = {
    2: Outcome.TRANSIENT,  # delivery failed
    4: Outcome.AMBIGUOUS,  # delivery report timed out
}
"""Delivery statuses that mean undelivered (documents of the vendors).

1 is disputed ("not delivered" or "awaiting delivery") and 5 is "unknown": neither is a status.
"""
