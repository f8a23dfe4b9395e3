"""Infobip, `POST /sms/3/messages`: the gateway to which the sandbox points a provider of the type `http`.

Documented by Infobip (Quickstart; Message status codes; Handling errors): the request, the header `Authorization: App
KEY`, the status object with its groups, and that a response is an acceptance and the result follows in a delivery
report. Assumed: the body of an error, and a text for each status. The simulator is stricter than the gateway: an
unknown member is an error, so that a template that passes here works there.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from otp_service.sandbox.simulators.http_server import Request, Respond, SimulatorResponse
from otp_service.sandbox.simulators.receipt_sender import ReceiptSender, ScriptedReceipt, Webhook

__all__ = ["InfobipMessage", "InfobipSimulator", "refusal"]

JSON: Final = "application/json"
ACCEPTED: Final = 26
STATES: Final[Mapping[str, int]] = {"sent": 2, "delivered": 5, "undelivered": 9}
"""DELIVERED_TO_OPERATOR is in the group of delivered messages, and is not final."""

_STATUSES: Final[Mapping[int, tuple[int, str, str]]] = {
    2: (3, "DELIVERED", "DELIVERED_TO_OPERATOR"),
    4: (2, "UNDELIVERABLE", "UNDELIVERABLE_REJECTED_OPERATOR"),
    5: (3, "DELIVERED", "DELIVERED_TO_HANDSET"),
    6: (5, "REJECTED", "REJECTED_NETWORK"),
    8: (5, "REJECTED", "REJECTED_PREFIX_MISSING"),
    9: (2, "UNDELIVERABLE", "UNDELIVERABLE_NOT_DELIVERED"),
    12: (5, "REJECTED", "REJECTED_NOT_ENOUGH_CREDITS"),
    13: (5, "REJECTED", "REJECTED_SENDER"),
    14: (5, "REJECTED", "REJECTED_DESTINATION"),
    15: (4, "EXPIRED", "EXPIRED_EXPIRED"),
    26: (1, "PENDING", "PENDING_ACCEPTED"),
}
_NUMBER: Final = re.compile(r"[1-9][0-9]{7,14}")
_UNKNOWN: Final = (5, "REJECTED", "REJECTED_OTHER")


@dataclass(frozen=True, slots=True)
class InfobipMessage:
    """An accepted message; `id` is the caller's if the request has one."""

    id: str
    to: str
    text: str
    sender: str
    report_url: str
    at: datetime


class _Destination(Struct, forbid_unknown_fields=True):
    to: str
    message_id: Annotated[str, Meta(min_length=1, max_length=200)] | None = msgspec.field(
        name="messageId", default=None
    )


class _Content(Struct, forbid_unknown_fields=True):
    text: Annotated[str, Meta(min_length=1)]


class _Delivery(Struct, forbid_unknown_fields=True):
    url: Annotated[str, Meta(pattern=r"\Ahttps?://[!-~]+\Z")]


class _Webhooks(Struct, forbid_unknown_fields=True, rename="camel"):
    delivery: _Delivery
    content_type: str = JSON


class _Message(Struct, forbid_unknown_fields=True):
    sender: Annotated[str, Meta(min_length=1)]
    destinations: Annotated[list[_Destination], Meta(min_length=1, max_length=1)]
    content: _Content
    webhooks: _Webhooks | None = None


class _Messages(Struct, forbid_unknown_fields=True):
    """The body of a send request, with one message for one number."""

    messages: Annotated[list[_Message], Meta(min_length=1, max_length=1)]


def status_of(code: int) -> dict[str, Any]:
    """Return the status object of a code."""
    group, group_name, name = _STATUSES.get(code, _UNKNOWN)
    return {"groupId": group, "groupName": group_name, "id": code, "name": name, "description": name}


def refusal(code: int) -> Respond:
    """Return the behavior that rejects a message with a status of the group REJECTED, in HTTP 200 as documented."""
    body = {"bulkId": "b-0", "messages": [{"messageId": "0", "status": status_of(code)}]}
    return Respond(SimulatorResponse(msgspec.json.encode(body), 200, {"Content-Type": JSON}))


class InfobipSimulator(ReceiptSender[InfobipMessage]):
    """One account; `messages` are the accepted messages, oldest first.

    Reports go to the URL of the message, or else to `webhook_url`, that of the account. The `reason` of a scripted
    receipt is the id of a status.
    """

    def __init__(
        self, api_key: str = "infobip-key", *, funds: str = "47.79", clock: Callable[[], float] = time.time
    ) -> None:
        """Create an account with this key, and this balance in EUR."""
        super().__init__()
        self.messages: list[InfobipMessage] = []
        self.webhook_url = ""
        self._api_key = api_key
        self._funds = funds
        self._clock = clock

    def answer(self, request: Request) -> SimulatorResponse:
        """Accept a message, or return the balance."""
        if request.headers.get("authorization") != f"App {self._api_key}":
            return _error(401, "E401", "Unauthorized")
        match request.method, request.path:
            case "POST", "/sms/3/messages":
                return self._send(request)
            case "GET", "/account/1/balance":
                body = f'{{"balance":{self._funds},"currency":"EUR"}}'
                return SimulatorResponse(body.encode(), 200, {"Content-Type": JSON})
        return _error(404, "E404", "Not found")

    def receipt_url(self, message: InfobipMessage) -> str:
        """Return the URL of the message, or that of the account."""
        return message.report_url or self.webhook_url

    def build_webhook(self, message: InfobipMessage, receipt: ScriptedReceipt) -> Webhook:
        """Build a delivery report with one result."""
        code = receipt.reason if isinstance(receipt.reason, int) else STATES[receipt.status]
        return Webhook(msgspec.json.encode({"results": [self.result(message, code)]}), JSON)

    def result(self, message: InfobipMessage, code: int) -> dict[str, Any]:
        """Return one result of a delivery report."""
        at = datetime.fromtimestamp(self._clock(), UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
        return {
            "bulkId": "b-1",
            "messageId": message.id,
            "to": message.to,
            "sender": message.sender,
            "sentAt": at,
            "doneAt": at,
            "messageCount": 1,
            "price": {"pricePerMessage": 0.01, "currency": "EUR"},
            "status": status_of(code),
            "error": {"groupId": 0, "groupName": "OK", "id": 0, "name": "NO_ERROR", "permanent": False},
        }

    def _send(self, request: Request) -> SimulatorResponse:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
            return _error(415, "E415", f"Content-Type must be {JSON}")
        try:
            [sent] = msgspec.json.decode(request.body, type=_Messages).messages
        except (msgspec.DecodeError, UnicodeDecodeError) as problem:
            return _error(400, "E400", str(problem))
        [destination] = sent.destinations
        if not _NUMBER.fullmatch(destination.to):
            return _error(400, "E400", "to must be digits with the country code")
        number = len(self.messages) + 1
        url = sent.webhooks.delivery.url if sent.webhooks else ""
        at = datetime.fromtimestamp(self._clock(), UTC)
        message_id = destination.message_id or f"4{number:018}"
        message = InfobipMessage(message_id, destination.to, sent.content.text, sent.sender, url, at)
        self.messages.append(message)
        self.schedule_receipts(message)
        accepted = {
            "messageId": message.id,
            "status": status_of(ACCEPTED),
            "destination": message.to,
            "details": {"messageCount": 1},
        }
        body = {"bulkId": f"4{number:018}", "messages": [accepted]}
        return SimulatorResponse(msgspec.json.encode(body), 200, {"Content-Type": JSON})


def _error(status: int, code: str, description: str) -> SimulatorResponse:
    body = {"errorCode": code, "description": description, "action": "", "violations": [], "resources": []}
    return SimulatorResponse(msgspec.json.encode(body), status, {"Content-Type": JSON})
