"""SMSHook's calls, as the vendor's two pages show them, to be sent whenever and however a test wants.

A `Hook` is bytes: sent twice it is a doubled one, sent after another an out-of-order one, and one made with an older
`at` a late one. `forged` signs with a key that is not the account's. When the gateway sends them by itself is in
`sendcloud`, how in `receipts`.
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

__all__ = ["ANSWER_SECONDS", "RETRIES_AFTER_SECONDS", "Form", "Webhook", "WebhookWriter", "send_webhook"]

Form = Literal["json", "form"]

RETRIES_AFTER_SECONDS: Final = (180, 600, 1800, 3600, 6 * 3600, 12 * 3600, 24 * 3600)
"""From one try to the next, while the answer is not 200."""

ANSWER_SECONDS: Final = 3.0
"""A receiver that takes longer is tried again."""

TOKEN_LENGTH: Final = 50
EVENT_TYPES: Final = {
    "request": 1, "Requested": 1, "deliver": 2, "Delivered": 20, "workererror": 4, "Suppressed": 4,
    "delivererror": 5, "Failed": 5, "reply": 6, "templateVerify": 8, "Template Verify": 8,
}  # fmt: skip
"""Both editions' names: the classic ones are lower case."""

_ALPHABET: Final = string.ascii_letters + string.digits


class WebhookWriter:
    """Writes hooks of one account."""

    def __init__(self, app_key: str, sms_user: str = "acme_sms") -> None:
        """Sign with `app_key`."""
        self._app_key = app_key
        self._sms_user = sms_user

    def write(
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
        """Write one event of `at` (Unix seconds); `changed` replaces fields, and takes out those that are None.

        `sms_id` ends with `$<number>`, as the gateway writes it; `custom_args` is echoed: as an object in JSON, as
        text in a form.
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
            **self._about(event, sms_id, status_code),
        }
        kept = {name: value for name, value in {**fields, **changed}.items() if value is not None}
        return _form(kept) if form == "form" else Webhook(json.dumps(kept).encode(), "application/json")

    @staticmethod
    def _about(event: str, sms_id: str, status_code: int | None) -> dict[str, Any]:
        """Say which message: a request's id and number are lists as JSON in strings, a failure has no number."""
        number = sms_id.partition("$")[2]
        if event.lower().startswith("request"):
            return {"smsIds": json.dumps([sms_id]), "phones": json.dumps([number])}
        if event.lower().startswith("template"):
            return {"customArgs": None, "msgCount": None, "name": "Login", "verfiyResult": 1}
        if status_code is None:
            return {"smsId": sms_id, "phone": number}
        reason = base64.b64encode(b"REJECTD").decode()
        return {"smsId": sms_id, "message": "REJECTD", "encodeMessage": reason, "statusCode": status_code}


def sign(app_key: str, timestamp: int, token: str) -> str:
    """Sign as the vendor's samples do: the body is not in it."""
    return hmac.new(app_key.encode(), f"{timestamp}{token}".encode(), hashlib.sha256).hexdigest()


def _form(fields: dict[str, Any]) -> Webhook:
    """Write a form: what is not text or a number goes as JSON in a string."""
    plain = {name: json.dumps(value) if isinstance(value, dict | list) else value for name, value in fields.items()}
    return Webhook(urlencode(plain).encode(), "application/x-www-form-urlencoded")
