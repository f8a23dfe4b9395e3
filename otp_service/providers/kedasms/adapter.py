"""KedaSMS: the message is sealed with AES-256-GCM and posted to a front proxy; callbacks tell what became of it.

Documented: the envelope, the fields, `code` "0" with a `taskId` for success, the shape of a callback, of the status and
of the limits. Not documented: the answer to the limits, and how a `taskId` becomes the `msgid` that callbacks and the
status speak of. What answers mean is in `kedasms_answers.py`.

The proxy forwards to a back end: a timeout and a 5xx may have been forwarded, and are ambiguous. There is no
idempotency key. The one thing that is asked again is a request that was refused (4xx) for its timestamp: once, with the
clock of the answer's `Date`. The status and the refusals may echo the text, hence the code: no body is kept or logged.
"""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from otp_service.domain.message import (
    AccountLimits,
    DeliveryReport,
    OutboundMessage,
    Receipt,
    ReceiptForged,
    ReceiptRequest,
    SendResult,
)
from otp_service.domain.outcomes import Outcome
from otp_service.domain.secret import Secret
from otp_service.observability import LOG
from otp_service.providers.http_client import GatewayClient, GatewayResponse
from otp_service.providers.kedasms.result_codes import (
    date_of,
    doubts_time,
    is_ok,
    read_answer,
    read_limits,
    status_of,
    text_of,
)
from otp_service.providers.lenient_json import json_object

__all__ = ["Kedasms", "KedasmsAccount", "sealed"]

JSON: Final = "application/json"
KEY_BYTES, IV_BYTES = 32, 12
SAME_CLOCK_SECONDS: Final = 2.0
"""`Date` has whole seconds; a clock that is as near as this was not why a request was refused."""

_ALPHA_2: Final = re.compile(r"[A-Z]{2}")
_NUMBER: Final = re.compile(r"\+?[0-9]{4,15}")
_limits_json: Final = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class KedasmsAccount:
    """How to reach the gateway and who we are there. `encryption_key` is the 32 bytes, out of their base64."""

    base_url: str
    status_base_url: str
    api_key: Secret
    encryption_key: bytes = field(repr=False)
    sender_id: str | None = None
    first_report_seconds: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a key that is not AES-256's: raises ValueError. Most of the samples take what they get."""
        if len(self.encryption_key) != KEY_BYTES:
            raise ValueError(f"the encryption key has to be {KEY_BYTES} bytes")


class Kedasms:
    """One account at KedaSMS. Its clock is ours, moved by `offset` seconds once the gateway has found ours wrong."""

    def __init__(
        self, name: str, account: KedasmsAccount, client: GatewayClient, clock: Callable[[], float] = time.time
    ) -> None:
        """Send through `client` as `account`; `clock` gives Unix seconds."""
        self.name = name
        self.idempotent_send = False
        self.reports_delivery = True
        self.first_report_seconds = account.first_report_seconds
        self.timeout_seconds = client.timeout_seconds
        self.offset = 0.0
        self._account = account
        self._client = client
        self._clock = clock

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()

    async def send(self, outbound: OutboundMessage) -> SendResult:
        """Hand one message over; see the port. The id in the answer is the `taskId`."""
        if not _ALPHA_2.fullmatch(
            outbound.country
        ):  # satellite networks belong to no country: this wire cannot name them
            return SendResult(Outcome.CONTENT_REJECTED)
        deadline = asyncio.get_running_loop().time() + self.timeout_seconds
        offset = self.offset
        reply = await self._post(outbound, offset)
        if self._finds_clock_wrong(reply, offset):
            try:
                async with asyncio.timeout_at(deadline):
                    reply = await self._post(outbound, self.offset)
            except TimeoutError:
                return SendResult(Outcome.AMBIGUOUS)
        return read_answer(reply, self._clock() + self.offset, outbound.text)

    def parse_receipts(self, call: ReceiptRequest) -> Sequence[Receipt]:
        """Read a callback; see the port. Nothing signs it: only the token in its address, so the message, proves it."""
        if call.message_id is None:
            raise ReceiptForged
        body = json_object(call.body)
        msgid = text_of(body.get("msgid"))
        if not msgid and "status" not in body:
            return []
        to = text_of(body.get("recipient"))
        to = to if _NUMBER.fullmatch(to) else ""
        return [Receipt(call.message_id, status_of(body.get("status")), provider_message_id=msgid, to=to)]

    async def fetch_report(self, message_id: str) -> DeliveryReport:
        """Ask what became of the message with this `msgid`, which a receipt has named as `provider_message_id`.

        A send gives a `taskId` only, and no document says how to come from it to a `msgid`. So an answer counts only
        when it names the very id that was asked for: for a `taskId` that is no status, not somebody else's.
        """
        url = f"{self._account.status_base_url.rstrip('/')}/api/sms/status?msgid={quote(message_id, safe='')}"
        reply = await self._client.call("GET", url) if message_id else Outcome.TRANSIENT
        answer = json_object(reply.body) if isinstance(reply, GatewayResponse) and is_ok(reply.status) else {}
        data = answer.get("data")
        if answer.get("success") is False or not isinstance(data, dict) or text_of(data.get("msgid")) != message_id:
            return DeliveryReport(None)
        return DeliveryReport(status_of(data.get("status")))

    async def set_limits(self, limits: AccountLimits) -> Outcome:
        """Set the account's caps; see the port. A cap that is None is left out: whether that lifts it is not known."""
        members: dict[str, Any] = {"alertThreshold": limits.alert_threshold, "blockOnLimit": limits.block_on_limit}
        if limits.daily_message_cap is not None:
            members["dailySmsCap"] = limits.daily_message_cap
        if limits.daily_spend_cap is not None:
            members["dailySpendCap"] = limits.daily_spend_cap
        members["apiKey"] = self._account.api_key.reveal()
        url = self._account.status_base_url.rstrip("/") + "/api/external/accounts/limits"
        content = _limits_json.encode(members)
        return read_limits(await self._client.call("PUT", url, headers={"Content-Type": JSON}, content=content))

    async def _post(self, outbound: OutboundMessage, offset: float) -> GatewayResponse | Outcome:
        iv, timestamp = secrets.token_bytes(IV_BYTES), int(self._clock() + offset)
        plaintext = msgspec.json.encode(self._message(outbound))
        envelope = {
            "apiKey": self._account.api_key.reveal(),
            "timestamp": timestamp,
            "iv": base64.b64encode(iv).decode(),
            "cipherText": sealed(self._account.encryption_key, iv, timestamp, plaintext),
        }
        url = self._account.base_url.rstrip("/") + "/api/sms/send"
        content = msgspec.json.encode(envelope)
        return await self._client.call("POST", url, headers={"Content-Type": JSON}, content=content)

    def _message(self, outbound: OutboundMessage) -> dict[str, Any]:
        message: dict[str, Any] = {"countryCode": outbound.country, "phoneNumbers": [outbound.national_digits]}
        message["content"] = outbound.text
        if self._account.sender_id:
            message["senderId"] = self._account.sender_id
        message["trackClick"] = False
        if outbound.receipt_url:
            message["callbackUrl"] = outbound.receipt_url
        return message

    def _finds_clock_wrong(self, reply: GatewayResponse | Outcome, offset: float) -> bool:
        """Learn the gateway's clock from a refusal of what was made with `offset`; True: with this one it may pass."""
        if isinstance(reply, Outcome) or not doubts_time(reply):
            return False
        date = date_of(reply.headers.get("date", ""))
        learnt = offset if date is None else date - self._clock()
        if abs(learnt - offset) <= SAME_CLOCK_SECONDS:
            return False
        self.offset = learnt
        LOG.warning("gateway_clock_differs", provider=self.name, seconds=round(learnt))
        return True


def sealed(key: bytes, iv: bytes, timestamp: int, plaintext: bytes) -> str:
    """Make `cipherText`: AES-GCM, the tag at the end, over the timestamp in 8 bytes (big-endian) as associated data.

    The document's Java sample encrypts those 8 bytes instead: a mistake. Its Python, Go and PHP samples agree.
    """
    return base64.b64encode(AESGCM(key).encrypt(iv, plaintext, timestamp.to_bytes(8, "big"))).decode()
