"""Delivery receipts of Vonage: one call for each part of a message, by GET or POST, as a query, a form or JSON.

A signed receipt is accepted only if all of these hold:

- `sig` is the signature of all other parameters;
- `timestamp` differs from the time by at most the window of the account;
- `client-ref`, which is our message id, agrees with the token of the URL, if the URL has one. So a receipt that was
  captured is of no use at the URL of another message.

The signature is the `Receipt.nonce`. A call that the gateway repeats, because our response was lost, is the same
receipt again and changes nothing. An unsigned receipt is authenticated by the token of its URL alone.

Every part has a `messageId` of its own and the message's `client-ref`. The message is delivered when every part is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl

from otp_service.domain.message import Receipt, ReceiptForged, ReceiptRequest
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.providers.lenient_json import json_value, parse_integer
from otp_service.providers.responses import MAX_ID_CHARS, is_message_id, receipt_number
from otp_service.providers.vonage.config import VonageConfig
from otp_service.providers.vonage.result_codes import NO_ERROR, RECEIPT_ERRORS, RECEIPT_STATUSES
from otp_service.providers.vonage.signing import SIGNATURE, is_signed

__all__ = ["parse_webhook"]

_PADDING_BYTES: Final = b" \t\r\n\0"
_TIMESTAMP: Final = re.compile(r"[1-9][0-9]{9}", re.ASCII)


def parse_webhook(call: ReceiptRequest, config: VonageConfig) -> Sequence[Receipt]:
    """Authenticate and read a call.

    Returns:
        At most one receipt; none for a body that cannot be read, and for a call that does not name a message.

    Raises:
        ReceiptForged: The signature, the timestamp or the message is wrong, or there is no token.
    """
    fields = _fields(call)
    if config.signs_receipts:
        _check_signature(fields, config, call.now)
    elif call.message_id is None:
        raise ReceiptForged
    reference = fields.get("client-ref", "")
    if reference and call.message_id not in (None, reference):
        raise ReceiptForged
    message_id = call.message_id or (reference if is_message_id(reference) else None)
    if message_id is None or not fields:
        return []
    status, error = _status(fields)
    part = fields.get("messageId", "")[:MAX_ID_CHARS]
    return [
        Receipt(
            message_id,
            status,
            error,
            provider_message_id=part,
            part=part,
            to=receipt_number(fields.get("msisdn", "")),
            nonce=fields[SIGNATURE].lower() if config.signs_receipts else "",
        )
    ]


def _check_signature(fields: Mapping[str, str], config: VonageConfig, now: float) -> None:
    timestamp = fields.get("timestamp", "")
    if config.signature_secret is None or not is_signed(fields, config.signature_secret, config.signature_method):
        raise ReceiptForged
    if not _TIMESTAMP.fullmatch(timestamp) or abs(now - int(timestamp)) > config.receipt_window_seconds:
        raise ReceiptForged


def _fields(call: ReceiptRequest) -> dict[str, str]:
    """Return the parameters of a call, from the query if it has no body; none if they cannot be read.

    A parameter that occurs twice makes all of them unreadable: the signature is over one value.
    """
    body = call.body.strip(_PADDING_BYTES)
    if body[:1].isalpha():
        try:
            pairs: Sequence[tuple[str, str]] = parse_qsl(body.decode(), keep_blank_values=True)
        except ValueError:  # includes UnicodeDecodeError
            return {}
    elif body:
        decoded = json_value(call.body)
        members = decoded.items() if isinstance(decoded, dict) else ()
        pairs = [(name, _scalar_text(value)) for name, value in members]
    else:
        pairs = call.query
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else {}


def _status(fields: Mapping[str, str]) -> tuple[DeliveryStatus | None, Outcome | None]:
    """Return the status and the error; nothing is known if `delivered` has an error code, which contradicts it."""
    status = RECEIPT_STATUSES.get(fields.get("status", "").strip().lower())
    code = parse_integer(fields.get("err-code")) or NO_ERROR
    if status is DeliveryStatus.DELIVERED and code != NO_ERROR:
        return None, None
    error = RECEIPT_ERRORS.get(code, Outcome.TRANSIENT) if status is DeliveryStatus.UNDELIVERED else None
    return status, error


def _scalar_text(value: object) -> str:
    """Return a string or an integer as text; "" for anything else."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
