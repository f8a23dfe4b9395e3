"""The KedaSMS protocol: the encrypted envelope, and how responses, callbacks and states are read.

A send is JSON, encrypted with AES-256-GCM, in an envelope with the API key, a timestamp and the nonce. The timestamp is
authenticated as associated data. Success is `code` "0" together with a `taskId`; nothing else counts as success.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from otp_service.domain.message import (
    AccountLimits,
    DeliveryReport,
    LinkClick,
    OutboundMessage,
    Receipt,
    SendResult,
)
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.providers.http_client import GatewayResponse
from otp_service.providers.kedasms import result_codes
from otp_service.providers.kedasms.config import KedasmsConfig
from otp_service.providers.lenient_json import MAX_ERROR_TEXT_CHARS, body_text, json_object, parse_amount, parse_integer
from otp_service.providers.responses import (
    MAX_ID_CHARS,
    is_success,
    receipt_number,
    remove_echoed_message,
    retry_after_seconds,
)
from otp_service.providers.sender_ids import sender_for

__all__ = [
    "JSON",
    "can_name_country",
    "encrypt_message",
    "envelope",
    "is_click",
    "limits_body",
    "parse_callback",
    "parse_delivery_status",
    "parse_limits_response",
    "parse_send_response",
    "parse_status_response",
    "rejects_timestamp",
    "send_body",
]

JSON: Final = "application/json"
IV_BYTES: Final = 12
SECONDS_PER_DAY: Final = 86_400
CURRENCY: Final = "USD"
"""That of the only documented amount; the `cost` of a callback has no currency of its own."""

_ALPHA_2: Final = re.compile(r"[A-Z]{2}")
_WORD_BOUNDARY: Final = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])")
_CLICK: Final = re.compile(r"click", re.IGNORECASE)
_KIND_MEMBERS: Final = ("event", "eventType", "event_type", "type", "action", "status")
_ECHOED_MEMBERS: Final = frozenset({"trackClick", "track_click"})
"""Members of a send, which a callback about its delivery might repeat."""

_DAILY_LIMIT: Final = re.compile(r"\b(daily|caps?|day)\b")
_number_encoder: Final = msgspec.json.Encoder(decimal_format="number")


def can_name_country(country: str) -> bool:
    """Whether `countryCode` can name a country: satellite networks, for example, belong to none."""
    return _ALPHA_2.fullmatch(country) is not None


def send_body(config: KedasmsConfig, outbound: OutboundMessage, timestamp: int) -> bytes:
    """Build the body of a send at `timestamp`: the encrypted message in its envelope, with a new random nonce."""
    message: dict[str, Any] = {"countryCode": outbound.country, "phoneNumbers": [outbound.national_digits]}
    message["content"] = outbound.text
    if sender := sender_for(config.sender_id, config.sender_ids, outbound):
        message["senderId"] = sender
    message["trackClick"] = False
    if outbound.receipt_url:
        message["callbackUrl"] = outbound.receipt_url
    return envelope(config, message, timestamp)


def envelope(config: KedasmsConfig, payload: Mapping[str, Any], timestamp: int) -> bytes:
    """Encrypt a payload, and return the body of the request."""
    iv = secrets.token_bytes(IV_BYTES)
    members = {
        "apiKey": config.api_key.reveal(),
        "timestamp": timestamp,
        "iv": base64.b64encode(iv).decode(),
        "cipherText": encrypt_message(config.encryption_key.decoded(), iv, timestamp, msgspec.json.encode(payload)),
    }
    return msgspec.json.encode(members)


def encrypt_message(key: bytes, iv: bytes, timestamp: int, plaintext: bytes) -> str:
    """Return `cipherText`: AES-GCM with the tag at the end and the timestamp (8 bytes, big-endian) as associated data.

    The Java sample of the document encrypts those 8 bytes instead. That is an error of the sample: those in Python,
    Go and PHP use associated data.
    """
    return base64.b64encode(AESGCM(key).encrypt(iv, plaintext, timestamp.to_bytes(8, "big"))).decode()


def limits_body(config: KedasmsConfig, limits: AccountLimits) -> bytes:
    """Build the body that sets the account's limits. A limit of None is omitted; whether that lifts it is unknown."""
    members: dict[str, Any] = {"alertThreshold": limits.alert_threshold, "blockOnLimit": limits.block_on_limit}
    if limits.daily_message_cap is not None:
        members["dailySmsCap"] = limits.daily_message_cap
    if limits.daily_spend_cap is not None:
        members["dailySpendCap"] = limits.daily_spend_cap
    members["apiKey"] = config.api_key.reveal()
    return _number_encoder.encode(members)


def parse_send_response(response: GatewayResponse | Outcome, now: float, message_text: str = "") -> SendResult:
    """Classify the response to a send.

    Args:
        response: The response, or the outcome of a call without one.
        now: Unix seconds by the gateway's clock; a daily limit is assumed to end with the UTC day.
        message_text: The text that was sent, which an error text may echo.
    """
    if isinstance(response, Outcome):
        return SendResult(response)
    document = json_object(response.body)
    data, has_success_code = document.get("data"), _scalar_text(document.get("code")) == "0"
    task_id = _scalar_text(data.get("taskId")) if isinstance(data, dict) else ""
    if isinstance(data, dict) and has_success_code and task_id and is_success(response.status):
        if (charged := parse_amount(data.get("debitedAmount"))) is None:
            return SendResult(Outcome.ACCEPTED, task_id)
        currency = _scalar_text(data.get("currency")) or CURRENCY
        return SendResult(Outcome.ACCEPTED, task_id, charged=charged, charged_currency=currency)
    if has_success_code or task_id:  # contradictory: the message may have been accepted
        return SendResult(Outcome.AMBIGUOUS)
    status, error_text = _error_status(response), _error_text(response, message_text)
    outcome = result_codes.refusal(status, error_text)
    if outcome is Outcome.CONFIG_ERROR and not result_codes.is_account_error(status, error_text):
        return SendResult.undocumented()
    if not outcome.retryable:
        return SendResult(outcome)
    retry_after = retry_after_seconds(response.headers)
    if retry_after is None and outcome is Outcome.THROTTLED and _DAILY_LIMIT.search(error_text):
        retry_after = SECONDS_PER_DAY - now % SECONDS_PER_DAY
    return SendResult(outcome, retry_after=retry_after)


def parse_limits_response(response: GatewayResponse | Outcome) -> Outcome:
    """Classify the response to setting limits, which is not documented.

    Any 2xx is acceptance, unless its JSON says otherwise. A 2xx without JSON (a page of the console) is ambiguous.
    """
    if isinstance(response, Outcome):
        return response
    document = json_object(response.body)
    if (
        is_success(response.status)
        and document.get("success") is not False
        and _scalar_text(document.get("code")) in ("", "0", "200")
    ):
        return Outcome.ACCEPTED if document or not response.body.strip() else Outcome.AMBIGUOUS
    outcome = result_codes.refusal(_error_status(response), _error_text(response))
    return Outcome.CONFIG_ERROR if outcome.rejects_recipient else outcome


def parse_status_response(response: GatewayResponse | Outcome, msgid: str) -> DeliveryReport:
    """Read the response to a status query. It counts only if it names the `msgid` of the query."""
    if isinstance(response, Outcome) or not is_success(response.status):
        return DeliveryReport(None)
    document = json_object(response.body)
    data = document.get("data")
    if document.get("success") is False or not isinstance(data, dict) or _scalar_text(data.get("msgid")) != msgid:
        return DeliveryReport(None)
    return DeliveryReport(parse_delivery_status(data.get("status")))


def is_click(callback: Mapping[str, Any]) -> bool:
    """Whether a callback says that a short address was opened, and not what became of the message.

    The form of such a callback is not documented. One that names a click, as its kind or in a member with a value, is
    taken for one whatever else it contains: as a receipt, it would move the delivery.
    """
    kinds = (_scalar_text(callback.get(name)) for name in _KIND_MEMBERS)
    members = (name for name, value in callback.items() if value and name not in _ECHOED_MEMBERS)
    return any(_CLICK.search(text[:MAX_ID_CHARS]) for text in (*kinds, *members))


def parse_callback(body: bytes, message_id: str) -> list[Receipt | LinkClick]:
    """Read a callback about our message `message_id`; an unreadable body gives no event."""
    callback = json_object(body)
    if is_click(callback):
        return [LinkClick(message_id)]
    msgid = _scalar_text(callback.get("msgid"))
    if not msgid and "status" not in callback:
        return []
    recipient, status = _scalar_text(callback.get("recipient")), parse_delivery_status(callback.get("status"))
    charged = None if status is None else parse_amount(callback.get("cost"))
    return [
        Receipt(
            message_id,
            status,
            provider_message_id=msgid,
            to=receipt_number(recipient),
            charged=charged,
            charged_currency="" if charged is None else CURRENCY,
        )
    ]


def parse_delivery_status(value: object) -> DeliveryStatus | None:
    """Read the `status` of a callback or of a status response; None if the message is still in transit."""
    return result_codes.delivery_status(_scalar_text(value))


def rejects_timestamp(response: GatewayResponse) -> bool:
    """Whether a request was refused because of its timestamp."""
    return 400 <= response.status < 500 and bool(result_codes.is_timestamp_error(_error_text(response)))


def _error_status(response: GatewayResponse) -> int | None:
    """Return the HTTP status of an error, or the one in `code`; 0 for another code, None without a documented form."""
    if not is_success(response.status):
        return response.status
    document = json_object(response.body)
    code = _scalar_text(document.get("code"))
    if not code and document.get("success") is not False:
        return None
    number = parse_integer(code)
    return number if number and 100 <= number < 600 else 0


def _error_text(response: GatewayResponse, message_text: str = "") -> str:
    """Return the error text in lower case, split into words (`dailyCap` and `DAILY_CAP` into two); "" for a page."""
    if document := json_object(response.body):
        data = document.get("data")
        members = [document.get(name) for name in ("code", "message", "msg", "error")]
        members.append(data.get("message") if isinstance(data, dict) else None)
        text = " ".join(str(member) for member in members if member is not None)
    else:
        text = body_text(response.body)
        text = "" if text.startswith("<") else text
    return _WORD_BOUNDARY.sub(" ", remove_echoed_message(text, message_text)[:MAX_ERROR_TEXT_CHARS]).lower()


def _scalar_text(value: object) -> str:
    """Return a string or an integer as text; "" for anything else."""
    return str(value).strip()[:MAX_ID_CHARS] if isinstance(value, str | int) and not isinstance(value, bool) else ""
