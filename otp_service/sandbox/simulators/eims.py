"""EIMS / Ejoin: V1 as documented (`/sendsms`, `/getreport`, `/getbalance`, `/getsms`), and V2, which is signed.

V2 also lists what it accepted (`/getsentrcdV2`). With `push_url`, reports are pushed as well (PUT), as two public
clients describe it; no document has the format of either.

Every response has HTTP status 200; `status` in the body is the result. The simulator is stricter than the gateway: it
rejects what the gateway may tolerate (`+` for a space, a form instead of JSON, a `+` before a number, a duplicate
parameter), so that an integration that passes here works there. A request that does not follow the document gets HTTP
400 and the reason as text; a request that the gateway rejects gets the documented status.
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
from email.utils import formatdate
from typing import Any, Final

import msgspec

from otp_service.sandbox.simulators.eims_requests import JSON, InvalidRequest, parse_fields
from otp_service.sandbox.simulators.eims_states import EimsState, RowLength, row_of, state_at, state_of
from otp_service.sandbox.simulators.http_server import Request, Respond, SimulatorResponse
from otp_service.sandbox.simulators.receipt_sender import ReceiptSender, ScriptedReceipt, Webhook

__all__ = ["EimsInboxMessage", "EimsMessage", "EimsSimulator", "EimsState", "refusal"]

FIRST_ID: Final = 1620443
MAX_NUMBERS: Final = {"GET": 100, "POST": 10_000}
MAX_CONTENT_BYTES: Final = 1024

MAX_REPORT_IDS: Final = 200
MAX_INBOX_MESSAGES: Final = 50
CLOCK_WINDOW_SECONDS: Final = 30 * 60
GMT_PLUS_8: Final = timezone(timedelta(hours=8))

AUTHENTICATION, CONTENT_EMPTY, CONTENT_TOO_LONG, TOO_MANY, NO_NUMBER, ABNORMAL_NUMBER = -1, -4, -5, -7, -8, -9
WRONG_TIME, BAD_QUERY, TIME_EXPIRED = -11, -14, -16

_PATH: Final = re.compile(r"/(?:(sendsms|getreport|getbalance)(V2)?|(getsms)|(getsentrcd)(V2))")
_NUMBER: Final = re.compile(r"62[0-9]{8,13}")
_DAY: Final = re.compile(r"20[0-9]{6}")
_TIME: Final = re.compile(r"[0-2][0-9][0-5][0-9][0-5][0-9]")
_INTEGER: Final = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class EimsMessage:
    """An accepted message: the gateway's id, the number as in the request, the time, and the requested sender."""

    id: int
    to: str
    text: str
    at: datetime
    sender: str = ""


@dataclass(frozen=True, slots=True)
class EimsInboxMessage:
    """A message that somebody sent to the account's number."""

    id: int
    sender: str
    text: str
    at: datetime


def refusal(status: int | str) -> Respond:
    """Return the behavior that rejects a request with `status`."""
    return Respond(_reply({"status": status}))


class EimsSimulator(ReceiptSender[EimsMessage]):
    """One account.

    Attributes:
        messages: The accepted messages, oldest first.
        states: What reports contain, by the gateway's message id; set any state.
        receipts: The script of messages accepted from now on; reports follow it as its delays pass.
        balance: Real money and bonus.
        inbox: The messages that `/getsms` returns.
        push_url: Where reports are pushed when the script reaches them; "" pushes none.
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
        """Create an account.

        Args:
            account: The account's name.
            password: Its password.
            numbers_as_text: Write numbers in responses as strings, as some installations do.
            refused: Numbers that are left out of a response to `/sendsms`.
            row_length: The number of fields in a report's row.
            balance: Real money and bonus.
            clock: The gateway's Unix time in seconds; signed requests are compared with it.
        """
        super().__init__()
        self.messages: list[EimsMessage] = []
        self.states: dict[int, EimsState] = {}
        self.push_url = ""
        self.inbox: list[EimsInboxMessage] = []
        self.balance = balance
        self._credentials = (account, password)
        self._number: Callable[[str], int | str] = str if numbers_as_text else int
        self._refused = frozenset(refused)
        self._row_length = row_length
        self._clock = clock
        self._scripts: dict[int, tuple[float, Sequence[ScriptedReceipt]]] = {}

    def answer(self, request: Request) -> SimulatorResponse:
        """Send messages, or return a report, the balance or the inbox."""
        path = _PATH.fullmatch(request.path)
        if path is None:
            allowed = "/getsms, /getsentrcdV2, or /sendsms, /getreport or /getbalance, with or without V2"
            return _text_response(404, f"Use {allowed}.")
        command, variant = path[1] or path[3] or path[4], path[2] or path[5] or ""
        try:
            fields = parse_fields(request, command, variant)
        except InvalidRequest as problem:
            return _text_response(400, str(problem))
        status = self._authenticate(fields, variant)
        response = _reply({"status": status}) if status else self._run(command, fields, request.method)
        date = formatdate(self._clock(), usegmt=True)
        return SimulatorResponse(response.body, response.status, {**response.headers, "Date": date})

    def receipt_url(self, message: EimsMessage) -> str:
        """Return the account's URL."""
        del message
        return self.push_url

    def build_webhook(self, message: EimsMessage, receipt: ScriptedReceipt) -> Webhook:
        """Build the push of one report; it has the row that a polled report would have."""
        rows = [self._row(message.id, state_of(receipt, self._row_length))]
        push = {"type": "report", "cnt": len(rows), "array": rows}
        return Webhook(msgspec.json.encode(push), JSON, method="PUT")

    def _run(self, command: str, fields: dict[str, str], method: str) -> SimulatorResponse:
        match command:
            case "sendsms":
                numbers = fields["numbers"].split(",")
                status = self._check_message(fields, numbers, MAX_NUMBERS[method])
                return _reply({"status": status}) if status else self._accept(numbers, fields)
            case "getreport":
                return self._report(fields["ids"].split(","))
            case "getsms":
                return self._read_inbox(fields["start_time"])
            case "getsentrcd":
                return self._sent_records(fields)
            case _:
                return _reply({"status": 0, "balance": self.balance[0], "gift": self.balance[1]})

    def _authenticate(self, fields: dict[str, str], variant: str) -> int:
        """Return 0, or the status of a failed authentication."""
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

    def _check_message(self, fields: dict[str, str], numbers: list[str], max_numbers: int) -> int:
        """Return 0, or the status of an invalid message."""
        if not fields["numbers"]:
            return NO_NUMBER
        if len(numbers) > max_numbers:
            return TOO_MANY
        if not any(map(_NUMBER.fullmatch, numbers)):
            return ABNORMAL_NUMBER
        if not fields["content"].strip():
            return CONTENT_EMPTY
        return CONTENT_TOO_LONG if len(fields["content"].encode()) >= MAX_CONTENT_BYTES else 0

    def _accept(self, numbers: list[str], fields: dict[str, str]) -> SimulatorResponse:
        accepted = [number for number in numbers if _NUMBER.fullmatch(number) and number not in self._refused]
        sender = fields.get("sender", fields.get("senderid", ""))
        rows = []
        for number in accepted:
            message_id = FIRST_ID + len(self.messages)
            now = self._clock()
            at = datetime.fromtimestamp(now, UTC)
            message = EimsMessage(message_id, number, fields["content"], at, sender)
            self.messages.append(message)
            if self.push_url:
                self.schedule_receipts(message)
            if self.receipts:
                self._scripts[message_id] = (now, self.receipts)
            else:
                self.states[message_id] = EimsState()
            rows.append([self._number(number), message_id])
        return _reply({"status": 0, "array": rows, "success": len(accepted), "fail": len(numbers) - len(accepted)})

    def _report(self, ids: list[str]) -> SimulatorResponse:
        """Return the states of messages; the counts are of the requested ids."""
        if len(ids) > MAX_REPORT_IDS or not all(map(_INTEGER.fullmatch, ids)):
            return _reply({"status": BAD_QUERY})
        states = {int(one): self._state(int(one)) for one in ids}
        found = [state.sent for state in states.values() if state.found]
        rows = [self._row(message_id, state) for message_id, state in states.items() if state.found]
        counts = {
            "success": found.count(0),
            "fail": sum(sent not in (0, 1, 2) for sent in found),
            "unsent": found.count(1),
            "sending": found.count(2),
            "nofound": len(states) - len(found),
        }
        return _reply({"status": 0, "array": rows, **counts})

    def _sent_records(self, fields: dict[str, str]) -> SimulatorResponse:
        """Return the messages of one day between two times, from an index on."""
        day, begin, end = (fields[name] for name in ("date", "begintime", "endtime"))
        if not (_DAY.fullmatch(day) and _TIME.fullmatch(begin) and _TIME.fullmatch(end)):
            return _reply({"status": WRONG_TIME})
        if not _INTEGER.fullmatch(fields["startindex"]):
            return _reply({"status": BAD_QUERY})
        found = [one for one in self.messages if day + begin <= _format_time(one.at) <= day + end]
        rows = [self._row(one.id, self._state(one.id)) for one in found[int(fields["startindex"]) :]]
        return _reply({"status": 0, "success": len(rows), "fail": 0, "array": rows})

    def _state(self, message_id: int) -> EimsState:
        """Return the state in `states`, or else what the message's script has reached."""
        if message_id in self.states or message_id not in self._scripts:
            return self.states.get(message_id, EimsState(found=False))
        accepted_at, script = self._scripts[message_id]
        return state_at(self._clock() - accepted_at, script, self._row_length)

    def _row(self, message_id: int, state: EimsState) -> list[Any]:
        message = self.messages[message_id - FIRST_ID]
        return row_of((message_id, message.to, _format_time(message.at)), state, self._row_length, self._number)

    def _read_inbox(self, start: str) -> SimulatorResponse:
        """Return the inbox since `start` (Unix seconds); messages stay in it."""
        if start and not _INTEGER.fullmatch(start):
            return _reply({"status": BAD_QUERY})
        found = [one for one in self.inbox if one.at.timestamp() >= int(start or 0)][:MAX_INBOX_MESSAGES]
        number = self._number
        rows = [
            [one.id, number(one.sender), number(_format_time(one.at)), base64.b64encode(one.text.encode()).decode()]
            for one in found
        ]
        return _reply({"status": 0, "cnt": len(rows), "array": rows})


def _format_time(at: datetime) -> str:
    return at.astimezone(GMT_PLUS_8).strftime("%Y%m%d%H%M%S")


def _reply(members: dict[str, Any]) -> SimulatorResponse:
    return SimulatorResponse(msgspec.json.encode(members), headers={"Content-Type": JSON})


def _text_response(status: int, text: str) -> SimulatorResponse:
    return SimulatorResponse(text.encode(), status, {"Content-Type": "text/plain;charset=utf-8"})
