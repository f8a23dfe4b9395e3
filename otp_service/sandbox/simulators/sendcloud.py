"""Aurora SendCloud, `/smsapi/send`: by parameters as Aurora documents it, or signed as sendcloud.net does.

It is stricter than the real one: an unknown parameter, one that stands twice and a form that is not encoded as a form
get HTTP 400 and a line that says why, so that an integration that passes it passes there. What the gateway itself
refuses gets HTTP 200 and its code, but for an unknown key, which the vendor's own sample expects as HTTP 401.

A `sendRequestId` is worked on once within an hour; a repetition gets the same answer, word for word. Events are told
to the one address that the account has (`hook_url`), again and again by the documented schedule until the answer is
200; the same bytes each time. `hooks` writes them, also for a test that sends them by hand.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal
from urllib.parse import unquote_to_bytes

from otp_service.sandbox.simulators.http_server import Request, Respond, SimulatorResponse
from otp_service.sandbox.simulators.receipt_sender import ReceiptSender, ScriptedReceipt, Webhook
from otp_service.sandbox.simulators.sendcloud_webhooks import ANSWER_SECONDS, RETRIES_AFTER_SECONDS, Form, WebhookWriter

__all__ = ["SendcloudMessage", "SendcloudSimulator", "refusal"]

FORM: Final = "application/x-www-form-urlencoded"
REMEMBERED_SECONDS: Final = 3600
CLOCK_WINDOW_SECONDS: Final = 60
LONGEST_VALUE: Final = 32
LONGEST_REFERENCE: Final = 128
MOST_NUMBERS: Final = 2000
INTERNATIONAL: Final = "2"
OTHER_REASON: Final = 590
OWN_REASONS: Final = range(410, 470)
"""Of an event's codes, those that say what the platform itself held back: it never came to a carrier."""

_EVENTS: Final[Mapping[Form, Mapping[str, str]]] = {
    "json": {"sent": "Requested", "delivered": "Delivered", "undelivered": "Failed", "held": "Suppressed"},
    "form": {"sent": "request", "delivered": "deliver", "undelivered": "delivererror", "held": "workererror"},
}
"""Aurora's page names events otherwise than the classic one, which shows forms."""

_PARAMETERS: Final = {
    "parameters": frozenset({"smsUser", "smsKey", "senderID", "sendRequestId", "timestamp", "customArgs"}),
    "signature": frozenset({"smsUser", "signature", "msgType", "senderID", "sendRequestId", "timestamp", "customArgs",
                            "tag", "labelId"}),
}  # fmt: skip
_MODES: Final = {"template": frozenset({"templateId", "phone", "vars"}), "text": frozenset({"to", "message"})}
_NUMBER: Final = {"parameters": re.compile(r"\+?[1-9][0-9]{7,14}"), "signature": re.compile(r"[1-9][0-9]{7,14}")}
_ENCODED: Final = re.compile(r"(?:[A-Za-z0-9&=._~+*-]|%[0-9A-F]{2})*")


@dataclass(frozen=True, slots=True)
class SendcloudMessage:
    """A text that the gateway took. `values` are the template's; `text` is that of mode text."""

    sms_id: str
    to: str
    values: Mapping[str, str]
    text: str
    request_id: str
    custom_args: str
    sender: str
    at: datetime


class _NotARequest(Exception):
    """It is none of this interface's; says why."""


class _Refused(Exception):
    """The gateway says no, with its code."""

    def __init__(self, code: int, status: int = 200) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


def refusal(code: int, *, result: bool = False, status: int = 200, info: Mapping[str, Any] | None = None) -> Respond:
    """Make the behaviour of a gateway that answers with `code` and sends nothing."""
    return Respond(_reply(code, info or {}, result=result, status=status))


class SendcloudSimulator(ReceiptSender[SendcloudMessage]):
    """One account, with `templates`: approved numbers and the variables that each of them has.

    `messages` is what was taken, oldest first. Numbers (digits) in `refused` are refused one by one, with these words
    as the reason, in a 312 (or a 311 where others of the same request were taken). `receipts` are told at `hook_url`
    in the `form` of one page or the other; the seconds between tries are the documented ones times `retry_factor`.
    """

    answer_seconds = ANSWER_SECONDS

    def __init__(
        self,
        sms_user: str = "acme_sms",
        sms_key: str = "secret",
        *,
        auth: Literal["parameters", "signature"] = "parameters",
        app_key: str = "app key",
        templates: Mapping[int, frozenset[str]] | None = None,
        refused: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.time,
        milliseconds: bool = False,
        hook_url: str = "",
        form: Form = "json",
        retry_factor: float = 1.0,
    ) -> None:
        """Answer to `sms_user` and `sms_key`; `milliseconds`: what a signed request's timestamp counts."""
        super().__init__([seconds * retry_factor for seconds in RETRIES_AFTER_SECONDS])
        self.messages: list[SendcloudMessage] = []
        self.hook_url = hook_url
        self.form = form
        self.hooks = WebhookWriter(app_key, sms_user)
        self._user, self._key, self._auth = sms_user, sms_key, auth
        self._templates = {1234: frozenset({"code"})} if templates is None else templates
        self._refused = refused or {}
        self._clock = clock
        self._unit = 1000 if milliseconds else 1
        self._answered: dict[str, tuple[float, SimulatorResponse]] = {}

    def answer(self, request: Request) -> SimulatorResponse:
        """Take a message, or say why not."""
        if request.path != "/smsapi/send":
            return _plain(404, "only /smsapi/send is here")
        try:
            fields = _fields(request)
            if unknown := fields.keys() - _PARAMETERS[self._auth] - _MODES[_mode(fields)]:
                raise _NotARequest(f"unknown: {', '.join(sorted(unknown))}")
            self._authenticate(fields)
            return self._once(fields)
        except _NotARequest as problem:
            return _plain(400, str(problem))
        except _Refused as refused:
            return _reply(refused.code, {}, result=False, status=refused.status)

    def receipt_url(self, message: SendcloudMessage) -> str:
        """Give the account's address: a send names none."""
        del message
        return self.hook_url

    def build_webhook(self, message: SendcloudMessage, told: ScriptedReceipt) -> Webhook:
        """Write an event; what the platform itself held back has another name than what a carrier refused."""
        reason = int(told.reason or OTHER_REASON) if told.say == "undelivered" else None
        event = _EVENTS[self.form]["held" if reason in OWN_REASONS else told.say]
        return self.hooks.write(
            event,
            at=self._clock(),
            sms_id=message.sms_id,
            custom_args=message.custom_args,
            status_code=reason,
            form=self.form,
        )

    def _authenticate(self, fields: Mapping[str, str]) -> None:
        if not fields.get("smsUser"):
            raise _Refused(472)
        if self._auth == "parameters":
            if (fields["smsUser"], fields.get("smsKey", "")) != (self._user, self._key):
                raise _Refused(40005, 401)
            return
        if fields["smsUser"] != self._user:
            raise _Refused(471)
        if "signature" not in fields:
            raise _Refused(421)
        if not hmac.compare_digest(self._signature(fields), fields["signature"]):
            raise _Refused(422)
        timestamp = fields.get("timestamp", str(int(self._clock() * self._unit)))
        if not timestamp.isdigit() or abs(int(timestamp) / self._unit - self._clock()) > CLOCK_WINDOW_SECONDS:
            raise _Refused(461)

    def _signature(self, fields: Mapping[str, str]) -> str:
        pairs = [f"{name}={fields[name]}" for name in sorted(fields) if name != "signature"]
        return hashlib.md5("&".join([self._key, *pairs, self._key]).encode(), usedforsecurity=False).hexdigest()

    def _once(self, fields: Mapping[str, str]) -> SimulatorResponse:
        request_id, now = fields.get("sendRequestId", ""), self._clock()
        if len(request_id) > LONGEST_REFERENCE:
            raise _NotARequest("sendRequestId is longer than 128")
        at, reply = self._answered.get(request_id, (0.0, None))
        if request_id and reply is not None and now - at < REMEMBERED_SECONDS:
            return reply
        reply = self._work(fields)
        self._answered[request_id] = (now, reply)
        return reply

    def _work(self, fields: Mapping[str, str]) -> SimulatorResponse:
        template = _mode(fields) == "template"
        values = self._values(fields) if template else {}
        if not template and not fields["message"]:
            raise _Refused(401)
        numbers = (fields.get("phone" if template else "to") or "").split(",")
        if numbers == [""]:
            raise _Refused(411)
        if len(numbers) > MOST_NUMBERS:
            raise _NotARequest(f"more than {MOST_NUMBERS} numbers")
        if not all(map(_NUMBER[self._auth].fullmatch, numbers)):
            raise _Refused(412)
        if len(set(numbers)) < len(numbers):
            raise _Refused(413)
        if self._auth == "signature" and template and fields.get("msgType", "0") != INTERNATIONAL:
            raise _Refused(412)  # mainland China only, and those are 11 digits without a country
        for name in ("customArgs", "tag"):
            _checked_reference(fields.get(name, "{}"))
        return self._take([number.lstrip("+") for number in numbers], fields, values)

    def _values(self, fields: Mapping[str, str]) -> dict[str, str]:
        """Read the variables as the template wants them, or refuse."""
        if not fields.get("templateId"):
            raise _Refused(433)
        names = self._templates.get(int(fields["templateId"])) if fields["templateId"].isdigit() else None
        if names is None:
            raise _Refused(431)
        try:
            values = json.loads(fields.get("vars", "{}"))
        except ValueError:
            raise _Refused(441) from None
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
            raise _Refused(441)
        values = {name.strip("%"): value for name, value in values.items()}
        if values.keys() != names or any("http" in value for value in values.values()):
            raise _Refused(441)
        if any(len(value) > LONGEST_VALUE for value in values.values()):
            raise _Refused(483)
        return values

    def _take(self, numbers: list[str], fields: Mapping[str, str], values: dict[str, str]) -> SimulatorResponse:
        taken, items = [], []
        for number in numbers:
            if reason := self._refused.get(number):
                items.append({"phone": number, "vars": values, "message": reason})
                continue
            message = SendcloudMessage(
                sms_id=f"{int(self._clock() * 1000)}_19999_{len(self.messages)}_29999_qrwnpq${number}",
                to=number,
                values=values,
                text=fields.get("message", ""),
                request_id=fields.get("sendRequestId", ""),
                custom_args=fields.get("customArgs", "{}"),
                sender=fields.get("senderID", ""),
                at=datetime.fromtimestamp(self._clock(), UTC),
            )
            self.messages.append(message)
            self.schedule_receipts(message)
            taken.append(message.sms_id)
        if not items:
            return _reply(200, {"successCount": len(taken), "smsIds": taken})
        info = {"successCount": len(taken), "failedCount": len(items), "items": items, "smsIds": taken}
        return _reply(311 if taken else 312, info, result=bool(taken))


def _mode(fields: Mapping[str, str]) -> str:
    return "text" if "message" in fields else "template"


def _checked_reference(text: str) -> None:
    try:
        fits = len(text) <= LONGEST_REFERENCE and isinstance(json.loads(text), dict)
    except ValueError:
        fits = False
    if not fits:
        raise _NotARequest("customArgs is no JSON object of at most 128 characters")


def _fields(request: Request) -> dict[str, str]:
    """Read a POST's form, or a GET's query."""
    if request.method == "POST":
        if request.query or request.headers.get("content-type", "").split(";")[0].strip().lower() != FORM:
            raise _NotARequest("a POST has a form, and no query")
        encoded = request.body.decode("latin-1")
    elif request.method == "GET":
        encoded = request.query
    else:
        raise _NotARequest(f"{request.method}; allowed: GET and POST")
    if not _ENCODED.fullmatch(encoded):
        raise _NotARequest("what is not a letter, a digit or -._~* is %XX in a form")
    fields: dict[str, str] = {}
    for name, _, value in (pair.partition("=") for pair in encoded.split("&")):
        if name in fields:
            raise _NotARequest(f"{name} stands twice")
        try:
            fields[name] = unquote_to_bytes(value.replace("+", " ")).decode()
        except UnicodeDecodeError:
            raise _NotARequest(f"{name} is not UTF-8") from None
    return fields


def _reply(code: int, info: Mapping[str, Any], *, result: bool = True, status: int = 200) -> SimulatorResponse:
    body = {"result": result, "statusCode": code, "message": "success" if code == 200 else "refused", "info": info}
    return SimulatorResponse(json.dumps(body).encode(), status, {"Content-Type": "application/json;charset=UTF-8"})


def _plain(status: int, why: str) -> SimulatorResponse:
    return SimulatorResponse(why.encode(), status, {"Content-Type": "text/plain;charset=utf-8"})
