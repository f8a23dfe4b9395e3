"""The webhooks of SendCloud (SMSHook), as the vendor's two pages show them.

A `Webhook` is bytes, so a test can send it twice, out of order, or late (with an older `at`). `forged` signs it with
a key that is not the account's. `sendcloud` decides when the gateway sends them, `receipt_sender` how.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import string
from typing import Any, Final, Literal
from urllib.parse import urlencode

from otp_service.sandbox.simulators.receipt_sender import Webhook, send_webhook

__all__ = ["ANSWER_SECONDS", "RETRIES_AFTER_SECONDS", "Form", "Webhook", "WebhookBuilder", "send_webhook"]

Form = Literal["json", "form"]

RETRIES_AFTER_SECONDS: Final = (180, 600, 1800, 3600, 6 * 3600, 12 * 3600, 24 * 3600)
"""The delays between attempts while the response is not 200."""

ANSWER_SECONDS: Final = 3.0
"""The timeout of a request; it is retried after that."""

TOKEN_LENGTH: Final = 50
EVENT_TYPES: Final = {
    "request": 1, "Requested": 1, "deliver": 2, "Delivered": 20, "workererror": 4, "Suppressed": 4,
    "delivererror": 5, "Failed": 5, "reply": 6, "templateVerify": 8, "Template Verify": 8,
}  # fmt: skip
"""The event names of both pages; the classic ones are in lower case."""

_ALPHABET: Final = string.ascii_letters + string.digits


class WebhookBuilder:
    """Builds the webhooks of one account."""

    def __init__(self, app_key: str, sms_user: str = "acme_sms") -> None:
        self._app_key = app_key
        self._sms_user = sms_user

    def build(
        self,
        event: str,
        *,
        at: float,
        sms_id: str,
        custom_args: str = "{}",
        status_code: int | None = None,
        form: Form = "json",
        forged: bool = False,
        **changed: Any,
    ) -> Webhook:
        """Build the webhook of one event.

        Args:
            event: The event's name on one of the two pages.
            at: The event's Unix time in seconds.
            sms_id: The gateway's message id; it ends with `$<number>`.
            custom_args: The `customArgs` of the send request, as JSON.
            status_code: The error code of a failure.
            form: The encoding of the body.
            forged: Sign with a wrong key.
            **changed: Fields to replace; a value of None removes the field.
        """
        timestamp, token = int(at * 1000), "".join(secrets.choice(_ALPHABET) for _ in range(TOKEN_LENGTH))
        key = "not the account's" if forged else self._app_key
        fields: dict[str, Any] = {
            "event": event,
            "eventType": EVENT_TYPES[event],
            "message": event,
            "userId": 19999,
            "smsUser": self._sms_user,
            "templateId": 29999,
            "timestamp": timestamp,
            "token": token,
            "signature": sign(key, timestamp, token),
            "customArgs": json.loads(custom_args),
            "msgCount": 1,
            **self._message_fields(event, sms_id, status_code),
        }
        kept = {name: value for name, value in {**fields, **changed}.items() if value is not None}
        return _encode_form(kept) if form == "form" else Webhook(json.dumps(kept).encode(), "application/json")

    @staticmethod
    def _message_fields(event: str, sms_id: str, status_code: int | None) -> dict[str, Any]:
        """Return the fields that identify the message: lists as JSON strings for a request, no number for a failure."""
        number = sms_id.partition("$")[2]
        if event.lower().startswith("request"):
            return {"smsIds": json.dumps([sms_id]), "phones": json.dumps([number])}
        if event.lower().startswith("template"):
            return {"customArgs": None, "msgCount": None, "name": "Login", "verfiyResult": 1}
        if event == "reply":
            return {"phone": number, "replyContent": "STOP", "replyTime": "2026-11-29 00:00:00", "customArgs": None}
        if status_code is None:
            return {"smsId": sms_id, "phone": number}
        reason = base64.b64encode(b"REJECTD").decode()
        return {"smsId": sms_id, "message": "REJECTD", "encodeMessage": reason, "statusCode": status_code}


def sign(app_key: str, timestamp: int, token: str) -> str:
    """Return the signature as the vendor's samples compute it; it does not cover the body."""
    return hmac.new(app_key.encode(), f"{timestamp}{token}".encode(), hashlib.sha256).hexdigest()


def _encode_form(fields: dict[str, Any]) -> Webhook:
    """Encode a form; lists and objects become JSON strings."""
    plain = {name: json.dumps(value) if isinstance(value, dict | list) else value for name, value in fields.items()}
    return Webhook(urlencode(plain).encode(), "application/x-www-form-urlencoded")
