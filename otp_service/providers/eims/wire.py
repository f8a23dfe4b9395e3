"""The EIMS protocol: signatures, URLs, and how responses to a send, a report and a balance query are read.

Documented by the gateway: the names of the parameters, and a response in JSON with HTTP 200, success or not. A number
that the gateway refuses is missing from `array`, without a reason.

The length of a report's row shows which platform wrote it. Four fields are the gateway's own document: id, number,
time, send status. Five fields add a delivery status, which may be null. Seven fields have a label of the send status
and a delivery time in between. Integers arrive as JSON numbers or as strings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote_from_bytes

from otp_service.domain.message import Balance, DeliveryReport, OutboundMessage, SendResult
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.eims import result_codes
from otp_service.providers.eims.config import EimsConfig
from otp_service.providers.eims.result_codes import ACCOUNT_ERRORS
from otp_service.providers.http_client import GatewayResponse
from otp_service.providers.lenient_json import id_text, json_object, parse_amount, parse_integer
from otp_service.providers.responses import MAX_ID_CHARS, parse_echoed_number, undocumented_response

__all__ = [
    "GMT_PLUS_8",
    "JSON",
    "TIME_FORMAT",
    "credentials",
    "message_parameters",
    "parse_balance_response",
    "parse_report",
    "parse_report_response",
    "parse_send_response",
    "report_of_row",
    "request_url",
    "sign",
    "successful_document",
]

JSON: Final = "application/json;charset=utf-8"

GMT_PLUS_8: Final = timezone(timedelta(hours=8))
"""The time zone of signatures, wherever the gateway is located. It tolerates a difference of 30 minutes."""

TIME_FORMAT: Final = "%Y%m%d%H%M%S"

_MAX_ROWS: Final = 16
"""Rows of a send response that are examined: one message was sent."""


def message_parameters(config: EimsConfig, outbound: OutboundMessage) -> dict[str, str]:
    """Return the parameters of a message."""
    message = {"numbers": outbound.to.removeprefix("+"), "content": outbound.text}
    if config.sender_id:
        message = {"sender" if config.variant == "v1" else "senderid": config.sender_id} | message
    return message


def credentials(config: EimsConfig, now: float) -> dict[str, str]:
    """Return the parameters that authenticate a call at `now`, in Unix seconds."""
    if config.variant == "v1":
        return {"account": config.account, "password": config.password.reveal()}
    timestamp = datetime.fromtimestamp(now, GMT_PLUS_8).strftime(TIME_FORMAT)
    return {
        "account": config.account,
        "sign": sign(config.account, config.password, timestamp),
        "datetime": timestamp,
    }


def sign(account: str, password: Secret, timestamp: str) -> str:
    """Sign a call of variant V2: the MD5 of account, password and timestamp in lower-case hex."""
    return hashlib.md5(f"{account}{password.reveal()}{timestamp}".encode(), usedforsecurity=False).hexdigest()


def request_url(config: EimsConfig, operation: str, query: Mapping[str, str]) -> str:
    """Build a URL. Values are percent-encoded except unreserved characters; a space is `%20`, as in the document."""
    path = operation if config.variant == "v1" else f"{operation}V2"
    pairs = "&".join([f"{name}={quote_from_bytes(value.encode(), safe='')}" for name, value in query.items()])
    return f"{config.base_url.rstrip('/')}/{path}" + (f"?{pairs}" if pairs else "")


def parse_send_response(
    response: GatewayResponse | Outcome, to: str, country: str = "", account_errors: Collection[int] = ACCOUNT_ERRORS
) -> SendResult:
    """Classify the response to a message for one number.

    Args:
        response: The response, or the outcome of a call without one.
        to: The number as it was sent, in digits.
        country: The country of `to`.
        account_errors: The statuses that concern the account in the variant in use.

    Returns:
        `ACCEPTED` if a row names our number, or if there is a single row, counted as a success, whose number cannot be
        read. Without such a row, the message was refused if the gateway counts a failure and no success; anything else
        is ambiguous.
    """
    document = successful_document(response, account_errors)
    if isinstance(document, SendResult):
        return document
    array = document.get("array")
    rows = [row for row in array if isinstance(row, list) and len(row) >= 2] if isinstance(array, list) else []
    accepted, failed = parse_integer(document.get("success")), parse_integer(document.get("fail"))
    is_single_success = len(rows) == 1 and accepted == 1 and not failed
    for row in rows[:_MAX_ROWS]:
        number = parse_echoed_number(row[0], f"+{to}", country)
        if number == f"+{to}" or (number is None and is_single_success):
            return SendResult(Outcome.ACCEPTED, id_text(row[1])[:MAX_ID_CHARS])
    return SendResult(Outcome.TRANSIENT if failed and not accepted else Outcome.AMBIGUOUS)


def parse_report_response(
    response: GatewayResponse | Outcome, provider_message_id: str, *, zero_is_delivered: bool
) -> DeliveryReport:
    """Read the response to a report query; a response that cannot be used is a report without a status."""
    document = successful_document(response)
    if isinstance(document, SendResult):
        return DeliveryReport(None)
    return parse_report(document, provider_message_id, zero_is_delivered=zero_is_delivered)


def parse_report(document: Mapping[str, Any], provider_message_id: str, *, zero_is_delivered: bool) -> DeliveryReport:
    """Find the row of a message and return its status.

    A message without a row (`nofound`) has no status at any time: the gateway indexes a new message only after up to
    30 seconds, and a later failure to find it does not prove that it was not delivered.

    Args:
        document: A report with status 0.
        provider_message_id: The id that the send response gave.
        zero_is_delivered: Take "sent" as "delivered", for a gateway that never reports deliveries.
    """
    rows = document.get("array")
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, list) and len(row) >= 4 and id_text(row[0]) == provider_message_id:
            return report_of_row(row, zero_is_delivered=zero_is_delivered)
    return DeliveryReport(None)


def parse_balance_response(response: GatewayResponse | Outcome) -> Balance | Outcome:
    """Add the balance and the bonus (`gift`), both of which pay for messages. The gateway names no currency."""
    document = successful_document(response)
    if isinstance(document, SendResult):
        return document.outcome
    amounts = [parse_amount(document.get(name, "0")) for name in ("balance", "gift")]
    if "balance" not in document or None in amounts:
        return Outcome.AMBIGUOUS
    return Balance(sum((amount for amount in amounts if amount is not None), Decimal(0)))


def successful_document(
    response: GatewayResponse | Outcome, account_errors: Collection[int] = ACCOUNT_ERRORS
) -> dict[str, Any] | SendResult:
    """Return the JSON of a response with status 0, or the result of any other response."""
    if isinstance(response, Outcome):
        return SendResult(response)
    document = json_object(response.body)
    status = parse_integer(document.get("status"))
    if status is None or status > result_codes.STATUS_OK:  # error pages of web frameworks have a positive `status`
        return undocumented_response(response)
    if status == result_codes.STATUS_OK:
        return document
    outcome = result_codes.STATUS_OUTCOMES.get(status, Outcome.CONFIG_ERROR)
    if outcome is Outcome.CONFIG_ERROR and status not in account_errors:
        return SendResult.undocumented()
    return SendResult(outcome)


def report_of_row(row: Sequence[Any], *, zero_is_delivered: bool) -> DeliveryReport:
    """Return the status that a row of a report gives."""
    send_status = parse_integer(row[3])
    if send_status is None or send_status in result_codes.WAITING_SEND_STATUSES:
        return DeliveryReport(None)
    if send_status != result_codes.SENT:
        error = result_codes.SEND_STATUS_OUTCOMES.get(send_status, Outcome.TRANSIENT)
        return DeliveryReport(DeliveryStatus.UNDELIVERED, error)
    delivery_status: int | None = result_codes.NO_DELIVERY_REPORT
    if len(row) >= 5:
        delivery_status = parse_integer(row[6] if len(row) >= 7 else row[4])
    if delivery_status == result_codes.NO_DELIVERY_REPORT:
        return DeliveryReport(DeliveryStatus.DELIVERED if zero_is_delivered else None)
    if delivery_status == result_codes.DELIVERED:
        return DeliveryReport(DeliveryStatus.DELIVERED)
    if delivery_status in result_codes.DELIVERY_STATUS_OUTCOMES:
        return DeliveryReport(DeliveryStatus.UNDELIVERED, result_codes.DELIVERY_STATUS_OUTCOMES[delivery_status])
    return DeliveryReport(None)
