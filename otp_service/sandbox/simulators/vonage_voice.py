"""Vonage, Voice API: create a call with an NCCO and fetch one, with requests and events signed as Vonage documents it.

The simulator is stricter than the gateway: an unknown member, an NCCO other than one talk action, a language that the
speech engine does not have, or a token that was used before gets HTTP 400 or 401 and the reason.

Events go to the `event_url` of the call as JSON; with a signature secret they have a token with the hash of the body.
A script says "sent" for a phone that rings, "delivered" for an answered call, and "undelivered" for one that ended
without an answer, with `status` or `status:detail` as the reason.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import jwt

from otp_service.sandbox.simulators.http_server import Request, Respond, SimulatorResponse
from otp_service.sandbox.simulators.receipt_sender import ReceiptSender, ScriptedReceipt, Webhook
from otp_service.sandbox.simulators.vonage_voice_key import simulated_key
from otp_service.sandbox.simulators.vonage_voice_requests import (
    JSON,
    VoiceRefused,
    parse_call,
    phone_number,
    talk_action,
    timer_seconds,
)

__all__ = ["APPLICATION_ID", "PATH", "VonageCall", "VonageVoiceSimulator", "refusal"]

APPLICATION_ID: Final = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"
PATH: Final = "/v1/calls"
TITLES: Final = {400: "Bad Request", 401: "Unauthorized", 402: "Low balance", 404: "Not Found", 429: "Rate Limited"}
MAX_TOKEN_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class VonageCall:
    """An accepted call."""

    uuid: str
    to: str
    sender: str
    text: str
    language: str
    loop: int
    ringing_timer: int
    event_url: str
    detects_machine: bool
    at: datetime
    conversation_uuid: str = field(default_factory=lambda: f"CON-{uuid.uuid4()}")


def refusal(status: int, parameter: str = "") -> Respond:
    """Return the behavior that refuses a call with an HTTP status; a 400 may name a parameter."""
    return Respond(_error(VoiceRefused(status, parameter, "is invalid")))


class VonageVoiceSimulator(ReceiptSender[VonageCall]):
    """One application.

    Attributes:
        messages: The accepted calls, oldest first.
        statuses: The status and the detail of each call, by its UUID.
        answered_by: Who answers calls with machine detection: "human" or "machine".
    """

    def __init__(
        self,
        application_id: str = APPLICATION_ID,
        *,
        api_key: str = "abcd1234",
        signature_secret: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Create an application, whose key is that of `vonage_voice_key`; without a secret events are not signed."""
        super().__init__()
        self.messages: list[VonageCall] = []
        self.statuses: dict[str, tuple[str, str]] = {}
        self.answered_by = "human"
        self._application_id = application_id
        self._api_key = api_key
        self._signature_secret = signature_secret
        self._clock = clock
        self._used: set[str] = set()

    def answer(self, request: Request) -> SimulatorResponse:
        """Create or fetch a call."""
        try:
            self._authenticate(request.headers.get("authorization", ""))
            if (request.method, request.target) == ("POST", PATH):
                return _json(201, self._create(request))
            if request.method == "GET" and request.target.startswith(PATH + "/"):
                return _json(200, self._fetch(request.target.rpartition("/")[2]))
            raise VoiceRefused(404)
        except VoiceRefused as refused:
            return _error(refused)

    def receipt_url(self, message: VonageCall) -> str:
        """Return the `event_url` of the call."""
        return message.event_url

    def build_webhook(self, message: VonageCall, receipt: ScriptedReceipt) -> Webhook:
        """Build an event, and set the status of the call."""
        if receipt.status == "undelivered":
            status, _, detail = str(receipt.reason or "unanswered").partition(":")
            return self.event(message, status, detail)
        return self.event(message, {"sent": "ringing", "delivered": "answered"}[receipt.status])

    def event(self, call: VonageCall, status: str, detail: str = "", **claims: Any) -> Webhook:
        """Set the status of a call, and return its event; `claims` replace those of the signature."""
        self.statuses[call.uuid] = (status, detail)
        now = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        is_detection = status in ("human", "machine")
        fields = {"call_uuid" if is_detection else "uuid": call.uuid, "from": call.sender, "to": call.to}
        fields |= {"conversation_uuid": call.conversation_uuid, "status": status, "direction": "outbound"}
        if status == "completed":
            fields |= {"start_time": now, "end_time": now, "duration": "21", "network": "51010"}
            fields |= {"rate": "0.09000000", "price": "0.03150000"}
        if detail:
            fields["detail"] = detail
        return self.sign(json.dumps({**fields, "timestamp": now}, separators=(",", ":")).encode(), **claims)

    def sign(self, body: bytes, **changed: Any) -> Webhook:
        """Return the webhook with a body; `changed` are claims to replace, and `secret` is the one to sign with."""
        secret = changed.pop("secret", self._signature_secret)
        if not secret:
            return Webhook(body, JSON)
        claims = {
            "iat": int(self._clock()),
            "jti": str(uuid.uuid4()),
            "iss": "Vonage",
            "payload_hash": hashlib.sha256(body).hexdigest(),
            "api_key": self._api_key,
            "application_id": self._application_id,
        }
        header = {"alg": changed.pop("alg", "HS256"), "typ": "JWT"}
        signed = ".".join(_base64url(json.dumps(part).encode()) for part in (header, claims | changed))
        signature = _base64url(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())
        return Webhook(body, JSON, {"Authorization": f"Bearer {signed}.{signature}"})

    def _authenticate(self, authorization: str) -> None:
        scheme, _, token = authorization.partition(" ")
        options: Any = {"require": ["application_id", "iat", "jti", "exp"], "verify_exp": False, "verify_iat": False}
        try:
            claims = jwt.decode(token, simulated_key().public_key(), algorithms=["RS256"], options=options)
        except jwt.InvalidTokenError:
            raise VoiceRefused(401) from None
        now, lifetime = self._clock(), claims["exp"] - claims["iat"]
        is_current = claims["iat"] - 60 <= now <= claims["exp"] and 0 < lifetime <= MAX_TOKEN_SECONDS
        is_new = claims["jti"] not in self._used
        if scheme != "Bearer" or claims["application_id"] != self._application_id or not is_current or not is_new:
            raise VoiceRefused(401)
        self._used.add(claims["jti"])

    def _create(self, request: Request) -> dict[str, Any]:
        call = parse_call(request)
        talk = talk_action(call)
        event_url = call.get("event_url", [""])
        if not (isinstance(event_url, list) and len(event_url) == 1 and isinstance(event_url[0], str)):
            raise VoiceRefused(400, "event_url", "must be an array with one URL")
        created = VonageCall(
            uuid=str(uuid.uuid4()),
            to=phone_number(call.get("to", [{}])[0], "to[0].number"),
            sender=phone_number(call.get("from", {}), "from.number"),
            text=talk["text"],
            language=talk.get("language", "en-US"),
            loop=talk.get("loop", 1),
            ringing_timer=timer_seconds(call, "ringing_timer", 120),
            event_url=event_url[0],
            detects_machine=call.get("machine_detection") == "hangup",
            at=datetime.fromtimestamp(self._clock(), UTC),
        )
        timer_seconds(call, "length_timer", 7200)
        self.messages.append(created)
        self.statuses[created.uuid] = ("started", "")
        self.schedule_receipts(created)
        return {
            "uuid": created.uuid,
            "status": "started",
            "direction": "outbound",
            "conversation_uuid": created.conversation_uuid,
        }

    def _fetch(self, call_id: str) -> dict[str, Any]:
        call = next((one for one in self.messages if one.uuid == call_id), None)
        if call is None:
            raise VoiceRefused(404)
        status, _ = self.statuses[call_id]
        fields = {
            "_links": {"self": {"href": f"/calls/{call_id}"}},
            "uuid": call_id,
            "conversation_uuid": call.conversation_uuid,
            "to": {"type": "phone", "number": call.to},
            "from": {"type": "phone", "number": call.sender},
            "status": status,
            "direction": "outbound",
        }
        return fields | ({"duration": "21", "price": "0.03150000"} if status == "completed" else {})


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _error(refused: VoiceRefused) -> SimulatorResponse:
    title = TITLES.get(refused.status, "Error")
    kind = f"https://developer.vonage.com/api-errors#{title.lower().replace(' ', '-')}"
    body = {"type": kind, "title": title, "detail": title, "instance": "bf0ca0bf927b3b52e3cb03217e1a1ddf"}
    return _json(refused.status, body | ({"invalid_parameters": refused.invalid} if refused.invalid else {}))


def _json(status: int, members: Mapping[str, Any]) -> SimulatorResponse:
    return SimulatorResponse(json.dumps(members).encode(), status, {"Content-Type": JSON})
