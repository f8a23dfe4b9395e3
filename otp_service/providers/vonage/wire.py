"""The SMS API: parameters of a send, and how its response and the balance are read.

HTTP 200 does not mean acceptance: `messages` has one element for each part of the text, with a status of its own.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from otp_service.domain.message import Balance, OutboundMessage, SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.domain.sms_segments import characters_outside_gsm7
from otp_service.providers.http_client import GatewayResponse
from otp_service.providers.lenient_json import MAX_ERROR_TEXT_CHARS, json_object, parse_amount, parse_integer
from otp_service.providers.responses import MAX_ID_CHARS, is_success, undocumented_response
from otp_service.providers.sender_ids import sender_for
from otp_service.providers.vonage import result_codes
from otp_service.providers.vonage.config import VonageConfig
from otp_service.providers.vonage.signing import SIGNATURE, signature

__all__ = [
    "FORM",
    "MAX_CALLBACK_CHARS",
    "basic_authorization",
    "callback_url",
    "conversion_body",
    "encode_body",
    "parse_balance_response",
    "parse_conversion_response",
    "parse_send_response",
    "send_parameters",
]

FORM: Final = "application/x-www-form-urlencoded"
MAX_CALLBACK_CHARS: Final = 100
"""Longest `callback` (API reference, "Send an SMS"); a longer one is refused with status 23."""

MAX_TTL_MS: Final = 604_800_000
CURRENCY: Final = "EUR"
"""The currency of `value` (Account API reference, "Get Account Balance")."""

_NAMES_RECIPIENT: Final = re.compile(r"\bparam(?:eter)?s?:? *to\b|\bto (?:address|param)|msisdn", re.IGNORECASE)
_WAIT_MS: Final = re.compile(r"please wait \[ ?([0-9]{1,6}) ?\] and retry", re.IGNORECASE)


def send_parameters(config: VonageConfig, outbound: OutboundMessage, timestamp: int) -> dict[str, str]:
    """Return the parameters of a send, with what authenticates it in the body.

    Args:
        config: The account.
        outbound: The message. Its id is the `client-ref`, which a receipt repeats.
        timestamp: Unix seconds, for a signed request.
    """
    parameters = {
        "api_key": config.api_key,
        "from": (sender_for(config.sender, config.sender_ids, outbound) or "").removeprefix("+"),
        "to": outbound.to.removeprefix("+"),
        "text": outbound.text,
        "type": "unicode" if characters_outside_gsm7(outbound.text) else "text",
        "ttl": str(_ttl_ms(config, outbound)),
        "client-ref": outbound.message_id,
    }
    if callback := callback_url(config, outbound.receipt_url):
        parameters |= {"status-report-req": "true", "callback": callback}
    optional = {"entity-id": config.entity_id, "content-id": config.content_id}
    parameters |= {name: value for name, value in optional.items() if value}
    match config.auth:
        case "basic":
            del parameters["api_key"]
        case "parameters":
            parameters["api_secret"] = config.api_secret.reveal()
        case "signature" if config.signature_secret:
            parameters["timestamp"] = str(timestamp)
            parameters[SIGNATURE] = signature(parameters, config.signature_secret, config.signature_method)
    return parameters


def callback_url(config: VonageConfig, receipt_url: str) -> str:
    """Return the URL for the receipts of a message; "" if it has none that the gateway accepts.

    A URL that is too long loses its token, if receipts are signed: the signed `client-ref` names the message as well.
    """
    if len(receipt_url) > MAX_CALLBACK_CHARS and config.signs_receipts:
        receipt_url = receipt_url.rpartition("/")[0]
    return receipt_url if len(receipt_url) <= MAX_CALLBACK_CHARS else ""


def encode_body(config: VonageConfig, parameters: Mapping[str, str]) -> tuple[bytes, str]:
    """Encode the parameters as `body_format` says; return the body and its media type."""
    if config.body_format == "json":
        return msgspec.json.encode(parameters), "application/json"
    return urlencode(parameters, quote_via=quote, safe="").encode(), FORM


def basic_authorization(config: VonageConfig) -> str:
    """Return the `Authorization` header with key and secret."""
    credentials = f"{config.api_key}:{config.api_secret.reveal()}"
    return f"Basic {base64.b64encode(credentials.encode()).decode()}"


def parse_send_response(response: GatewayResponse | Outcome) -> SendResult:
    """Classify the response to a message.

    Returns:
        `ACCEPTED` if every part was accepted. If only some were, or the number of parts is contradictory, the recipient
        may get a part of the text, perhaps with the code: the result is `AMBIGUOUS`, so that no other gateway is called
        before the hold ends. A message of which no part was accepted has the outcome of its first part.
    """
    if isinstance(response, Outcome):
        return SendResult(response)
    document = json_object(response.body)
    found = document.get("messages")
    parts = [part for part in found if isinstance(part, dict)] if isinstance(found, list) else []
    if not isinstance(found, list) or not parts:
        return undocumented_response(response)
    statuses = [parse_integer(part.get("status")) for part in parts]
    is_complete = len(parts) == len(found) and parse_integer(document.get("message-count")) in (None, len(parts))
    accepted = [part for part, status in zip(parts, statuses, strict=True) if status == result_codes.ACCEPTED]
    if not accepted:
        return _refusal(parts[0], statuses) if is_complete else SendResult(Outcome.AMBIGUOUS)
    charged = _sum_of_prices(accepted)
    is_accepted = is_complete and len(accepted) == len(parts) and is_success(response.status)
    ids = tuple(
        _scalar_text(part.get("message-id"))[:MAX_ID_CHARS] if status == result_codes.ACCEPTED else ""
        for part, status in zip(parts, statuses, strict=True)
    )
    return SendResult(
        Outcome.ACCEPTED if is_accepted else Outcome.AMBIGUOUS,
        _scalar_text(accepted[0].get("message-id"))[:MAX_ID_CHARS],
        parts=ids,
        charged=charged,
        charged_currency="" if charged is None else CURRENCY,
    )


def conversion_body(config: VonageConfig, provider_message_id: str, at: float) -> bytes:
    """Return the form that reports that a code was used at a time, in Unix seconds.

    Key and secret are in the body, whatever `auth` is: the reference names them for this API, and its `timestamp` is
    not that of a signature.
    """
    parameters = {
        "api_key": config.api_key,
        "api_secret": config.api_secret.reveal(),
        "message-id": provider_message_id,
        "delivered": "true",
        "timestamp": datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S"),
    }
    return urlencode(parameters, quote_via=quote, safe="").encode()


def parse_conversion_response(response: GatewayResponse | Outcome) -> Outcome:
    """Return whether a conversion was taken. 402: the API is not enabled for the account; 420, 422, 423: parameters."""
    if isinstance(response, Outcome):
        return response
    if is_success(response.status):
        return Outcome.ACCEPTED
    refused = response.status in (402, 420, 422, 423)
    return Outcome.CONFIG_ERROR if refused else undocumented_response(response).outcome


def parse_balance_response(response: GatewayResponse | Outcome) -> Balance | Outcome:
    """Read `value` of a balance."""
    if isinstance(response, Outcome):
        return response
    value = json_object(response.body).get("value") if is_success(response.status) else None
    amount = parse_amount(value)
    return undocumented_response(response).outcome if amount is None else Balance(amount, CURRENCY)


def _ttl_ms(config: VonageConfig, outbound: OutboundMessage) -> int:
    """Return the remaining lifetime of the code, or the shortest `ttl` that is allowed, if that is longer.

    A code may then arrive up to 20 seconds after it expired. Without a `ttl` it may arrive after 72 hours.
    """
    return min(max(outbound.expires_in, config.min_ttl_seconds) * 1000, MAX_TTL_MS)


def _refusal(first_part: Mapping[str, Any], statuses: Sequence[int | None]) -> SendResult:
    """Classify a message of which no part was accepted; an unlisted status leaves its outcome open."""
    if any(status not in result_codes.STATUS_OUTCOMES for status in statuses):
        return SendResult(Outcome.AMBIGUOUS)
    status, error_text = statuses[0] or 0, _scalar_text(first_part.get("error-text"))[:MAX_ERROR_TEXT_CHARS]
    outcome = result_codes.STATUS_OUTCOMES[status]
    if status == result_codes.INVALID_PARAMETER and _NAMES_RECIPIENT.search(error_text):
        return SendResult(Outcome.RECIPIENT_INVALID)
    if outcome is Outcome.CONFIG_ERROR and status not in result_codes.ACCOUNT_ERRORS:
        return SendResult.undocumented()
    wait = _WAIT_MS.search(error_text) if outcome is Outcome.THROTTLED else None
    return SendResult(outcome, retry_after=int(wait[1]) / 1000 if wait else None)


def _sum_of_prices(parts: Sequence[Mapping[str, Any]]) -> Decimal | None:
    """Add the `message-price` of each part; None if one has none."""
    prices = [parse_amount(part.get("message-price")) for part in parts]
    return None if None in prices else sum((price for price in prices if price is not None), Decimal(0))


def _scalar_text(value: object) -> str:
    """Return a string or an integer as text; "" for anything else."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
