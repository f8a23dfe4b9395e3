"""Twilio, Messages API of version 2010-04-01: create a message, fetch one, and fetch the balance.

The simulator is stricter than the gateway: an unknown or repeated parameter, or a wrongly encoded form, gets HTTP 400
and the reason as text. What Twilio itself refuses gets its error resource: `code`, `message`, `more_info`, `status`.

Status callbacks go to the `StatusCallback` of the message as a form, signed with the auth token as Twilio documents it.
Twilio sends none for the first status, and repeats one only if it gets no connection; the simulator never does.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import urlencode

from otp_service.domain.sms_segments import count_segments
from otp_service.sandbox.simulators.http_server import Request, Respond, SimulatorResponse
from otp_service.sandbox.simulators.receipt_sender import ReceiptSender, ScriptedReceipt, Webhook
from otp_service.sandbox.simulators.twilio_requests import (
    FORM,
    InvalidRequest,
    TwilioRefused,
    check_parameters,
    parse_form,
)

__all__ = ["ACCOUNT_SID", "TwilioMessage", "TwilioSimulator", "refusal", "sign"]

ACCOUNT_SID: Final = "AC" + "0123456789abcdef" * 2
API_VERSION: Final = "2010-04-01"
PRICE: Final = "-0.04530"
UNREACHABLE: Final = 30003
READ_TIMEOUT_SECONDS: Final = 15.0
"""Twilio's limit for the answer to a webhook."""

HTTP_STATUSES: Final[Mapping[int, int]] = {20003: 401, 20005: 403, 20403: 403, 20404: 404, 20429: 429, 63038: 429,
                                           70051: 401}  # fmt: skip
"""The HTTP status of an error code; it is 400 for all others."""


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
    at: datetime


def refusal(code: int, status: int | None = None, headers: Mapping[str, str] | None = None) -> Respond:
    """Return the behavior that refuses a request with an error code, and the HTTP status that belongs to it."""
    return Respond(_error(code, status, headers))


def sign(auth_token: str, url: str, parameters: Mapping[str, str]) -> str:
    """Return the signature of a webhook: over the URL, followed by the parameters sorted by name."""
    text = url + "".join(name + parameters[name] for name in sorted(parameters))
    return base64.b64encode(hmac.new(auth_token.encode(), text.encode(), hashlib.sha1).digest()).decode()


class TwilioSimulator(ReceiptSender[TwilioMessage]):
    """One account.

    Attributes:
        messages: The accepted messages, oldest first.
        statuses: The status and the error code of each message, by its SID.
        funds: The balance in USD; None is unlimited, and is shown as 100.
    """

    answer_seconds = READ_TIMEOUT_SECONDS

    def __init__(
        self,
        account_sid: str = ACCOUNT_SID,
        auth_token: str = "twilio-auth-token",  # noqa: S107 - only the simulator accepts it
        *,
        api_key: tuple[str, str] | None = None,
        refused: Mapping[str, int] | None = None,
        funds: float | None = None,
        is_subaccount: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Create an account.

        Args:
            account_sid: The account's SID.
            auth_token: Its auth token, which is also the key of the signatures.
            api_key: SID and secret of an API key.
            refused: The error code for numbers (E.164) that are refused.
            funds: The balance in USD; None is unlimited.
            is_subaccount: The account has no balance of its own.
            clock: The gateway's Unix time in seconds.
        """
        super().__init__()
        self.messages: list[TwilioMessage] = []
        self.statuses: dict[str, tuple[str, int | None]] = {}
        self.funds = funds
        self._account_sid, self._auth_token = account_sid, auth_token
        self._credentials = [(account_sid, auth_token), *([api_key] if api_key else [])]
        self._refused = refused or {}
        self._is_subaccount = is_subaccount
        self._clock = clock

    def answer(self, request: Request) -> SimulatorResponse:
        """Create or fetch a message, or fetch the balance."""
        prefix = f"/{API_VERSION}/Accounts/{self._account_sid}/"
        try:
            self._authenticate(request.headers.get("authorization", ""))
            resource = request.path.removeprefix(prefix)
            match request.method, resource.partition("/")[0]:
                case "POST", "Messages.json":
                    return _json(201, self._create(parse_form(request)))
                case "GET", "Messages":
                    return _json(200, self._fetch(resource.removeprefix("Messages/").removesuffix(".json")))
                case "GET", "Balance.json":
                    return _json(200, self._balance())
            raise TwilioRefused(20404)
        except InvalidRequest as problem:
            return SimulatorResponse(str(problem).encode(), 400, {"Content-Type": "text/plain;charset=utf-8"})
        except TwilioRefused as refused:
            return _error(refused.code)

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
            "AccountSid": self._account_sid,
            "From": message.sender or "+15005550006",
            "ApiVersion": API_VERSION,
            "ErrorCode": "" if error_code is None else str(error_code),
        }
        fields = {name: value for name, value in fields.items() if value}
        signature = sign(self._auth_token, url or message.callback_url, fields)
        return Webhook(urlencode(fields).encode(), FORM, {"X-Twilio-Signature": signature})

    def _authenticate(self, authorization: str) -> None:
        allowed = [
            "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode() for user, password in self._credentials
        ]
        if authorization not in allowed:
            raise TwilioRefused(20003)

    def _create(self, fields: dict[str, str]) -> dict[str, Any]:
        check_parameters(fields)
        if code := self._refused.get(fields["To"]):
            raise TwilioRefused(code)
        if self.funds is not None:
            if self.funds <= 0:
                raise TwilioRefused(20005)
            self.funds = round(self.funds + float(PRICE), 5)
        message = TwilioMessage(
            sid="SM" + secrets.token_hex(16),
            to=fields["To"],
            text=fields["Body"],
            sender=fields.get("From", ""),
            service_sid=fields.get("MessagingServiceSid", ""),
            validity=int(fields.get("ValidityPeriod", "36000")),
            callback_url=fields.get("StatusCallback", ""),
            at=datetime.fromtimestamp(self._clock(), UTC),
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

    def _balance(self) -> dict[str, Any]:
        balance = None if self._is_subaccount else str(100.0 if self.funds is None else self.funds)
        return {"account_sid": self._account_sid, "balance": balance, "currency": "USD"}

    def _resource(self, message: TwilioMessage) -> dict[str, Any]:
        """Return the message resource; it has a price once the message was sent, as a negative amount."""
        status, error_code = self.statuses[message.sid]
        was_sent = status in ("sent", "delivered", "undelivered")
        date = format_datetime(message.at)
        uri = f"/{API_VERSION}/Accounts/{self._account_sid}/Messages/{message.sid}"
        return {
            "account_sid": self._account_sid,
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


def _error(code: int, status: int | None = None, headers: Mapping[str, str] | None = None) -> SimulatorResponse:
    status = HTTP_STATUSES.get(code, 400) if status is None else status
    more_info = f"https://www.twilio.com/docs/errors/{code}"
    return _json(status, {"code": code, "message": "Refused", "more_info": more_info, "status": status}, headers)


def _json(status: int, value: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> SimulatorResponse:
    content_type = {"Content-Type": "application/json;charset=utf-8"}
    return SimulatorResponse(json.dumps(value).encode(), status, content_type | dict(headers or {}))
