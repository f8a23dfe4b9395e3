"""Events of Vonage's calls: JSON that is posted to the `event_url` of a call, signed if the application says so.

An event names the call by Vonage's id only, so the token in the URL is needed to know the message. If signatures are
required, the token of the `Authorization` header must be Vonage's for this body and this account, too. Its `jti` is the
`Receipt.nonce`: a captured event that is sent to the URL of another message changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from otp_service.domain.message import Receipt, ReceiptForged, ReceiptRequest
from otp_service.providers.lenient_json import json_object
from otp_service.providers.responses import MAX_ID_CHARS, receipt_number
from otp_service.providers.vonage_voice.application_jwt import WebhookInvalid, webhook_claims
from otp_service.providers.vonage_voice.config import VonageVoiceConfig
from otp_service.providers.vonage_voice.result_codes import CALL_STATUSES
from otp_service.providers.vonage_voice.wire import call_status, charge

__all__ = ["parse_event"]


def parse_event(call: ReceiptRequest, config: VonageVoiceConfig) -> Sequence[Receipt]:
    """Authenticate and read an event.

    Returns:
        At most one receipt; none for an event that is not about the status of a call.

    Raises:
        ReceiptForged: There is no token in the URL, or the signature is wrong.
    """
    if call.message_id is None:
        raise ReceiptForged
    nonce = _verified_id(call, config) if config.signs_receipts else ""
    fields = json_object(call.body)
    if str(fields.get("status")).lower() not in CALL_STATUSES:
        return []
    status, error = call_status(config, fields)
    charged, currency = charge(fields)
    call_id = fields.get("uuid") or fields.get("call_uuid")  # `human` and `machine` have the second one
    return [
        Receipt(
            call.message_id,
            status,
            error,
            provider_message_id=call_id[:MAX_ID_CHARS] if isinstance(call_id, str) else "",
            to=receipt_number(str(fields.get("to"))),
            nonce=nonce,
            charged=charged,
            charged_currency=currency,
        )
    ]


def _verified_id(call: ReceiptRequest, config: VonageVoiceConfig) -> str:
    """Verify the signature, and return its id; raises `ReceiptForged`."""
    if config.signature_secret is None:
        raise ReceiptForged
    try:
        claims = webhook_claims(
            call.headers.get("authorization", ""),
            call.body,
            config.signature_secret,
            now=call.now,
            window_seconds=config.receipt_window_seconds,
        )
    except WebhookInvalid:
        raise ReceiptForged from None
    expected = {"api_key": config.api_key, "application_id": config.application_id}
    if any(name in claims and value is not None and claims[name] != value for name, value in expected.items()):
        raise ReceiptForged
    nonce = claims.get("jti")
    if not isinstance(nonce, str) or not nonce:
        raise ReceiptForged
    return nonce
