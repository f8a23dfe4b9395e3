"""EIMS / Ejoin: V1 as its document shows it (`/sendsms`, `/getreport`, `/getbalance`, `/getsms`) and V2, signed.

Every answer comes in HTTP 200, whatever happened. It is stricter than the real one: what the real one may bear or not
(a `+` for a space, a form instead of JSON, a number with its `+`, a name twice) is refused here, so that an
integration that passes it passes there. A request that is no request of this interface gets HTTP 400 and a line that
says why; what the gateway itself refuses gets its status.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import msgspec

from otp_service.sandbox.simulators.eims_states import EimsState, RowLength, row_of, state_at
from otp_service.sandbox.simulators.http_server import Request, Respond, Simulator, SimulatorResponse
from otp_service.sandbox.simulators.receipt_sender import ScriptedReceipt

__all__ = ["EimsInboxMessage", "EimsMessage", "EimsSimulator", "EimsState", "refusal"]

FIRST_ID: Final = 1620443
MOST_NUMBERS: Final = {"GET": 100, "POST": 10_000}
CONTENT_BYTES: Final = 1024
JSON: Final = "application/json;charset=utf-8"
BARE_JSON: Final = "application/json"

MOST_IDS: Final = 200
MOST_INBOX: Final = 50
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
_OWN: Final = {"sendsms": _SENT, "getreport": ("ids",), "getbalance": (), "getsms": ("start_time",)}
_PATH: Final = re.compile(r"/(?:(sendsms|getreport|getbalance)(V2)?|(getsms))")
_NUMBER: Final = re.compile(r"62[0-9]{8,13}")
_INTEGER: Final = re.compile(r"[0-9]{1,10}")
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
class EimsInboxMessage:
    """A text that somebody sent to the account's number."""

    id: int
    sender: str
    text: str
    at: datetime


class _NotARequest(Exception):
    """It is none of this interface's; says why."""


def refusal(status: int | str) -> Respond:
    """Make the behaviour of a gateway that answers with `status` and sends nothing."""
    return Respond(_reply({"status": status}))


class EimsSimulator(Simulator):
    """One account. `messages` is what was taken, oldest first; numbers in `refused` are left out of the answer.

    `states` is what reports say, by the gateway's id; set it to anything. With `receipts`, reports of messages that
    are taken from then on say what is told of them, as their time comes. `inbox` is what people sent.
    """

    def __init__(
        self,
        account: str = "acme",
        password: str = "secret",  # noqa: S107 - the simulator's
        *,
        numbers_as_text: bool = False,
        refused: Collection[str] = (),
        row_length: RowLength = 4,
        balance: tuple[str, str] = ("499740.000000", "0.000000"),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Answer to `account` and `password`; `numbers_as_text`: write numbers as strings, as some do.

        `row_length` is how long a report's rows are; `balance` is real money and bonus; `clock` judges signed calls.
        """
        super().__init__()
        self.messages: list[EimsMessage] = []
        self.states: dict[int, EimsState] = {}
        self.receipts: Sequence[ScriptedReceipt] = ()
        self.inbox: list[EimsInboxMessage] = []
        self.balance = balance
        self._credentials = (account, password)
        self._number: Callable[[str], int | str] = str if numbers_as_text else int
        self._refused = frozenset(refused)
        self._row_length = row_length
        self._clock = clock
        self._lives: dict[int, tuple[float, Sequence[ScriptedReceipt]]] = {}

    def answer(self, request: Request) -> SimulatorResponse:
        """Take a message, tell of one, tell the balance, or say why not."""
        path = _PATH.fullmatch(request.path)
        if path is None:
            return _plain(404, "only /getsms is here, and /sendsms, /getreport and /getbalance, also with V2")
        verb, variant = path[1] or path[3], path[2] or ""
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
            case "getsms":
                return self._read_inbox(fields["start_time"])
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

    def _take(self, numbers: list[str], fields: dict[str, str]) -> SimulatorResponse:
        taken = [number for number in numbers if _NUMBER.fullmatch(number) and number not in self._refused]
        sender = fields.get("sender", fields.get("senderid", ""))
        rows = []
        for number in taken:
            identity = FIRST_ID + len(self.messages)
            now = self._clock()
            at = datetime.fromtimestamp(now, UTC)
            self.messages.append(EimsMessage(identity, number, fields["content"], at, sender))
            if self.receipts:
                self._lives[identity] = (now, self.receipts)
            else:
                self.states[identity] = EimsState()
            rows.append([self._number(number), identity])
        return _reply({"status": 0, "array": rows, "success": len(taken), "fail": len(numbers) - len(taken)})

    def _report(self, ids: list[str]) -> SimulatorResponse:
        """Tell of messages; the counts are of what was asked for."""
        if len(ids) > MOST_IDS or not all(map(_INTEGER.fullmatch, ids)):
            return _reply({"status": BAD_QUERY})
        states = {int(one): self._state(int(one)) for one in ids}
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

    def _state(self, identity: int) -> EimsState:
        """Say what was set, or else what the message's script has come to."""
        if identity in self.states or identity not in self._lives:
            return self.states.get(identity, EimsState(found=False))
        at, script = self._lives[identity]
        return state_at(self._clock() - at, script, self._row_length)

    def _row(self, identity: int, state: EimsState) -> list[Any]:
        message = self.messages[identity - FIRST_ID]
        return row_of((identity, message.to, _time(message.at)), state, self._row_length, self._number)

    def _read_inbox(self, start: str) -> SimulatorResponse:
        """Tell what people sent since `start` (Unix seconds); reading takes nothing away."""
        if start and not _INTEGER.fullmatch(start):
            return _reply({"status": BAD_QUERY})
        found = [one for one in self.inbox if one.at.timestamp() >= int(start or 0)][:MOST_INBOX]
        numeric = self._number
        rows = [
            [one.id, numeric(one.sender), numeric(_time(one.at)), base64.b64encode(one.text.encode()).decode()]
            for one in found
        ]
        return _reply({"status": 0, "cnt": len(rows), "array": rows})


def _fields(request: Request, verb: str, variant: str) -> dict[str, str]:
    """Read the parameters of a GET's query or of a POST's JSON object (who calls stands in the query in V2)."""
    media_type = request.headers.get("content-type", JSON)
    if media_type.replace(" ", "").lower() not in (JSON, BARE_JSON):  # the document's own sample says no charset
        raise _NotARequest(f"Content-Type is {media_type}; allowed: {JSON}")
    own = _OWN[verb]
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


def _time(at: datetime) -> str:
    return at.astimezone(GMT_PLUS_8).strftime("%Y%m%d%H%M%S")


def _reply(members: dict[str, Any]) -> SimulatorResponse:
    return SimulatorResponse(msgspec.json.encode(members), headers={"Content-Type": JSON})


def _plain(status: int, why: str) -> SimulatorResponse:
    return SimulatorResponse(why.encode(), status, {"Content-Type": "text/plain;charset=utf-8"})
