"""Twilio, Messages API of version 2010-04-01: create a message and fetch one (see `twilio_account`).

Status callbacks go to the `StatusCallback` of the message as a form, signed with the auth token as Twilio documents it.
Twilio sends none for the first status, and repeats one only if it gets no connection; the simulator never does.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import urlencode

from otp_service.domain.sms_segments import count_segments
from otp_service.sandbox.simulators.form_decoding import decode_form
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
    FORM,
    InvalidRequest,
    TwilioRefused,
    check_parameters,
    form_text,
    parse_form,
)

__all__ = ["ACCOUNT_SID", "TwilioMessage", "TwilioSimulator", "refusal", "sign"]

PRICE: Final = "-0.04530"
UNREACHABLE: Final = 30003


@dataclass(frozen=True, slots=True)
class TwilioMessage:
    """An accepted message; `sender` is a number or an alphanumeric sender, "" if the messaging service chooses one."""

    sid: str
    to: str
    text: str
    sender: str
    service_sid: str
    validity: int
    callback_url: str
    expects_feedback: bool
    at: datetime


class TwilioSimulator(TwilioAccountSimulator[TwilioMessage]):
    """The messages of one account.

    Attributes:
        messages: The accepted messages, oldest first.
        statuses: The status and the error code of each message, by its SID.
                    feedback: The reported outcome of each message, by its SID.
    """

    price = -float(PRICE)

    def __init__(self, *account: str, **options: Any) -> None:
        """Create an account; see `TwilioAccountSimulator`."""
        super().__init__(*account, **options)
        self.messages: list[TwilioMessage] = []
        self.statuses: dict[str, tuple[str, int | None]] = {}
        self.feedback: dict[str, str] = {}

    def serve(self, request: Request, resource: Sequence[str]) -> tuple[int, Mapping[str, Any]]:
        """Create or fetch a message."""
        match request.method, *resource:
            case "POST", "Messages":
                return 201, self._create(parse_form(request))
            case "GET", "Messages", sid:
                return 200, self._fetch(sid)
            case "POST", "Messages", sid, "Feedback":
                return 201, self._take_feedback(sid, decode_form(form_text(request)))
        raise TwilioRefused(20404)

    def receipt_url(self, message: TwilioMessage) -> str:
        """Return the `StatusCallback` of the message."""
        return message.callback_url

    def build_webhook(self, message: TwilioMessage, receipt: ScriptedReceipt) -> Webhook:
        """Build a status callback, signed for the URL to which it goes, and set the status of the message."""
        reason = int(receipt.reason or UNREACHABLE) if receipt.status == "undelivered" else None
        self.statuses[message.sid] = (receipt.status, reason)
        return self.status_callback(message, receipt.status, reason, receipt.url or message.callback_url)

    def status_callback(
        self, message: TwilioMessage, status: str, error_code: int | None = None, url: str = ""
    ) -> Webhook:
        """Return the status callback of a message for `url`; "" is its own."""
        fields = {
            "SmsSid": message.sid,
            "SmsStatus": status,
            "MessageStatus": status,
            "To": message.to,
            "MessagingServiceSid": message.service_sid,
            "MessageSid": message.sid,
            "AccountSid": self.account_sid,
            "From": message.sender or "+15005550006",
            "ApiVersion": API_VERSION,
            "ErrorCode": "" if error_code is None else str(error_code),
        }
        fields = {name: value for name, value in fields.items() if value}
        signature = sign(self.auth_token, url or message.callback_url, fields)
        return Webhook(urlencode(fields).encode(), FORM, {"X-Twilio-Signature": signature})

    def _create(self, fields: dict[str, str]) -> dict[str, Any]:
        check_parameters(fields)
        self.charge(fields["To"])
        message = TwilioMessage(
            sid="SM" + secrets.token_hex(16),
            to=fields["To"],
            text=fields["Body"],
            sender=fields.get("From", ""),
            service_sid=fields.get("MessagingServiceSid", ""),
            validity=int(fields.get("ValidityPeriod", "36000")),
            callback_url=fields.get("StatusCallback", ""),
            expects_feedback=fields.get("ProvideFeedback") == "true",
            at=datetime.fromtimestamp(self.clock(), UTC),
        )
        self.messages.append(message)
        self.statuses[message.sid] = ("accepted" if message.service_sid else "queued", None)
        self.schedule_receipts(message)
        return self._resource(message)

    def _fetch(self, sid: str) -> dict[str, Any]:
        message = next((one for one in self.messages if one.sid == sid), None)
        if message is None:
            raise TwilioRefused(20404)
        return self._resource(message)

    def _take_feedback(self, sid: str, fields: Mapping[str, str]) -> dict[str, Any]:
        """Take feedback on a message that was sent with `ProvideFeedback`."""
        message = next((one for one in self.messages if one.sid == sid), None)
        if message is None or not message.expects_feedback:
            raise TwilioRefused(20404)
        if fields.keys() != {"Outcome"} or fields["Outcome"] not in ("confirmed", "unconfirmed"):
            raise InvalidRequest("Outcome must be confirmed or unconfirmed.")
        self.feedback[sid] = fields["Outcome"]
        date = format_datetime(message.at)
        return {
            "account_sid": self.account_sid,
            "date_created": date,
            "date_updated": date,
            "message_sid": sid,
            "outcome": fields["Outcome"],
            "uri": f"/{API_VERSION}/Accounts/{self.account_sid}/Messages/{sid}/Feedback.json",
        }

    def _resource(self, message: TwilioMessage) -> dict[str, Any]:
        """Return the message resource; it has a price once the message was sent, as a negative amount."""
        status, error_code = self.statuses[message.sid]
        was_sent = status in ("sent", "delivered", "undelivered")
        date = format_datetime(message.at)
        uri = f"/{API_VERSION}/Accounts/{self.account_sid}/Messages/{message.sid}"
        return {
            "account_sid": self.account_sid,
            "api_version": API_VERSION,
            "body": message.text,
            "date_created": date,
            "date_sent": date if was_sent else None,
            "date_updated": date,
            "direction": "outbound-api",
            "error_code": error_code,
            "error_message": None if error_code is None else "Unreachable destination handset",
            "from": message.sender or None,
            "messaging_service_sid": message.service_sid or None,
            "num_media": "0",
            "num_segments": "0" if message.service_sid else str(count_segments(message.text)),
            "price": PRICE if was_sent else None,
            "price_unit": "USD",
            "sid": message.sid,
            "status": status,
            "subresource_uris": {"media": f"{uri}/Media.json"},
            "to": message.to,
            "uri": f"{uri}.json",
        }
