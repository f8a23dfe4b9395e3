"""KedaSMS, front proxy and back end: encrypted sends and short links, callbacks, the status, and the account's limits.

The envelope is validated as documented: AES-256-GCM with the timestamp as associated data, at most five minutes off,
and a new iv. Error responses are not documented; here they have a fitting HTTP status, the same number as `code`, and
an English text. A callback goes to the URL in the send request, and is not signed.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from otp_service.sandbox.simulators.http_server import Request, Respond, SimulatorResponse
from otp_service.sandbox.simulators.kedasms_requests import (
    JSON,
    Envelope,
    Limits,
    Payload,
    Refusal,
    ShortLink,
    e164,
    format_time,
    read_body,
)
from otp_service.sandbox.simulators.receipt_sender import ReceiptSender, ScriptedReceipt, Webhook

__all__ = ["KedasmsMessage", "KedasmsSimulator", "refusal"]

WINDOW_SECONDS: Final = 300
IV_BYTES, TAG_BYTES = 12, 16
PRICE: Final = 0.048
SHORT_LINK_PREFIX: Final = "https://kd.example/"
SENT: Final = "SENT"
KEYWORDS: Final[Mapping[str, str]] = {"sent": SENT, "delivered": "DELIVERED", "undelivered": "UNDELIVERED"}
"""The gateway's status keywords; only DELIVERED is documented."""

_URL: Final = re.compile(r"https?://[!-~]+")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class KedasmsMessage:
    """An accepted message; a send returns its `task_id`, callbacks and the status have its `msgid`."""

    task_id: str
    msgid: str
    to: str
    text: str
    sender: str
    callback_url: str
    at: datetime


def refusal(status: int, message: str, *, code: str | None = None, headers: dict[str, str] | None = None) -> Respond:
    """Return the behavior that rejects a request with `status`; `code` is the status by default."""
    body = msgspec.json.encode({"code": str(status) if code is None else code, "message": message})
    return Respond(SimulatorResponse(body, status, {"Content-Type": JSON} | (headers or {})))


class KedasmsSimulator(ReceiptSender[KedasmsMessage]):
    """One account.

    Receipts go to the callback URL of the message, without retries: no document mentions any. The `reason` of a
    scripted receipt is the status keyword.

    Attributes:
        messages: The accepted messages, oldest first.
        plaintexts: The decrypted payloads of the envelopes.
        statuses: The last reported status, by `msgid`.
        short_links: The addresses that were shortened, by the short one.
        limits: The limits that were set last.
        funds: The balance in USD; None is unlimited.
    """

    def __init__(
        self,
        api_key: str = "kedasms-key",
        encryption_key: bytes = bytes(range(32)),
        *,
        clock: Callable[[], float] = time.time,
        funds: float | None = None,
        reuses_iv: bool = False,
    ) -> None:
        """Create an account.

        Args:
            api_key: The key in every request.
            encryption_key: The AES-256 key.
            clock: The gateway's Unix time in seconds.
            funds: The balance in USD; None is unlimited.
            reuses_iv: Accept an iv that was used before.
        """
        super().__init__()
        self.messages: list[KedasmsMessage] = []
        self.plaintexts: list[bytes] = []
        self.statuses: dict[str, str] = {}
        self.short_links: dict[str, str] = {}
        self.limits: Limits | None = None
        self.funds = funds
        self._api_key = api_key
        self._cipher = AESGCM(encryption_key)
        self._clock = clock
        self._reuses_iv = reuses_iv
        self._ivs: set[bytes] = set()
        self._reported_at: dict[str, datetime] = {}

    def answer(self, request: Request) -> SimulatorResponse:
        """Send messages, return a status or set the limits; every response has the gateway's time in `Date`."""
        try:
            match request.method, request.path:
                case "POST", "/api/sms/send":
                    members = self._send(request)
                case "POST", "/api/shortlinks":
                    members = self._shorten(request)
                case "GET", "/api/sms/status":
                    members = self._status(request)
                case "PUT", "/api/external/accounts/limits":
                    members = self._set_limits(request)
                case _:
                    raise Refusal(404, "Not found")
            status = 200
        except Refusal as refused:
            members, status = {"code": str(refused.status), "message": refused.text}, refused.status
        headers = {"Content-Type": JSON, "Date": formatdate(self._clock(), usegmt=True)}
        return SimulatorResponse(msgspec.json.encode(members), status, headers)

    def receipt_url(self, message: KedasmsMessage) -> str:
        """Return the callback URL of the send request."""
        return message.callback_url

    def build_webhook(self, message: KedasmsMessage, receipt: ScriptedReceipt) -> Webhook:
        """Build the callback, and set the status by `msgid` to the same."""
        status = KEYWORDS[receipt.status] if receipt.reason is None else str(receipt.reason)
        self.statuses[message.msgid] = status
        self._reported_at[message.msgid] = datetime.fromtimestamp(self._clock(), UTC)
        return Webhook(self.callback(message, status), JSON)

    def callback(self, message: KedasmsMessage, status: str) -> bytes:
        """Return the body of a callback as documented."""
        return msgspec.json.encode(self._status_members(message, status) | {"cost": "0.05"})

    def click(self, message: KedasmsMessage) -> bytes:
        """Return the body of a callback that says that a short link was opened; its form is not documented."""
        link = next((one for one in self.short_links if one in message.text), "")
        at = format_time(datetime.fromtimestamp(self._clock(), UTC))
        members = {"event": "click", "msgid": message.msgid, "recipient": message.to, "url": link, "clicked_time": at}
        return msgspec.json.encode(members)

    def _status_members(self, message: KedasmsMessage, status: str) -> dict[str, str]:
        """Return the members of a status; only a delivered message has `delivered_time`, as documented."""
        members = {"msgid": message.msgid, "status": status, "recipient": message.to, "sender": message.sender}
        members["sent_time"] = format_time(message.at)
        if status == KEYWORDS["delivered"]:
            members["delivered_time"] = format_time(self._reported_at.get(message.msgid, message.at))
        return members

    def _send(self, request: Request) -> dict[str, Any]:
        message, plaintext = self._open(request, Payload)
        if message.callback_url and not _URL.fullmatch(message.callback_url):
            raise Refusal(400, "callbackUrl is not a URL")
        numbers = [e164(number, message.country_code) for number in message.phone_numbers]
        self._charge(len(numbers))
        self.plaintexts.append(plaintext)
        return self._accept(numbers, message)

    def _shorten(self, request: Request) -> dict[str, Any]:
        link, _ = self._open(request, ShortLink)
        short = f"{SHORT_LINK_PREFIX}{len(self.short_links) + 1:06x}"
        self.short_links[short] = link.url
        return {"code": "0", "message": "Success", "data": {"shortUrl": short}}

    def _open(self, request: Request, kind: type[_T]) -> tuple[_T, bytes]:
        """Check an envelope, and return its payload, decoded and as it was decrypted."""
        envelope = read_body(request, Envelope)
        self._check_key(envelope.api_key)
        if abs(self._clock() - envelope.timestamp) > WINDOW_SECONDS:
            raise Refusal(400, "Timestamp is outside the allowed window")
        plaintext = self._decrypt(envelope)
        try:
            return msgspec.json.decode(plaintext, type=kind), plaintext
        except (msgspec.DecodeError, UnicodeDecodeError) as problem:
            raise Refusal(400, f"Invalid payload: {problem}") from None

    def _decrypt(self, envelope: Envelope) -> bytes:
        try:
            iv = base64.b64decode(envelope.iv, validate=True)
            cipher_text = base64.b64decode(envelope.cipher_text, validate=True)
        except ValueError:
            raise Refusal(400, "iv and cipherText must be base64") from None
        if len(iv) != IV_BYTES or len(cipher_text) <= TAG_BYTES:
            raise Refusal(400, "iv or cipherText has a wrong length")
        try:
            plaintext = self._cipher.decrypt(iv, cipher_text, envelope.timestamp.to_bytes(8, "big"))
        except (InvalidTag, OverflowError):
            raise Refusal(400, "Decryption failed") from None
        if iv in self._ivs and not self._reuses_iv:
            raise Refusal(400, "iv was used before")
        self._ivs.add(iv)
        return plaintext

    def _charge(self, count: int) -> None:
        limits = self.limits
        if limits is not None and limits.block_on_limit:
            sent = self._sent_today() + count
            if limits.daily_sms_cap is not None and sent > limits.daily_sms_cap:
                raise Refusal(403, "Daily SMS cap reached")
            if limits.daily_spend_cap is not None and sent * PRICE > limits.daily_spend_cap:
                raise Refusal(403, "Daily spend cap reached")
        if self.funds is not None:
            if self.funds < count * PRICE:
                raise Refusal(402, "Insufficient balance")
            self.funds -= count * PRICE

    def _sent_today(self) -> int:
        today = datetime.fromtimestamp(self._clock(), UTC).date()
        return sum(message.at.date() == today for message in self.messages)

    def _accept(self, numbers: Sequence[str], payload: Payload) -> dict[str, Any]:
        at = datetime.fromtimestamp(self._clock(), UTC)
        task_id = f"{at:%Y%m%d}-{len(self.plaintexts):04}"
        for number in numbers:
            msgid = f"msg_{len(self.messages) + 1:012x}"
            message = KedasmsMessage(
                task_id, msgid, number, payload.content, payload.sender_id, payload.callback_url, at
            )
            self.messages.append(message)
            self.statuses[msgid] = SENT
            self.schedule_receipts(message)
        debited = round(PRICE * len(numbers), 3)
        data = {"taskId": task_id, "message": "SMS task created", "debitedAmount": debited, "currency": "USD"}
        return {"code": "0", "message": "Success", "data": data}

    def _status(self, request: Request) -> dict[str, Any]:
        msgids = parse_qs(request.query).get("msgid", [])
        message = next((one for one in self.messages if [one.msgid] == msgids), None)
        if message is None:
            raise Refusal(404, "Message not found")
        status = self._status_members(message, self.statuses[message.msgid])
        return {"success": True, "data": status | {"message": message.text}, "code": 200}

    def _set_limits(self, request: Request) -> dict[str, Any]:
        limits = read_body(request, Limits)
        self._check_key(limits.api_key)
        self.limits = limits
        return {"success": True, "code": 200}

    def _check_key(self, api_key: str) -> None:
        if api_key != self._api_key:
            raise Refusal(401, "Invalid API key")
