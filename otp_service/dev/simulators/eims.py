"""EIMS / Ejoin: V1 as its document shows it (`/sendsms`, `/getreport`, `/getbalance`) and V2, the same but signed.

Every answer comes in HTTP 200, whatever happened. It is stricter than the real one: what the real one may bear or not
(a `+` for a space, a form instead of JSON, a number with its `+`, a name twice) is refused here, so that an
integration that passes it passes there. A request that is no request of this interface gets HTTP 400 and a line that
says why; what the gateway itself refuses gets its status.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final, Literal
from urllib.parse import unquote_to_bytes

import msgspec

from otp_service.dev.simulators.server import Reply, Request, Say, Simulator

__all__ = ["EimsMessage", "EimsSimulator", "EimsState", "refusing"]

FIRST_ID: Final = 1620443
MOST_NUMBERS: Final = {"GET": 100, "POST": 10_000}
CONTENT_BYTES: Final = 1024
JSON: Final = "application/json;charset=utf-8"

MOST_IDS: Final = 200
CLOCK_WINDOW_SECONDS: Final = 30 * 60
GMT_PLUS_8: Final = timezone(timedelta(hours=8))

AUTHENTICATION, CONTENT_EMPTY, CONTENT_TOO_LONG, TOO_MANY, NO_NUMBER, ABNORMAL_NUMBER = -1, -4, -5, -7, -8, -9
BAD_QUERY, TIME_EXPIRED = -14, -16

_WHO: Final = {"": ("account", "password"), "V2": ("account", "sign", "datetime")}
_SENT: Final = ("numbers", "content")
_MORE: Final = {
    "": frozenset({"version", "sender", "smstype", "mmstitle", "sendtime"}),
    "V2": frozenset({"senderid", "smstype", "mmstitle", "sendtime"}),
}
_PATH: Final = re.compile(r"/(sendsms|getreport|getbalance)(V2)?")
_NUMBER: Final = re.compile(r"62[0-9]{8,13}")
_QUERY: Final = re.compile(r"(?:[A-Za-z0-9&=._~,-]|%[0-9A-F]{2})*")


@dataclass(frozen=True, slots=True)
class EimsMessage:
    """A text that the gateway took: its own id, the number as it was given, when, and the sender asked for."""

    id: int
    to: str
    text: str
    at: datetime
    sender: str = ""


@dataclass(frozen=True, slots=True)
class EimsState:
    """What a report says: unsent at first; `delivery` None is a gateway that knows nothing of it yet."""

    sent: int = 1
    delivery: int | None = None
    found: bool = True


class _NotARequest(Exception):
    """It is none of this interface's; says why."""


def refusing(status: int | str) -> Say:
    """Make the behaviour of a gateway that answers with `status` and sends nothing."""
    return Say(_reply({"status": status}))


class EimsSimulator(Simulator):
    """One account. `messages` is what was taken, oldest first; numbers in `refused` are left out of the answer.

    `states` is what reports say, by the gateway's id; set it to anything.
    """

    def __init__(
        self,
        account: str = "acme",
        password: str = "secret",  # noqa: S107 - the simulator's
        *,
        numbers_as_text: bool = False,
        refused: Collection[str] = (),
        row_length: Literal[4, 5, 7] = 4,
        balance: tuple[str, str] = ("499740.000000", "0.000000"),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Answer to `account` and `password`; `numbers_as_text`: write numbers as strings, as some do.

        `row_length` is how long a report's rows are; `balance` is real money and bonus; `clock` judges signed calls.
        """
        super().__init__()
        self.messages: list[EimsMessage] = []
        self.states: dict[int, EimsState] = {}
        self.balance = balance
        self._credentials = (account, password)
        self._number: Callable[[str], int | str] = str if numbers_as_text else int
        self._refused = frozenset(refused)
        self._row_length = row_length
        self._clock = clock

    def answer(self, request: Request) -> Reply:
        """Take a message, tell of one, tell the balance, or say why not."""
        path = _PATH.fullmatch(request.path)
        if path is None:
            return _plain(404, "only /sendsms, /getreport and /getbalance are here, and the same with V2")
        verb, variant = path[1], path[2] or ""
        try:
            fields = _fields(request, verb, variant)
        except _NotARequest as problem:
            return _plain(400, str(problem))
        if status := self._stranger(fields, variant):
            return _reply({"status": status})
        match verb:
            case "sendsms":
                numbers = fields["numbers"].split(",")
                status = self._judge(fields, numbers, MOST_NUMBERS[request.method])
                return _reply({"status": status}) if status else self._take(numbers, fields)
            case "getreport":
                return self._report(fields["ids"].split(","))
            case _:
                return _reply({"status": 0, "balance": self.balance[0], "gift": self.balance[1]})

    def _stranger(self, fields: dict[str, str], variant: str) -> int:
        """Say why the caller is nobody, or 0."""
        account, password = self._credentials
        if not variant:
            return 0 if (fields["account"], fields["password"]) == self._credentials else AUTHENTICATION
        expected = hashlib.md5(f"{account}{password}{fields['datetime']}".encode(), usedforsecurity=False).hexdigest()
        if fields["account"] != account or not hmac.compare_digest(expected, fields["sign"]):
            return AUTHENTICATION
        try:
            at = datetime.strptime(fields["datetime"], "%Y%m%d%H%M%S").replace(tzinfo=GMT_PLUS_8)
        except ValueError:
            return TIME_EXPIRED
        return 0 if abs(at.timestamp() - self._clock()) <= CLOCK_WINDOW_SECONDS else TIME_EXPIRED

    def _judge(self, fields: dict[str, str], numbers: list[str], most: int) -> int:
        if not fields["numbers"]:
            return NO_NUMBER
        if len(numbers) > most:
            return TOO_MANY
        if not any(map(_NUMBER.fullmatch, numbers)):
            return ABNORMAL_NUMBER
        if not fields["content"].strip():
            return CONTENT_EMPTY
        return CONTENT_TOO_LONG if len(fields["content"].encode()) >= CONTENT_BYTES else 0

    def _take(self, numbers: list[str], fields: dict[str, str]) -> Reply:
        taken = [number for number in numbers if _NUMBER.fullmatch(number) and number not in self._refused]
        sender = fields.get("sender", fields.get("senderid", ""))
        rows = []
        for number in taken:
            identity = FIRST_ID + len(self.messages)
            self.messages.append(EimsMessage(identity, number, fields["content"], datetime.now(UTC), sender))
            self.states[identity] = EimsState()
            rows.append([self._number(number), identity])
        return _reply({"status": 0, "array": rows, "success": len(taken), "fail": len(numbers) - len(taken)})

    def _report(self, ids: list[str]) -> Reply:
        """Tell of messages; the counts are of what was asked for."""
        if len(ids) > MOST_IDS or not all(one.isascii() and one.isdigit() for one in ids):
            return _reply({"status": BAD_QUERY})
        states = {int(one): self.states.get(int(one), EimsState(found=False)) for one in ids}
        found = [state.sent for state in states.values() if state.found]
        rows = [self._row(identity, state) for identity, state in states.items() if state.found]
        counts = {
            "success": found.count(0),
            "fail": sum(sent not in (0, 1, 2) for sent in found),
            "unsent": found.count(1),
            "sending": found.count(2),
            "nofound": len(states) - len(found),
        }
        return _reply({"status": 0, "array": rows, **counts})

    def _row(self, identity: int, state: EimsState) -> list[Any]:
        message = self.messages[identity - FIRST_ID]
        at = message.at.astimezone(GMT_PLUS_8).strftime("%Y%m%d%H%M%S")
        numeric = self._number
        row: list[Any] = [numeric(str(identity)), numeric(message.to), numeric(at), numeric(str(state.sent))]
        delivery = None if state.delivery is None else numeric(str(state.delivery))
        if self._row_length == 5:
            return [*row, delivery]
        return [*row, "label", at, delivery] if self._row_length == 7 else row


def _fields(request: Request, verb: str, variant: str) -> dict[str, str]:
    """Read the parameters of a GET's query or of a POST's JSON object (who calls stands in the query in V2)."""
    media_type = request.headers.get("content-type", JSON)
    if media_type.replace(" ", "").lower() != JSON:
        raise _NotARequest(f"Content-Type is {media_type}; allowed: {JSON}")
    own = {"sendsms": _SENT, "getreport": ("ids",), "getbalance": ()}[verb]
    match request.method:
        case "GET":
            fields = _query(request.query)
        case "POST" if verb == "sendsms":
            fields = _posted(request, variant)
        case other:
            raise _NotARequest(f"{other}; allowed: {'GET and POST' if verb == 'sendsms' else 'GET'}")
    known = {*_WHO[variant], *own} | (_MORE[variant] if verb == "sendsms" else frozenset())
    if unknown := fields.keys() - known:
        raise _NotARequest(f"unknown: {', '.join(sorted(unknown))}")
    return dict.fromkeys((*_WHO[variant], *own), "") | fields


def _posted(request: Request, variant: str) -> dict[str, str]:
    body = _object(request.body)
    if not variant:
        if request.query:
            raise _NotARequest("a POST has no query")
        return body
    who = _query(request.query)
    if who.keys() != set(_WHO[variant]) or body.keys() & who.keys():
        raise _NotARequest(f"a signed POST has {', '.join(_WHO[variant])} in its query, and only there")
    return who | body


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


def _object(body: bytes) -> dict[str, str]:
    try:
        return msgspec.json.decode(body, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _NotARequest("the body is no JSON object of strings in UTF-8") from None


def _reply(members: dict[str, Any]) -> Reply:
    return Reply(msgspec.json.encode(members), headers={"Content-Type": JSON})


def _plain(status: int, why: str) -> Reply:
    return Reply(why.encode(), status, {"Content-Type": "text/plain;charset=utf-8"})
