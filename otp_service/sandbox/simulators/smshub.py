"""CSU SMS Hub: `/Login` returns a token as a JSON string, `/TextMessages` accepts a message with that token.

What the hub's samples leave open is an option: the format of the login, the format of the `Authorization` header, and
a queue that limits the rate. As at the real hub, a queued message is sent even if the client has disconnected. No
document shows error responses; here they look as ASP.NET writes them.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qsl

import jwt
import msgspec
from msgspec import Meta, Struct

from otp_service.sandbox.simulators.http_server import Request, Respond, Simulator, SimulatorResponse

__all__ = ["LIFETIME_SECONDS", "SmshubMessage", "SmshubSimulator", "refusal"]

LIFETIME_SECONDS: Final = 15_724_800
"""182 days, as in the sample token on the hub's page."""

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
SIGNING_KEY: Final = "only the hub knows its signing key"
ISSUER: Final = "http://localhost:50191"
_NUMBER: Final = re.compile(r"[1-9][0-9]{7,14}")


@dataclass(frozen=True, slots=True)
class SmshubMessage:
    """An accepted message: digits with the country code, and the time at which it left the queue."""

    to: str
    text: str
    program_id: str
    at: datetime


class _Credentials(Struct, forbid_unknown_fields=True):
    """The body of a login."""

    sid: str = msgspec.field(name="ProgramSID")
    key: str = msgspec.field(name="ProgramKey")


class _Message(Struct, forbid_unknown_fields=True):
    """The body of a send request."""

    text: Annotated[str, Meta(min_length=1)] = msgspec.field(name="Message")
    phone: str = msgspec.field(name="PhoneNumber")
    program_id: str = msgspec.field(name="ProgramId", default="")
    date_sent: str = msgspec.field(name="DateSent", default="")


class _Subscriber(Struct, forbid_unknown_fields=True):
    """The body of a request to change an opt-out."""

    phone: Annotated[str, Meta(pattern=r"\A[1-9][0-9]{7,14}\Z")] = msgspec.field(name="PhoneNumber")
    do_not_text: bool = msgspec.field(name="DoNotText")


def refusal(status: int, message: str = "An error has occurred.", headers: dict[str, str] | None = None) -> Respond:
    """Return the behavior that rejects a request with `status`."""
    body = msgspec.json.encode({"Message": message})
    return Respond(SimulatorResponse(body, status, {"Content-Type": JSON} | (headers or {})))


class SmshubSimulator(Simulator):
    """One program.

    `messages` are the accepted messages, oldest first, `logins` the number of tokens issued, and `stopped` the numbers
    (digits) that answered STOP: the hub sends them nothing.
    """

    def __init__(
        self,
        program_sid: str = "hub-sid",
        program_key: str = "hub-key",
        *,
        program_id: str = "",
        scheme: Literal["either", "bearer", "raw"] = "either",
        login_as: Literal["either", "json", "form"] = "either",
        login_status: int = 415,
        per_second: float | None = None,
        lifetime: float = LIFETIME_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Create a program.

        Args:
            program_sid: The login's `ProgramSID`.
            program_key: The login's `ProgramKey`.
            program_id: The `ProgramId` that a message may name, in any case.
            scheme: The accepted format of the `Authorization` header.
            login_as: The accepted format of a login; the other one gets `login_status`.
            login_status: The HTTP status for a login in the wrong format.
            per_second: The rate of the queue; None: no queue.
            lifetime: The seconds until a token expires.
            clock: The hub's Unix time in seconds.
        """
        super().__init__()
        self.messages: list[SmshubMessage] = []
        self.stopped: set[str] = set()
        self.logins = 0
        self.lifetime = lifetime
        self.scheme = scheme
        self._credentials = (program_sid, program_key)
        self._program_id = program_id.lower()
        self._login_as = login_as
        self._login_status = login_status
        self._per_second = per_second
        self._clock = clock
        self._tokens: set[str] = set()
        self._queue_free_at = 0.0

    def expire_tokens(self) -> None:
        """Revoke all tokens."""
        self._tokens.clear()

    def answer(self, request: Request) -> SimulatorResponse:
        """Issue a token or accept a message."""
        match request.method, request.path:
            case "POST", "/Login":
                return self._log_in(request)
            case "POST", "/TextMessages":
                return self._accept(request)
            case "POST", "/Subscribers":
                return self._subscribe(request)
            case _:
                return _error(404, "No HTTP resource was found that matches the request URI.")

    async def _respond(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Delay a message until it is first in the queue."""
        if self._per_second is not None and request.path == "/TextMessages":
            await asyncio.sleep(self._queue_seconds(self._per_second))
        await super()._respond(request, reader, writer)

    def _queue_seconds(self, per_second: float) -> float:
        now = asyncio.get_running_loop().time()
        turn = max(now, self._queue_free_at)
        self._queue_free_at = turn + 1 / per_second
        return turn - now

    def _log_in(self, request: Request) -> SimulatorResponse:
        media_type = _media_type(request)
        if media_type not in (JSON, FORM):
            return _error(415, "The request entity's media type is not supported for this resource.")
        if self._login_as != "either" and media_type != {"json": JSON, "form": FORM}[self._login_as]:
            return _error(self._login_status, "The request is invalid.")
        try:
            if media_type == JSON:
                given = msgspec.json.decode(request.body, type=_Credentials)
            else:
                given = msgspec.convert(dict(parse_qsl(request.body.decode(), strict_parsing=True)), type=_Credentials)
        except (msgspec.DecodeError, ValueError):
            return _error(400, "The request is invalid.")
        if (given.sid, given.key) != self._credentials:
            return _error(401, "You are unauthorized")
        self.logins += 1
        return _json(200, self._new_token())

    def _new_token(self) -> str:
        now = int(self._clock())
        claims = {"unique_name": self._credentials[0], "nbf": now, "exp": now + int(self.lifetime), "iat": now}
        token = jwt.encode(claims | {"iss": ISSUER, "aud": ISSUER}, SIGNING_KEY, algorithm="HS256")
        self._tokens.add(token)
        return token

    def _accept(self, request: Request) -> SimulatorResponse:
        if not self._is_valid_token(request.headers.get("authorization", "")):
            return _error(401, "Authorization has been denied for this request.")
        if _media_type(request) != JSON:
            return _error(415, "The request entity's media type is not supported for this resource.")
        try:
            message = msgspec.json.decode(request.body, type=_Message)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _invalid("textMessage.Message", "The Message field is required.")
        if not _NUMBER.fullmatch(message.phone):
            return _invalid("textMessage.PhoneNumber", "The PhoneNumber field has to be digits with the country code.")
        if message.program_id.lower() not in ("", self._program_id):
            return _invalid("textMessage.ProgramId", "The ProgramId is unknown.")
        if message.phone in self.stopped:
            return _invalid("textMessage.PhoneNumber", "The recipient has opted out: DoNotText.")
        self.messages.append(SmshubMessage(message.phone, message.text, message.program_id, datetime.now(UTC)))
        return _json(200, "Message sent")

    def _subscribe(self, request: Request) -> SimulatorResponse:
        """Change whether a number gets messages; only a public client shows this request."""
        if not self._is_valid_token(request.headers.get("authorization", "")):
            return _error(401, "Authorization has been denied for this request.")
        try:
            subscriber = msgspec.json.decode(request.body, type=_Subscriber)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _invalid("subscriber.PhoneNumber", "The PhoneNumber field is required.")
        (self.stopped.add if subscriber.do_not_text else self.stopped.discard)(subscriber.phone)
        return _json(200, "Subscriber saved")

    def _is_valid_token(self, authorization: str) -> bool:
        bearer = authorization.startswith("Bearer ")
        if self.scheme != "either" and bearer != (self.scheme == "bearer"):
            return False
        token = authorization.removeprefix("Bearer ")
        if token not in self._tokens:
            return False
        claims = jwt.decode(token, options={"verify_signature": False})
        return bool(self._clock() < claims["exp"])


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _invalid(member: str, error: str) -> SimulatorResponse:
    return _json(400, {"Message": "The request is invalid.", "ModelState": {member: [error]}})


def _error(status: int, message: str) -> SimulatorResponse:
    return _json(status, {"Message": message})


def _json(status: int, value: Any) -> SimulatorResponse:
    return SimulatorResponse(msgspec.json.encode(value), status, {"Content-Type": f"{JSON}; charset=utf-8"})
