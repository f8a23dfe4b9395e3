"""WhatsApp's Cloud API: authentication templates to one recipient, and webhooks about their status.

The simulator is stricter than the gateway: a body with unknown or missing members gets HTTP 400 and the reason as
text. What WhatsApp itself refuses gets its error object, with the HTTP status that is documented for the code.

Webhooks go to the one URL of the app, signed with the app secret. Like Meta's, their JSON has every character outside
ASCII and every slash escaped, so that a signature over parsed and encoded JSON does not match.
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
from types import MappingProxyType
from typing import Any, Final

from otp_service.sandbox.simulators.http_server import Request, Respond, SimulatorResponse
from otp_service.sandbox.simulators.receipt_sender import ReceiptSender, ScriptedReceipt, Webhook
from otp_service.sandbox.simulators.whatsapp_requests import JSON, InvalidRequest, WhatsappRefused, parse_message

__all__ = ["PHONE_NUMBER_ID", "SEND_PATH", "TEMPLATE", "WhatsappMessage", "WhatsappSimulator", "refusal", "sign"]

PHONE_NUMBER_ID: Final = "106540352242922"
DISPLAY_NUMBER: Final = "15550783881"
BUSINESS_ACCOUNT_ID: Final = "102290129340398"
SEND_PATH: Final = f"/v24.0/{PHONE_NUMBER_ID}/messages"
TEMPLATE: Final = "otp_code"
UNDELIVERABLE: Final = 131026
STATUSES: Final[Mapping[str, str]] = {"sent": "sent", "delivered": "delivered", "undelivered": "failed"}

RETRIES_AFTER_SECONDS: Final = (60.0, 300.0)
"""Assumed: Meta documents retries with decreasing frequency, for up to seven days."""

PRESET_TEXTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "en_US": "{code} is your verification code. For your security, do not share this code.",
        "id": "{code} adalah kode verifikasi Anda. Demi keamanan, jangan bagikan kode ini.",
    }
)
"""The text that WhatsApp shows, by the language of the approved template."""

_HTTP_STATUSES: Final[Mapping[int, int]] = {
    0: 401, 190: 401, 3: 500, 10: 403, 368: 403, 130497: 403, 131005: 403, 131031: 403, 132001: 404, 131000: 500,
    131016: 500, 131045: 500, 131057: 500, 133000: 500, 2: 503, 133004: 503,
}  # fmt: skip
"""The HTTP status of an error code; it is 403 from 200 to 299, and 400 for all others."""


@dataclass(frozen=True, slots=True)
class WhatsappMessage:
    """An accepted message; `text` is what the recipient sees, `wamid` is WhatsApp's id of it."""

    wamid: str
    to: str
    text: str
    code: str
    template: str
    language: str
    callback_data: str
    at: datetime


def refusal(code: int, status: int | None = None, headers: Mapping[str, str] | None = None) -> Respond:
    """Return the behavior that refuses a request with an error code, and the HTTP status that belongs to it."""
    return Respond(_error(code, status=status, headers=headers))


def sign(app_secret: str, body: bytes) -> str:
    """Return the `X-Hub-Signature-256` of a webhook."""
    return "sha256=" + hmac.new(app_secret.encode(), body, hashlib.sha256).hexdigest()


class WhatsappSimulator(ReceiptSender[WhatsappMessage]):
    """One business phone number, with the template `otp_code` approved in two languages.

    Attributes:
        messages: The accepted messages, oldest first.
        webhook_url: The webhook of the app; "" sends none.
    """

    def __init__(
        self,
        access_token: str = "whatsapp-token",  # noqa: S107 - only the simulator accepts it
        app_secret: str = "whatsapp-app-secret",  # noqa: S107 - only the simulator accepts it
        *,
        refused: Mapping[str, int] | None = None,
        clock: Callable[[], float] = time.time,
        retry_factor: float = 1.0,
    ) -> None:
        """Create a number.

        Args:
            access_token: The token of the app.
            app_secret: The key of the signatures of webhooks.
            refused: The error code for recipients (digits) that are refused.
            clock: The gateway's Unix time in seconds.
            retry_factor: Multiplies the delays between retries of a webhook.
        """
        super().__init__([seconds * retry_factor for seconds in RETRIES_AFTER_SECONDS])
        self.messages: list[WhatsappMessage] = []
        self.webhook_url = ""
        self._authorization = f"Bearer {access_token}"
        self._app_secret = app_secret
        self._proof = hmac.new(app_secret.encode(), access_token.encode(), hashlib.sha256).hexdigest()
        self._refused = refused or {}
        self._clock = clock

    def answer(self, request: Request) -> SimulatorResponse:
        """Accept or refuse a message."""
        try:
            if request.headers.get("authorization") != self._authorization:
                raise WhatsappRefused(190)
            if (request.method, request.path) != ("POST", SEND_PATH):
                raise WhatsappRefused(100, "Unsupported request")
            if request.query not in ("", f"appsecret_proof={self._proof}"):
                raise WhatsappRefused(100, "Invalid appsecret_proof provided in the API argument")
            return _json(200, self._send(request))
        except InvalidRequest as problem:
            return SimulatorResponse(str(problem).encode(), 400, {"Content-Type": "text/plain;charset=utf-8"})
        except WhatsappRefused as refused:
            return _error(refused.code, refused.details)

    def receipt_url(self, message: WhatsappMessage) -> str:
        """Return the webhook of the app."""
        del message
        return self.webhook_url

    def build_webhook(self, message: WhatsappMessage, receipt: ScriptedReceipt) -> Webhook:
        """Build a signed webhook; `reason` is the error code."""
        reason = int(receipt.reason or UNDELIVERABLE) if receipt.status == "undelivered" else None
        return self.status_webhook(self.status_of(message, STATUSES[receipt.status], reason))

    def status_of(self, message: WhatsappMessage, status: str, error_code: int | None = None) -> dict[str, Any]:
        """Return the `statuses` object of a message."""
        fields: dict[str, Any] = {
            "id": message.wamid,
            "status": status,
            "timestamp": str(int(self._clock())),
            "recipient_id": message.to,
        }
        if message.callback_data:
            fields["biz_opaque_callback_data"] = message.callback_data
        if error_code is not None:
            fields["errors"] = [_error_object(error_code)]
        else:
            fields["pricing"] = {
                "billable": True,
                "pricing_model": "PMP",
                "type": "regular",
                "category": "authentication",
            }
        return fields

    def status_webhook(self, *statuses: Mapping[str, Any], phone_number_id: str = PHONE_NUMBER_ID) -> Webhook:
        """Return the signed webhook with these statuses of messages of a number."""
        metadata = {"display_phone_number": DISPLAY_NUMBER, "phone_number_id": phone_number_id}
        value = {"messaging_product": "whatsapp", "metadata": metadata, "statuses": statuses}
        entry = {"id": BUSINESS_ACCOUNT_ID, "changes": [{"value": value, "field": "messages"}]}
        body = json.dumps({"object": "whatsapp_business_account", "entry": [entry]}, separators=(",", ":"))
        raw = body.replace("/", "\\/").encode("ascii")
        return Webhook(raw, JSON, {"X-Hub-Signature-256": sign(self._app_secret, raw)})

    def _send(self, request: Request) -> dict[str, Any]:
        sent = parse_message(request)
        if code := self._refused.get(sent.to):
            raise WhatsappRefused(code)
        if sent.to == DISPLAY_NUMBER:
            raise WhatsappRefused(131021)
        if sent.name != TEMPLATE or sent.language not in PRESET_TEXTS:
            raise WhatsappRefused(132001, f"template name ({sent.name}) does not exist in {sent.language}")
        message = WhatsappMessage(
            wamid=_wamid(sent.to),
            to=sent.to,
            text=PRESET_TEXTS[sent.language].replace("{code}", sent.code),
            code=sent.code,
            template=sent.name,
            language=sent.language,
            callback_data=sent.callback_data,
            at=datetime.fromtimestamp(self._clock(), UTC),
        )
        self.messages.append(message)
        self.schedule_receipts(message)
        return {
            "messaging_product": "whatsapp",
            "contacts": [{"input": sent.to, "wa_id": sent.to}],
            "messages": [{"id": message.wamid, "message_status": "accepted"}],
        }


def _wamid(to: str) -> str:
    """Return an id in the form of WhatsApp's: base64 of bytes among which the recipient's number stands."""
    number, token = to.encode(), secrets.token_hex(9).upper().encode()
    raw = b"\x1d\x18" + bytes([len(number)]) + number + b"\x15\x02\x00\x11\x18" + bytes([len(token)]) + token + b"\x00"
    return "wamid." + base64.b64encode(raw).decode()


def _error_object(code: int, details: str = "") -> dict[str, Any]:
    """Return an error as webhooks have it."""
    return {
        "code": code,
        "title": f"Error {code}",
        "message": f"Error {code}",
        "error_data": {"details": details or "Refused"},
        "href": "/documentation/business-messaging/whatsapp/support/error-codes",
    }


def _error(
    code: int, details: str = "", status: int | None = None, headers: Mapping[str, str] | None = None
) -> SimulatorResponse:
    default = 403 if 200 <= code <= 299 else _HTTP_STATUSES.get(code, 400)
    error = {
        "message": f"(#{code}) Refused",
        "type": "OAuthException",
        "code": code,
        "error_data": {"messaging_product": "whatsapp", "details": details or "Refused"},
        "fbtrace_id": "A" + secrets.token_hex(8),
    }
    return _json(default if status is None else status, {"error": error}, headers)


def _json(status: int, value: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> SimulatorResponse:
    content_type = {"Content-Type": "application/json; charset=UTF-8"}
    return SimulatorResponse(json.dumps(value).encode(), status, content_type | dict(headers or {}))
