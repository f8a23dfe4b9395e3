"""What became of a message at an EIMS gateway: rows of `getreport`, whose length says which platform wrote them.

Four fields are the gateway's own document: id, number, time, send status. Five add a delivery status, which may be
null. Seven have the send status's label and a delivery time between them. Numbers come as numbers or as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from otp_service.domain.message import DeliveryReport
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.providers.lenient_json import integer

__all__ = ["DELIVERY_OUTCOMES", "SEND_OUTCOMES", "read_report"]

SENT, UNSENT, BEING_SENT = 0, 1, 2
"""Send status (vendors' documents); anything else is a failure."""

NO_DELIVERY_REPORT, DELIVERED = 0, 3

SEND_OUTCOMES: Final[dict[int, Outcome]] = {
    # send status from 1001 on (two clients in the field); what is not here is `transient`: another route may have it
    1001: Outcome.DESTINATION_UNSUPPORTED,  # no route
    1002: Outcome.DESTINATION_UNSUPPORTED,  # no channel
    1003: Outcome.FUNDS,  # no balance
    1004: Outcome.TRANSIENT,  # unknown
    1005: Outcome.TRANSIENT,  # refused
    1006: Outcome.AMBIGUOUS,  # time-out of the send
    1007: Outcome.AMBIGUOUS,  # time-out of the server
    1008: Outcome.TRANSIENT,  # supplier's limit of the network
    1009: Outcome.TRANSIENT,  # consumer's limit of the network
    1010: Outcome.DESTINATION_UNSUPPORTED,  # no supplier
    1011: Outcome.RECIPIENT_BLOCKED,  # black number
    1012: Outcome.CONTENT_REJECTED,  # sensitive words
    1013: Outcome.THROTTLED,  # daily limit
    1014: Outcome.TRANSIENT,  # destination's limit of the network
    1016: Outcome.CONTENT_REJECTED,  # template
    1017: Outcome.FUNDS,  # the supplier has no balance
    1018: Outcome.TRANSIENT,  # user's limit of profit
    1019: Outcome.TRANSIENT,  # channel's limit of profit
    1020: Outcome.RECIPIENT_INVALID,  # length of the number
    1021: Outcome.TRANSIENT,  # job not found
    1022: Outcome.TRANSIENT,  # limit of China
    1023: Outcome.TRANSIENT,  # route's limit of the network
}

DELIVERY_OUTCOMES: Final[dict[int, Outcome]] = {
    2: Outcome.TRANSIENT,  # delivery failed
    4: Outcome.AMBIGUOUS,  # timed out: nobody heard of it any more
}
"""Delivery status of what is undelivered. 1 is disputed ("not delivered", "awaiting"), 5 is "unknown": no status."""


def read_report(answer: Mapping[str, Any], message_id: str, *, zero_is_delivered: bool) -> DeliveryReport:
    """Find the row of `message_id` in an answer with status 0, and say what it tells.

    A message without a row (`nofound`) has no status, however late: in its first 30 seconds the gateway may not have
    indexed it, and later that it cannot find what it accepted is no proof that nobody got it.
    """
    rows = answer.get("array")
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, list) and len(row) >= 4 and str(row[0]) == message_id:
            return _of_row(row, zero_is_delivered=zero_is_delivered)
    return DeliveryReport(None)


def _of_row(row: Sequence[Any], *, zero_is_delivered: bool) -> DeliveryReport:
    sent = integer(row[3])
    if sent in (None, UNSENT, BEING_SENT):
        return DeliveryReport(None)
    if sent != SENT:
        return DeliveryReport(DeliveryStatus.UNDELIVERED, SEND_OUTCOMES.get(sent, Outcome.TRANSIENT))
    has_delivery = len(row) >= 5
    delivery = integer(row[6] if len(row) >= 7 else row[4]) if has_delivery else NO_DELIVERY_REPORT
    if delivery == NO_DELIVERY_REPORT:
        return DeliveryReport(DeliveryStatus.DELIVERED if zero_is_delivered else None)
    if delivery == DELIVERED:
        return DeliveryReport(DeliveryStatus.DELIVERED)
    if delivery in DELIVERY_OUTCOMES:
        return DeliveryReport(DeliveryStatus.UNDELIVERED, DELIVERY_OUTCOMES[delivery])
    return DeliveryReport(None)
