"""The Calls resource: the form of a call with its TwiML, and how the call is read when it is queried.

The document is part of the request (`Twiml`), so Twilio asks for nothing when the call is answered. The text is spoken
twice, with a pause before and between, because the first words are lost while the phone is raised.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, urlencode
from xml.sax.saxutils import escape, quoteattr

from otp_service.domain.message import DeliveryReport, OutboundMessage
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.providers.http_client import GatewayResponse
from otp_service.providers.lenient_json import json_object
from otp_service.providers.responses import is_success
from otp_service.providers.sender_ids import sender_for
from otp_service.providers.twilio.wire import charge
from otp_service.providers.twilio_voice.config import TwilioVoiceConfig
from otp_service.providers.twilio_voice.result_codes import CALL_STATUSES, MACHINES, VOICES
from otp_service.providers.voice_calls import ring_seconds, speech_for

__all__ = ["call_body", "call_status", "parse_call_response", "twiml"]

EVENTS: Final = ("answered", "completed")
"""Call progress events. `completed` is sent at the end of every call, also of one that nobody answered."""

_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 does not allow, even escaped."""


def call_body(config: TwilioVoiceConfig, outbound: OutboundMessage) -> bytes:
    """Build the form of a call; a space is `%20`."""
    call = [
        ("To", outbound.to),
        ("From", sender_for(config.sender, config.sender_ids, outbound) or config.sender),
        ("Twiml", twiml(config, outbound)),
        ("Timeout", str(ring_seconds(config.ring_seconds, outbound))),
        ("TimeLimit", str(config.max_call_seconds)),
    ]
    if config.machine_detection:
        call.append(("MachineDetection", "Enable"))
    if outbound.receipt_url and config.verifies_receipts:
        call.append(("StatusCallback", outbound.receipt_url))
        call += [("StatusCallbackEvent", event) for event in EVENTS]
    return urlencode(call, quote_via=quote, safe="").encode()


def twiml(config: TwilioVoiceConfig, outbound: OutboundMessage) -> str:
    """Return the document that a call executes."""
    speech = speech_for(outbound, VOICES)
    voice = VOICES[speech.locale]
    name = config.voices.get(speech.locale, voice.name)
    text = escape(_NOT_XML.sub(" ", speech.text))
    say = f"<Say language={quoteattr(voice.language)} voice={quoteattr(name)}>{text}</Say>"
    return f'<Response><Pause length="1"/>{say}<Pause length="2"/>{say}</Response>'


def call_status(
    config: TwilioVoiceConfig, status_text: str, answered_by: str
) -> tuple[DeliveryStatus | None, Outcome | None]:
    """Return the delivery status of a call, and why it is undelivered; nothing is known of an unlisted status."""
    status, error = CALL_STATUSES.get(status_text.lower(), (None, None))
    if status is DeliveryStatus.DELIVERED and config.machine_detection:
        if answered_by in MACHINES:
            return DeliveryStatus.UNDELIVERED, Outcome.TRANSIENT
        if not answered_by and status_text.lower() == "in-progress":
            return None, None
    return status, error


def parse_call_response(
    config: TwilioVoiceConfig, response: GatewayResponse | Outcome, provider_message_id: str
) -> DeliveryReport:
    """Read the status of a call; a response that is not about it is a report without a status."""
    if isinstance(response, Outcome) or not is_success(response.status):
        return DeliveryReport(None)
    document = json_object(response.body)
    if document.get("sid") != provider_message_id:
        return DeliveryReport(None)
    status, error = call_status(config, str(document.get("status")), str(document.get("answered_by") or ""))
    return DeliveryReport(status, error, *charge(document))
