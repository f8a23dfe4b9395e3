"""The Voice API: the JSON of a call with its NCCO, its response, and how the status of a call is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from otp_service.domain.message import DeliveryReport, OutboundMessage, SendResult
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.providers.http_client import GatewayResponse
from otp_service.providers.lenient_json import json_object, parse_amount, parse_integer
from otp_service.providers.responses import MAX_ID_CHARS, is_success, undocumented_response
from otp_service.providers.sender_ids import sender_for
from otp_service.providers.voice_calls import ring_seconds, speech_for
from otp_service.providers.vonage_voice.config import VonageVoiceConfig
from otp_service.providers.vonage_voice.result_codes import (
    ANSWERED,
    CALL_STATUSES,
    COMPLETED,
    DETAIL_OUTCOMES,
    LANGUAGES,
)

__all__ = ["call_body", "call_status", "charge", "parse_call_response", "parse_created_response"]

CURRENCY: Final = "EUR"
"""The currency of `price` (webhooks reference, "Completed")."""

LOOPS: Final = 2
"""How often the text is spoken."""

_NOT_SPOKEN: Final = re.compile("[<>\\x00-\\x1f\\x7f\ud800-\udfff]")
"""A text with tags would be read as SSML; the others cannot be spoken."""

_PAYMENT_REQUIRED: Final = 402
_BAD_REQUEST: Final = 400
_RECIPIENT: Final = re.compile(r"to\b")


def call_body(config: VonageVoiceConfig, outbound: OutboundMessage) -> bytes:
    """Build the JSON of a call."""
    speech = speech_for(outbound, LANGUAGES)
    sender = sender_for(config.sender, config.sender_ids, outbound) or config.sender
    talk = {
        "action": "talk",
        "text": _NOT_SPOKEN.sub(" ", speech.text),
        "language": LANGUAGES[speech.locale],
        "loop": LOOPS,
    }
    call: dict[str, Any] = {
        "to": [{"type": "phone", "number": outbound.to.removeprefix("+")}],
        "from": {"type": "phone", "number": sender.removeprefix("+")},
        "ncco": [talk],
        "ringing_timer": ring_seconds(config.ring_seconds, outbound),
        "length_timer": config.max_call_seconds,
    }
    if config.machine_detection:
        call["machine_detection"] = "hangup"
    if outbound.receipt_url:
        call |= {"event_url": [outbound.receipt_url], "event_method": "POST"}
    return msgspec.json.encode(call)


def parse_created_response(response: GatewayResponse | Outcome) -> SendResult:
    """Classify the response to a call; its id is `uuid`.

    Vonage documents the form of its errors, but no codes for calls. A 400 that names the parameter `to` is about the
    recipient, and any other one about our request. 402 is the low balance of the vendor's other APIs.
    """
    if isinstance(response, Outcome):
        return SendResult(response)
    document = json_object(response.body)
    if is_success(response.status):
        call_id = document.get("uuid")
        has_id = isinstance(call_id, str) and call_id != ""
        return SendResult(Outcome.ACCEPTED, str(call_id)[:MAX_ID_CHARS]) if has_id else SendResult(Outcome.AMBIGUOUS)
    if response.status == _PAYMENT_REQUIRED:
        return SendResult(Outcome.FUNDS)
    if response.status == _BAD_REQUEST and any(map(_RECIPIENT.match, _invalid_parameters(document))):
        return SendResult(Outcome.RECIPIENT_INVALID)
    if response.status in (_BAD_REQUEST, 405, 406, 413, 415, 422):
        return SendResult.undocumented()
    return undocumented_response(response)


def call_status(config: VonageVoiceConfig, fields: Mapping[str, Any]) -> tuple[DeliveryStatus | None, Outcome | None]:
    """Return the delivery status of an event or of a queried call, and why it is undelivered.

    With machine detection `answered` says nothing yet: `human` or `machine` follows. A call that was completed after
    no time at all was not answered.
    """
    text = str(fields.get("status")).lower()
    status = CALL_STATUSES.get(text)
    if text == ANSWERED and config.machine_detection:
        return None, None
    if text == COMPLETED and parse_integer(fields.get("duration")) == 0:
        return None, None
    if status is not DeliveryStatus.UNDELIVERED:
        return status, None
    return status, DETAIL_OUTCOMES.get(str(fields.get("detail")).lower(), Outcome.TRANSIENT)


def parse_call_response(
    config: VonageVoiceConfig, response: GatewayResponse | Outcome, provider_message_id: str
) -> DeliveryReport:
    """Read the status of a call; a response that is not about it is a report without a status."""
    if isinstance(response, Outcome) or not is_success(response.status):
        return DeliveryReport(None)
    document = json_object(response.body)
    if document.get("uuid") != provider_message_id:
        return DeliveryReport(None)
    return DeliveryReport(*call_status(config, document), *charge(document))


def charge(fields: Mapping[str, Any]) -> tuple[Decimal | None, str]:
    """Return what a call has cost, and the currency; an event or a queried call has a `price` once it is completed."""
    price = parse_amount(fields.get("price"))
    return (None, "") if price is None else (price, CURRENCY)


def _invalid_parameters(document: Mapping[str, Any]) -> list[str]:
    """Return the names in `invalid_parameters`, which is a list of objects, or an object."""
    found = document.get("invalid_parameters")
    if isinstance(found, dict):
        return list(found)
    named = [one.get("name") for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return [name for name in named if isinstance(name, str)]
