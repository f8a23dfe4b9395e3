"""Vonage, `/sms/json` and `/account/get-balance`: with key and secret, HTTP Basic, or signed as Vonage documents it.

The simulator is stricter than the gateway: an unknown or duplicate parameter, a wrongly encoded form, or a text that
its `type` cannot hold gets HTTP 400 and the reason as text, so that an integration that passes here works there. A
request that the gateway rejects gets HTTP 200 and the documented status.

A text has one element in the response, one id and one receipt for each of its parts. Receipts go to the `callback` of
the request, or to the URL of the account (`webhook_url`), and are retried until the response is 200.
"""

from __future__ import annotations

import hmac
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from otp_service.domain.sms_segments import characters_outside_gsm7, count_segments
from otp_service.sandbox.simulators import vonage_conversions
from otp_service.sandbox.simulators.http_server import Request, Respond, SimulatorResponse
from otp_service.sandbox.simulators.receipt_sender import ReceiptSender, ScriptedReceipt, Webhook
from otp_service.sandbox.simulators.vonage_conversions import take_conversion
from otp_service.sandbox.simulators.vonage_receipts import RETRIES_AFTER_SECONDS, Form, ReceiptBuilder
from otp_service.sandbox.simulators.vonage_requests import (
    CLOCK_WINDOW_SECONDS,
    InvalidRequest,
    Method,
    credentials,
    parse_fields,
    sign,
)

__all__ = ["VonageMessage", "VonagePart", "VonageSimulator", "refusal"]

PRICE: Final = Decimal("0.03330000")
MIN_TTL_MS, MAX_TTL_MS = 20_000, 604_800_000
MAX_CALLBACK_CHARS: Final = 100
MAX_REFERENCE_CHARS: Final = 40
"""Longest `client-ref` by the older of the vendor's pages; the newer one allows 100 characters."""

MAX_TEXT_CHARS: Final = 3200
UNSPECIFIED_FAILURE: Final = 1
STATUSES: Final[Mapping[str, str]] = {"sent": "buffered", "delivered": "delivered", "undelivered": "failed"}

_PARAMETERS: Final = frozenset({
    "api_key", "api_secret", "sig", "timestamp", "from", "to", "text", "type", "ttl", "status-report-req", "callback",
    "client-ref", "account-ref", "entity-id", "content-id",
})  # fmt: skip
_NUMBER: Final = re.compile(r"[1-9][0-9]{6,14}", re.ASCII)
_URL: Final = re.compile(r"https?://[!-~]+", re.ASCII)
_ERROR_TEXTS: Final[Mapping[int, str]] = {
    1: "Throughput Rate Exceeded - please wait [ 250 ] and retry",
    4: "Bad Credentials",
    9: "Quota Exceeded - rejected",
    14: "Invalid Signature",
}


@dataclass(frozen=True, slots=True)
class VonageMessage:
    """An accepted message; `ids` are the ids of its accepted parts."""

    ids: tuple[str, ...]
    to: str
    text: str
    type: str
    sender: str
    ttl_ms: int | None
    callback: str
    client_ref: str
    at: datetime


@dataclass(frozen=True, slots=True)
class VonagePart:
    """One part of a message, which has its own receipts."""

    id: str
    message: VonageMessage


class _Refused(Exception):
    """The gateway rejects the message with its own status."""

    def __init__(self, status: int, error_text: str = "") -> None:
        super().__init__(status)
        self.status = status
        self.error_text = error_text


def refusal(status: int, error_text: str = "") -> Respond:
    """Return the behavior that rejects a message with `status`."""
    return Respond(_reply([_refused_part(status, error_text)]))


class VonageSimulator(ReceiptSender[VonagePart]):
    """One account.

    Attributes:
        messages: The accepted messages, oldest first.
                    conversions: The messages that were reported, and whether they have reached their purpose.
        balance: The balance in EUR; each part costs 0.0333.
        refused_parts: The status of each part of later messages that is rejected, by its number from 0.
        webhook_url: The URL for receipts of messages without a `callback`; "" sends none.
        form: The encoding of receipts.
        receipt_builder: Builds receipts.
    """

    def __init__(
        self,
        api_key: str,
        api_secret: str,
        *,
        signature_key: str = "",
        method: Method = "md5hash",
        signs_receipts: bool = False,
        balance: str = "15.50",
        clock: Callable[[], float] = time.time,
        form: Form = "json",
        retry_factor: float = 1.0,
    ) -> None:
        """Create an account.

        Args:
            api_key: The account's key.
            api_secret: Its secret.
            signature_key: The secret of signatures; without one, signed requests are rejected.
            method: How signatures are computed.
            signs_receipts: Receipts are signed, which Vonage enables on request.
            balance: The balance in EUR.
            clock: The gateway's Unix time in seconds.
            form: The encoding of receipts.
            retry_factor: Multiplies the delays between retries.
        """
        super().__init__([seconds * retry_factor for seconds in RETRIES_AFTER_SECONDS])
        self.messages: list[VonageMessage] = []
        self.conversions: list[tuple[str, bool]] = []
        self.balance = Decimal(balance)
        self.refused_parts: dict[int, int] = {}
        self.webhook_url = ""
        self.form: Form = form
        self.receipt_builder = ReceiptBuilder(api_key, signature_key if signs_receipts else "", method)
        self._key, self._secret = api_key, api_secret
        self._signature_key, self._method = signature_key, method
        self._clock = clock
        self._part_count = 0

    def answer(self, request: Request) -> SimulatorResponse:
        """Send a message, or return the balance."""
        if request.path == "/account/get-balance":
            return self._balance(request)
        if request.path == vonage_conversions.PATH:
            ids = [part for message in self.messages for part in message.ids]
            return take_conversion(request, (self._key, self._secret), ids, self.conversions)
        if request.path != "/sms/json":
            return _text_response(404, "Use /sms/json.")
        try:
            fields = parse_fields(request)
            if unknown := fields.keys() - _PARAMETERS:
                raise InvalidRequest(f"Unknown parameters: {', '.join(sorted(unknown))}")
            self._authenticate(fields, request.headers.get("authorization", ""))
            return self._send(fields)
        except InvalidRequest as problem:
            return _text_response(400, str(problem))
        except _Refused as refused:
            return _reply([_refused_part(refused.status, refused.error_text)])

    def receipt_url(self, message: VonagePart) -> str:
        """Return the `callback` of the send request, or else the account's URL."""
        return message.message.callback or self.webhook_url

    def build_webhook(self, message: VonagePart, receipt: ScriptedReceipt) -> Webhook:
        """Build the receipt of a part; `reason` is the `err-code`."""
        reason = int(receipt.reason or UNSPECIFIED_FAILURE) if receipt.status == "undelivered" else 0
        return self.receipt_builder.build(
            STATUSES[receipt.status],
            at=self._clock(),
            message_id=message.id,
            msisdn=message.message.to,
            sender=message.message.sender,
            client_ref=message.message.client_ref,
            error_code=reason,
            form=self.form,
        )

    def _authenticate(self, fields: Mapping[str, str], authorization: str) -> None:
        if "sig" in fields:
            self._check_signature(fields, authorization)
            return
        given = fields.get("api_key", ""), fields.get("api_secret", "")
        if authorization and any(given):
            raise InvalidRequest("Send the secret in a header or in the body, not in both.")
        if not authorization and not all(given):
            raise _Refused(2, "Missing api_key or api_secret param")
        if (credentials(authorization) if authorization else given) != (self._key, self._secret):
            raise _Refused(4)

    def _check_signature(self, fields: Mapping[str, str], authorization: str) -> None:
        if authorization:
            raise InvalidRequest("Do not send an Authorization header with sig.")
        if "api_secret" in fields:
            raise _Refused(32)
        if fields.get("api_key") != self._key:
            raise _Refused(4)
        expected = sign(fields, self._signature_key, self._method).lower()
        timestamp = fields.get("timestamp", "")
        is_current = timestamp.isdigit() and abs(int(timestamp) - self._clock()) <= CLOCK_WINDOW_SECONDS
        if not self._signature_key or not is_current or not hmac.compare_digest(expected, fields["sig"].lower()):
            raise _Refused(14)

    def _send(self, fields: Mapping[str, str]) -> SimulatorResponse:
        for name in ("from", "to", "text"):
            if not fields.get(name):
                raise _Refused(2, f"Missing {name} param")
        if not _NUMBER.fullmatch(fields["to"]):
            raise _Refused(3, "Invalid value for param: to")
        ttl = fields.get("ttl")
        if ttl is not None and not (ttl.isdigit() and MIN_TTL_MS <= int(ttl) <= MAX_TTL_MS):
            raise _Refused(3, "Invalid value for param: ttl")
        callback = fields.get("callback", "")
        if callback and not (len(callback) <= MAX_CALLBACK_CHARS and _URL.fullmatch(callback)):
            raise _Refused(23)
        if len(fields.get("client-ref", "")) > MAX_REFERENCE_CHARS:
            raise _Refused(3, "Invalid value for param: client-ref")
        if len(fields["text"]) > MAX_TEXT_CHARS:
            raise _Refused(12)
        kind = fields.get("type", "text")
        if kind not in ("text", "unicode") or (kind == "text" and characters_outside_gsm7(fields["text"])):
            raise InvalidRequest("Send type=text for GSM 03.38 characters, and type=unicode for others.")
        return self._accept(fields, count_segments(fields["text"]))

    def _accept(self, fields: Mapping[str, str], count: int) -> SimulatorResponse:
        if self.balance < PRICE * count:
            raise _Refused(9)
        reference = {"client-ref": fields["client-ref"]} if "client-ref" in fields else {}
        parts: list[dict[str, str]] = []
        for number in range(count):
            if status := self.refused_parts.get(number):
                parts.append(_refused_part(status))
                continue
            self._part_count += 1
            self.balance -= PRICE
            parts.append({
                "to": fields["to"],
                "message-id": f"0A0000{self._part_count:010X}",
                "status": "0",
                "remaining-balance": f"{self.balance:.8f}",
                "message-price": f"{PRICE:.8f}",
                "network": "51010",
                **reference,
            })  # fmt: skip
        if ids := tuple(part["message-id"] for part in parts if part["status"] == "0"):
            self._record(fields, ids)
        return _reply(parts)

    def _record(self, fields: Mapping[str, str], ids: tuple[str, ...]) -> None:
        message = VonageMessage(
            ids=ids,
            to=fields["to"],
            text=fields["text"],
            type=fields.get("type", "text"),
            sender=fields["from"],
            ttl_ms=int(fields["ttl"]) if "ttl" in fields else None,
            callback=fields.get("callback", ""),
            client_ref=fields.get("client-ref", ""),
            at=datetime.fromtimestamp(self._clock(), UTC),
        )
        self.messages.append(message)
        for part_id in ids:
            self.schedule_receipts(VonagePart(part_id, message))

    def _balance(self, request: Request) -> SimulatorResponse:
        if credentials(request.headers.get("authorization", "")) != (self._key, self._secret):
            return _json_response({"error-code": "401", "error-code-label": "authentication failed"}, 401)
        return _json_response({"value": float(self.balance), "autoReload": False})


def _refused_part(status: int, error_text: str = "") -> dict[str, str]:
    return {"status": str(status), "error-text": error_text or _ERROR_TEXTS.get(status, "rejected")}


def _reply(parts: list[dict[str, str]]) -> SimulatorResponse:
    return _json_response({"message-count": str(len(parts)), "messages": parts})


def _json_response(members: Mapping[str, Any], status: int = 200) -> SimulatorResponse:
    return SimulatorResponse(json.dumps(members).encode(), status, {"Content-Type": "application/json"})


def _text_response(status: int, text: str) -> SimulatorResponse:
    return SimulatorResponse(text.encode(), status, {"Content-Type": "text/plain;charset=utf-8"})
