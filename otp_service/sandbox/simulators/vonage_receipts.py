"""Delivery receipts of Vonage, as the vendor's guide and its API reference show them.

A `Webhook` is what the gateway sends, so a test can send it twice, to another URL or late (with an older `at`).
`vonage` decides when the gateway sends them, `receipt_sender` how.
"""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Final, Literal
from urllib.parse import urlencode

from otp_service.sandbox.simulators.receipt_sender import Webhook
from otp_service.sandbox.simulators.vonage_requests import FORM, JSON, Method, sign

__all__ = ["RETRIES_AFTER_SECONDS", "Form", "ReceiptBuilder"]

Form = Literal["json", "form", "query"]
"""How the account's receipts are sent (dashboard, "HTTP method"): POST-JSON, POST or GET."""

RETRIES_AFTER_SECONDS: Final = (5, 10, 20, 40, 80, 160, 320, 640)
"""The first delays between attempts while the response is not 200; they double, up to 15 minutes, for 24 hours."""


class ReceiptBuilder:
    """Builds the receipts of one account; without a secret they are not signed."""

    def __init__(self, api_key: str, secret: str = "", method: Method = "md5hash") -> None:
        self._api_key = api_key
        self._secret = secret
        self._method: Method = method

    def build(
        self,
        status: str,
        *,
        at: float,
        message_id: str,
        msisdn: str,
        sender: str,
        client_ref: str = "",
        error_code: int = 0,
        form: Form = "json",
        forged: bool = False,
        **changed: str | None,
    ) -> Webhook:
        """Build the receipt of one part.

        Args:
            status: The status of the part.
            at: The Unix time in seconds at which the receipt is sent.
            message_id: The gateway's id of the part.
            msisdn: The recipient.
            sender: The sender id of the message.
            client_ref: The `client-ref` of the send request.
            error_code: `err-code`; 0: no error.
            form: The encoding of the receipt.
            forged: Sign with a wrong secret.
            **changed: Fields to replace before the receipt is signed, with `_` for `-` in their names; a value of None
                removes the field.
        """
        now = datetime.fromtimestamp(at, UTC)
        fields = {
            "msisdn": msisdn,
            "to": sender,
            "network-code": "51010",
            "messageId": message_id,
            "price": "0.03330000",
            "status": status,
            "scts": now.strftime("%y%m%d%H%M"),
            "err-code": str(error_code),
            "api-key": self._api_key,
            "client-ref": client_ref,
            "message-timestamp": now.strftime("%Y-%m-%d %H:%M:%S"),
        }
        if self._secret:
            fields |= {"timestamp": str(int(at)), "nonce": str(uuid.uuid4())}
        replaced = {**fields, **{name.replace("_", "-"): value for name, value in changed.items()}}
        kept = {name: value for name, value in replaced.items() if value}
        if self._secret:
            kept["sig"] = sign(kept, "not the account's" if forged else self._secret, self._method)
        return _encode(kept, form)


def _encode(fields: dict[str, str], form: Form) -> Webhook:
    if form == "query":
        return Webhook(b"", "", method="GET", query=urlencode(fields))
    if form == "form":
        return Webhook(urlencode(fields).encode(), FORM)
    return Webhook(json.dumps(fields).encode(), JSON)
