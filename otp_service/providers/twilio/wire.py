"""The protocol of the Messages API, version 2010-04-01: form requests with Basic auth, JSON responses.

A message that Twilio takes is HTTP 201 with the message resource; its `sid` is the message id. A refusal is a 4xx with
a `code` of Twilio's dictionary. A 429 "is never processed" (error 20429). A 5xx may follow the send, and is ambiguous,
unless it is a 503 with `Retry-After`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from urllib.parse import quote, urlencode

from otp_service.domain.message import Balance, DeliveryReport, OutboundMessage, SendResult
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.providers.http_client import GatewayResponse
from otp_service.providers.lenient_json import json_object, parse_amount, parse_integer
from otp_service.providers.responses import MAX_ID_CHARS, is_success, retry_after_seconds, undocumented_response
from otp_service.providers.sender_ids import sender_for
from otp_service.providers.twilio import result_codes
from otp_service.providers.twilio.account import TwilioAccount
from otp_service.providers.twilio.config import TwilioConfig

__all__ = [
    "CONFIRMED",
    "FORM",
    "account_url",
    "authorization",
    "charge",
    "parse_balance_response",
    "parse_feedback_response",
    "parse_message_response",
    "parse_send_response",
    "send_body",
    "undelivered_error",
]

FORM: Final = "application/x-www-form-urlencoded"
MAX_VALIDITY_SECONDS: Final = 36_000
"""The largest `ValidityPeriod`; the smallest is 1. A larger code lifetime than 10 hours cannot be configured anyway.

More than 5 is recommended, because a message that stays in Twilio's queue for longer is not sent (error 30036). The
rest of the code's lifetime is never rounded up to that: a code that has expired is worse than none.
"""

CONFIRMED: Final = b"Outcome=confirmed"
"""The form that confirms a message (Message Feedback resource)."""

MAX_CURRENCY_CHARS: Final = 8


def account_url(config: TwilioAccount, resource: str) -> str:
    """Return the URL of a resource of the account, such as `Messages`."""
    return f"{config.base_url.rstrip('/')}/2010-04-01/Accounts/{quote(config.account_sid, safe='')}/{resource}.json"


def authorization(config: TwilioAccount) -> str:
    """Return the `Authorization` header, with the API key if there is one."""
    user, password = config.api_key_sid, config.api_key_secret
    if user is None or password is None:
        user, password = config.account_sid, config.auth_token
    text = f"{user}:{password.reveal() if password else ''}"
    return "Basic " + base64.b64encode(text.encode()).decode()


def send_body(config: TwilioConfig, outbound: OutboundMessage) -> bytes:
    """Build the form of a message; a space is `%20`."""
    message = {"To": outbound.to}
    if config.messaging_service_sid is not None:
        message["MessagingServiceSid"] = config.messaging_service_sid
    if sender := sender_for(config.sender, config.sender_ids, outbound):
        message["From"] = sender
    message["Body"] = outbound.text
    if config.conversion_feedback:
        message["ProvideFeedback"] = "true"
    message["ValidityPeriod"] = str(min(max(outbound.expires_in, 1), MAX_VALIDITY_SECONDS))
    if outbound.receipt_url and config.verifies_receipts:
        message["StatusCallback"] = outbound.receipt_url
    return urlencode(message, quote_via=quote, safe="").encode()


def parse_send_response(
    response: GatewayResponse | Outcome, errors: Mapping[int, Outcome] = result_codes.ERROR_OUTCOMES
) -> SendResult:
    """Classify the response to a message or to a call, by the outcomes of its error codes."""
    if isinstance(response, Outcome):
        return SendResult(response)
    document = json_object(response.body)
    if is_success(response.status):
        return _created(document, response.headers, errors)
    code = parse_integer(document.get("code"))
    if code is None or response.status == 408 or not 400 <= response.status < 500:
        return undocumented_response(response)
    if code not in errors:
        return undocumented_response(response) if response.status in (401, 429) else SendResult.undocumented()
    return _refusal(code, errors[code], response.headers)


def parse_message_response(response: GatewayResponse | Outcome, provider_message_id: str) -> DeliveryReport:
    """Read the status of a message; a response that is not about it is a report without a status."""
    if isinstance(response, Outcome) or not is_success(response.status):
        return DeliveryReport(None)
    document = json_object(response.body)
    if document.get("sid") != provider_message_id:
        return DeliveryReport(None)
    status = result_codes.MESSAGE_STATUSES.get(str(document.get("status")))
    return DeliveryReport(status, undelivered_error(status, document.get("error_code")), *charge(document))


def charge(resource: Mapping[str, Any]) -> tuple[Decimal | None, str]:
    """Return what a message or call has cost, and the currency.

    A `price` is a negative amount, and null until it is known: after the message was sent, or the call has ended.
    """
    price, unit = parse_amount(resource.get("price")), resource.get("price_unit")
    if price is None or price > 0:
        return None, ""
    return abs(price), unit.upper()[:MAX_CURRENCY_CHARS] if isinstance(unit, str) else ""


def parse_feedback_response(response: GatewayResponse | Outcome) -> Outcome:
    """Return whether feedback on a message was taken."""
    if not isinstance(response, Outcome) and is_success(response.status):
        return Outcome.ACCEPTED
    return parse_send_response(response).outcome


def parse_balance_response(response: GatewayResponse | Outcome) -> Balance | Outcome:
    """Read the balance. That of a subaccount is not given: its parent pays."""
    if isinstance(response, Outcome) or not is_success(response.status):
        return parse_send_response(response).outcome
    document = json_object(response.body)
    currency = document.get("currency")
    try:
        amount = Decimal(str(document.get("balance")))
    except InvalidOperation:
        return Outcome.AMBIGUOUS
    if not amount.is_finite():
        return Outcome.AMBIGUOUS
    return Balance(amount, currency[:MAX_CURRENCY_CHARS] if isinstance(currency, str) else "")


def undelivered_error(status: DeliveryStatus | None, code: object) -> Outcome | None:
    """Return why a message is undelivered; None if it is not."""
    if status is not DeliveryStatus.UNDELIVERED:
        return None
    return result_codes.ERROR_OUTCOMES.get(parse_integer(code) or 0, Outcome.TRANSIENT)


def _created(document: Mapping[str, Any], headers: Mapping[str, str], errors: Mapping[int, Outcome]) -> SendResult:
    """Read the resource of a 2xx. Without a SID it is not one; with a failed status, nothing was sent."""
    sid = document.get("sid")
    if not isinstance(sid, str) or not sid:
        return SendResult(Outcome.AMBIGUOUS)
    if document.get("status") in result_codes.FAILED_STATUSES:
        code = parse_integer(document.get("error_code")) or 0
        return _refusal(code, errors[code], headers) if code in errors else SendResult(Outcome.TRANSIENT)
    return SendResult(Outcome.ACCEPTED, sid[:MAX_ID_CHARS])


def _refusal(code: int, outcome: Outcome, headers: Mapping[str, str]) -> SendResult:
    if outcome is Outcome.CONFIG_ERROR and code not in result_codes.ACCOUNT_ERRORS:
        return SendResult.undocumented()
    return SendResult(outcome, retry_after=retry_after_seconds(headers) if outcome.retryable else None)
