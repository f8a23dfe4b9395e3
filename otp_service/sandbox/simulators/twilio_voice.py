"""Twilio, Calls API of version 2010-04-01: create a call and fetch one (see `twilio_account`).

The TwiML of a call is read as Twilio reads it, and what it would say is kept: the languages, the voices and the texts.
Call progress events go to the `StatusCallback` as a form, signed as those of messages; only the events that the call
asked for are sent. A script says "sent" for a phone that rings, which changes nothing, "delivered" for an answered
call, and "undelivered" for one that ended without an answer, with the call status as the reason.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import urlencode
from xml.etree import ElementTree

from otp_service.sandbox.simulators.form_decoding import FORM, InvalidRequest, decode_pair_list
from otp_service.sandbox.simulators.http_server import Request
from otp_service.sandbox.simulators.receipt_sender import ScriptedReceipt, Webhook
from otp_service.sandbox.simulators.twilio_account import (
    ACCOUNT_SID,
    API_VERSION,
    TwilioAccountSimulator,
    refusal,
    sign,
)
from otp_service.sandbox.simulators.twilio_requests import (
    TwilioRefused,
    check_callback_url,
    form_text,
    is_number,
    refuse_unknown,
)

__all__ = ["ACCOUNT_SID", "CALL_REASONS", "Speech", "TwilioCall", "TwilioVoiceSimulator", "refusal"]

PRICE: Final = "-0.09650"
CALL_REASONS: Final = ("busy", "no-answer", "failed", "canceled")
MAX_TWIML_CHARS: Final = 4000
MAX_TIMEOUT_SECONDS: Final = 600
EVENTS: Final = frozenset({"initiated", "ringing", "answered", "completed"})
PARAMETERS: Final = frozenset(
    {"To", "From", "Twiml", "Timeout", "TimeLimit", "MachineDetection", "StatusCallback", "StatusCallbackEvent"}
)
_EVENT_STATUSES: Final = {"ringing": "ringing", "in-progress": "answered"}
"""The event of a status; that of every other one is `completed`."""

_INTEGER: Final = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class Speech:
    """A text that a call says."""

    text: str
    language: str
    voice: str


@dataclass(frozen=True, slots=True)
class TwilioCall:
    """An accepted call."""

    sid: str
    to: str
    sender: str
    twiml: str
    speech: tuple[Speech, ...]
    timeout: int
    callback_url: str
    events: tuple[str, ...]
    detects_machine: bool
    at: datetime

    @property
    def text(self) -> str:
        """What is said first."""
        return self.speech[0].text if self.speech else ""


class TwilioVoiceSimulator(TwilioAccountSimulator[TwilioCall]):
    """The calls of one account.

    Attributes:
        messages: The accepted calls, oldest first.
        statuses: The status of each call and who answered it, by its SID.
        answered_by: Who answers calls with machine detection.
    """

    price = -float(PRICE)

    def __init__(self, *account: str, **options: Any) -> None:
        """Create an account; see `TwilioAccountSimulator`."""
        super().__init__(*account, **options)
        self.messages: list[TwilioCall] = []
        self.statuses: dict[str, tuple[str, str | None]] = {}
        self.answered_by = "human"

    def serve(self, request: Request, resource: Sequence[str]) -> tuple[int, Mapping[str, Any]]:
        """Create or fetch a call."""
        match request.method, *resource:
            case "POST", "Calls":
                return 201, self._create(decode_pair_list(form_text(request)))
            case "GET", "Calls", sid:
                return 200, self._fetch(sid)
        raise TwilioRefused(20404)

    def receipt_url(self, message: TwilioCall) -> str:
        """Return the `StatusCallback` of the call."""
        return message.callback_url

    async def send_receipt(self, message: TwilioCall, receipt: ScriptedReceipt) -> list[int]:
        """Send the callback of an event that the call asked for; of any other, only the status changes."""
        asked_for = message.events or ("completed",)
        if _EVENT_STATUSES.get(_status(receipt), "completed") in asked_for:
            return await super().send_receipt(message, receipt)
        await asyncio.sleep(receipt.after)
        self.build_webhook(message, receipt)
        return []

    def build_webhook(self, message: TwilioCall, receipt: ScriptedReceipt) -> Webhook:
        """Build a status callback, signed for the URL to which it goes, and set the status of the call."""
        return self.status_callback(message, _status(receipt), receipt.url)

    def status_callback(self, call: TwilioCall, status: str, url: str = "") -> Webhook:
        """Set the status of a call, and return its callback for `url`; "" is its own."""
        was_answered = status in ("in-progress", "completed")
        answered_by = self.answered_by if call.detects_machine and was_answered else None
        self.statuses[call.sid] = (status, answered_by)
        fields = {
            "CallSid": call.sid,
            "AccountSid": self.account_sid,
            "From": call.sender,
            "To": call.to,
            "CallStatus": status,
            "ApiVersion": API_VERSION,
            "Direction": "outbound-api",
            "Timestamp": format_datetime(datetime.fromtimestamp(self.clock(), UTC)),
            "CallbackSource": "call-progress-events",
            "SequenceNumber": "0",
            "AnsweredBy": answered_by or "",
            "CallDuration": "21" if status == "completed" else "",
        }
        fields = {name: value for name, value in fields.items() if value}
        signature = sign(self.auth_token, url or call.callback_url, fields)
        return Webhook(urlencode(fields).encode(), FORM, {"X-Twilio-Signature": signature})

    def _create(self, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        fields = dict(pairs)
        events = tuple(value for name, value in pairs if name == "StatusCallbackEvent")
        if len(pairs) != len(fields) + max(0, len(events) - 1):
            raise InvalidRequest("A parameter is given twice.")
        refuse_unknown(fields, PARAMETERS)
        _check(fields, events)
        speech = _read_twiml(fields["Twiml"])
        self.charge(fields["To"])
        call = TwilioCall(
            sid="CA" + secrets.token_hex(16),
            to=fields["To"],
            sender=fields["From"],
            twiml=fields["Twiml"],
            speech=speech,
            timeout=int(fields.get("Timeout", "60")),
            callback_url=fields.get("StatusCallback", ""),
            events=events,
            detects_machine="MachineDetection" in fields,
            at=datetime.fromtimestamp(self.clock(), UTC),
        )
        self.messages.append(call)
        self.statuses[call.sid] = ("queued", None)
        self.schedule_receipts(call)
        return self._resource(call)

    def _fetch(self, sid: str) -> dict[str, Any]:
        call = next((one for one in self.messages if one.sid == sid), None)
        if call is None:
            raise TwilioRefused(20404)
        return self._resource(call)

    def _resource(self, call: TwilioCall) -> dict[str, Any]:
        """Return the call resource; a call that ended has a duration, and one that was answered has a price."""
        status, answered_by = self.statuses[call.sid]
        has_ended = status in ("completed", *CALL_REASONS)
        date = format_datetime(call.at)
        uri = f"/{API_VERSION}/Accounts/{self.account_sid}/Calls/{call.sid}"
        return {
            "account_sid": self.account_sid,
            "annotation": None,
            "answered_by": answered_by,
            "api_version": API_VERSION,
            "caller_name": None,
            "date_created": date,
            "date_updated": date,
            "direction": "outbound-api",
            "duration": ("21" if status == "completed" else "0") if has_ended else None,
            "end_time": date if has_ended else None,
            "forwarded_from": None,
            "from": call.sender,
            "from_formatted": call.sender,
            "group_sid": None,
            "parent_call_sid": None,
            "phone_number_sid": None,
            "price": PRICE if status == "completed" else None,
            "price_unit": "USD",
            "queue_time": "0",
            "sid": call.sid,
            "start_time": date if has_ended else None,
            "status": status,
            "subresource_uris": {"recordings": f"{uri}/Recordings.json"},
            "to": call.to,
            "to_formatted": call.to,
            "trunk_sid": None,
            "uri": f"{uri}.json",
        }


def _status(receipt: ScriptedReceipt) -> str:
    if receipt.status == "undelivered":
        return str(receipt.reason or "no-answer")
    return {"sent": "ringing", "delivered": "completed"}[receipt.status]


def _check(fields: Mapping[str, str], events: Sequence[str]) -> None:
    """Check the parameters in Twilio's order; raise `TwilioRefused`."""
    if not is_number(fields.get("To", "")):
        raise TwilioRefused(21211)
    if not is_number(fields.get("From", "")):
        raise TwilioRefused(21212)
    if not 1 <= len(fields.get("Twiml", "")) <= MAX_TWIML_CHARS:
        raise TwilioRefused(21205)
    for name in ("Timeout", "TimeLimit"):
        value = fields.get(name, "60")
        if not _INTEGER.fullmatch(value) or not 1 <= int(value) <= MAX_TIMEOUT_SECONDS:
            raise TwilioRefused(21208)
    if fields.get("MachineDetection", "Enable") not in ("Enable", "DetectMessageEnd"):
        raise TwilioRefused(21234)
    if not EVENTS.issuperset(events):
        raise InvalidRequest("StatusCallbackEvent must be initiated, ringing, answered or completed.")
    check_callback_url(fields.get("StatusCallback"))


def _read_twiml(document: str) -> tuple[Speech, ...]:
    """Return what a document says; raise `InvalidRequest` if it is not TwiML with <Say> and <Pause>."""
    try:
        root = ElementTree.fromstring(document)  # noqa: S314 - our own document, of at most 4,000 characters
    except ElementTree.ParseError:
        raise InvalidRequest("The TwiML is not XML.") from None
    if root.tag != "Response" or any(verb.tag not in ("Say", "Pause") or len(verb) for verb in root):
        raise InvalidRequest("Send a <Response> of <Say> and <Pause>.")
    return tuple(
        Speech(verb.text or "", verb.get("language", ""), verb.get("voice", "")) for verb in root if verb.tag == "Say"
    )
