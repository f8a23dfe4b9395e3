"""Status callbacks of calls: forms that are signed like those of messages (see `twilio.webhook`)."""

from __future__ import annotations

from collections.abc import Sequence

from otp_service.domain.message import Receipt, ReceiptRequest
from otp_service.providers.responses import MAX_ID_CHARS, receipt_number
from otp_service.providers.twilio.webhook import first_value, verified_fields
from otp_service.providers.twilio_voice.config import TwilioVoiceConfig
from otp_service.providers.twilio_voice.result_codes import CALL_STATUSES
from otp_service.providers.twilio_voice.wire import call_status

__all__ = ["parse_call_callback"]


def parse_call_callback(call: ReceiptRequest, config: TwilioVoiceConfig) -> Sequence[Receipt]:
    """Verify and read a call of the gateway.

    Returns:
        At most one receipt; none without a token, and for a callback that is not about the status of a phone call.

    Raises:
        ReceiptForged: The signature is not valid.
    """
    fields = verified_fields(call, config)
    status_text = first_value(fields, "CallStatus").lower()
    if call.message_id is None or status_text not in CALL_STATUSES:
        return []
    status, error = call_status(config, status_text, first_value(fields, "AnsweredBy"))
    return [
        Receipt(
            call.message_id,
            status,
            error,
            provider_message_id=first_value(fields, "CallSid")[:MAX_ID_CHARS],
            to=receipt_number(first_value(fields, "To", "Called")),
        )
    ]
