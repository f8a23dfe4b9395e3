"""EIMS / Ejoin, variant V1, as its document shows it: `/sendsms`, and an answer in HTTP 200 whatever happened.

It is stricter than the real one: what the real one may bear or not (a `+` for a space, a form instead of JSON, a
number with its `+`, a name twice) is refused here, so that an integration that passes it passes there. A request that
is no request of this interface gets HTTP 400 and a line that says why; what the gateway itself refuses gets its status.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import msgspec

from otp_service.dev.simulators.server import Reply, Request, Say, Simulator

__all__ = ["EimsMessage", "EimsSimulator", "refusing"]

FIRST_ID: Final = 1620443
MOST_NUMBERS: Final = {"GET": 100, "POST": 10_000}
CONTENT_BYTES: Final = 1024
JSON: Final = "application/json;charset=utf-8"

AUTHENTICATION, CONTENT_EMPTY, CONTENT_TOO_LONG, TOO_MANY, NO_NUMBER, ABNORMAL_NUMBER = -1, -4, -5, -7, -8, -9

_NEEDED: Final = ("account", "password", "numbers", "content")
_KNOWN: Final = frozenset({*_NEEDED, "version", "sender", "smstype", "mmstitle", "sendtime"})
_NUMBER: Final = re.compile(r"62[0-9]{8,13}")
_QUERY: Final = re.compile(r"(?:[A-Za-z0-9&=._~,-]|%[0-9A-F]{2})*")


@dataclass(frozen=True, slots=True)
class EimsMessage:
    """A text that the gateway took: its own id, the number as it was given, and when."""

    id: int
    to: str
    text: str
    at: datetime


class _NotARequest(Exception):
    """It is none of this interface's; says why."""


def refusing(status: int | str) -> Say:
    """Make the behaviour of a gateway that answers with `status` and sends nothing."""
    return Say(_reply({"status": status}))


class EimsSimulator(Simulator):
    """One account. `messages` is what was taken, oldest first; numbers in `refused` are left out of the answer."""

    def __init__(
        self,
        account: str = "acme",
        password: str = "secret",  # noqa: S107 - the simulator's
        *,
        numbers_as_text: bool = False,
        refused: Collection[str] = (),
    ) -> None:
        """Answer to `account` and `password`; `numbers_as_text`: write numbers as strings, as some do."""
        super().__init__()
        self.messages: list[EimsMessage] = []
        self._credentials = (account, password)
        self._number: Callable[[str], int | str] = str if numbers_as_text else int
        self._refused = frozenset(refused)

    def answer(self, request: Request) -> Reply:
        """Take a message, or say why not."""
        if request.path != "/sendsms":
            return _plain(404, "only /sendsms is here")
        try:
            fields = _fields(request)
        except _NotARequest as problem:
            return _plain(400, str(problem))
        numbers = fields["numbers"].split(",")
        status = self._judge(fields, numbers, MOST_NUMBERS[request.method])
        return _reply({"status": status}) if status else self._take(numbers, fields["content"])

    def _judge(self, fields: dict[str, str], numbers: list[str], most: int) -> int:
        if (fields["account"], fields["password"]) != self._credentials:
            return AUTHENTICATION
        if not fields["numbers"]:
            return NO_NUMBER
        if len(numbers) > most:
            return TOO_MANY
        if not any(map(_NUMBER.fullmatch, numbers)):
            return ABNORMAL_NUMBER
        if not fields["content"].strip():
            return CONTENT_EMPTY
        return CONTENT_TOO_LONG if len(fields["content"].encode()) >= CONTENT_BYTES else 0

    def _take(self, numbers: list[str], text: str) -> Reply:
        taken = [number for number in numbers if _NUMBER.fullmatch(number) and number not in self._refused]
        rows = []
        for number in taken:
            message = EimsMessage(FIRST_ID + len(self.messages), number, text, datetime.now(UTC))
            self.messages.append(message)
            rows.append([self._number(number), message.id])
        return _reply({"status": 0, "array": rows, "success": len(taken), "fail": len(numbers) - len(taken)})


def _fields(request: Request) -> dict[str, str]:
    """Read the parameters of a GET's query or of a POST's JSON object."""
    media_type = request.headers.get("content-type", JSON)
    if media_type.replace(" ", "").lower() != JSON:
        raise _NotARequest(f"Content-Type is {media_type}; allowed: {JSON}")
    match request.method:
        case "GET":
            fields = _query(request.query)
        case "POST":
            fields = _object(request)
        case other:
            raise _NotARequest(f"{other}; allowed: GET and POST")
    if unknown := fields.keys() - _KNOWN:
        raise _NotARequest(f"unknown: {', '.join(sorted(unknown))}")
    return dict.fromkeys(_NEEDED, "") | fields


def _query(query: str) -> dict[str, str]:
    if not _QUERY.fullmatch(query):
        raise _NotARequest("the query holds what is not percent-encoded (a space is %20, never +)")
    fields: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name in fields:
            raise _NotARequest(f"{name} stands twice")
        try:
            fields[name] = unquote_to_bytes(value).decode()
        except UnicodeDecodeError:
            raise _NotARequest(f"{name} is not UTF-8") from None
    return fields


def _object(request: Request) -> dict[str, str]:
    if request.query:
        raise _NotARequest("a POST has no query")
    try:
        return msgspec.json.decode(request.body, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _NotARequest("the body is no JSON object of strings in UTF-8") from None


def _reply(members: dict[str, Any]) -> Reply:
    return Reply(msgspec.json.encode(members), headers={"Content-Type": JSON})


def _plain(status: int, why: str) -> Reply:
    return Reply(why.encode(), status, {"Content-Type": "text/plain;charset=utf-8"})
