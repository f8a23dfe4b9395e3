"""Aurora SendCloud, `/smsapi/send`: with a key as Aurora documents it, or signed as sendcloud.net documents it.

The simulator is stricter than the gateway: an unknown or duplicate parameter, or a wrongly encoded form, gets HTTP 400
and the reason as text, so that an integration that passes here works there. A request that the gateway rejects gets
HTTP 200 and the documented code; an unknown key gets HTTP 401, which the vendor's sample expects.

A `sendRequestId` is processed once in an hour; a repeated request gets the same response. Webhooks go to the one URL
of the account (`webhook_url`), and are retried with the same bytes by the documented schedule until the response is
200. `webhooks` builds them, also for tests that send them themselves.
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

from otp_service.sandbox.simulators.http_server import Request, Respond, SimulatorResponse
from otp_service.sandbox.simulators.receipt_sender import ReceiptSender, ScriptedReceipt, Webhook
from otp_service.sandbox.simulators.sendcloud_requests import (
    MAX_REFERENCE_CHARS,
    InvalidRequest,
    check_reference,
    parse_fields,
)
from otp_service.sandbox.simulators.sendcloud_webhooks import (
    ANSWER_SECONDS,
    RETRIES_AFTER_SECONDS,
    Form,
    WebhookBuilder,
)

__all__ = ["SendcloudMessage", "SendcloudSimulator", "refusal"]

DEDUPLICATION_SECONDS: Final = 3600
CLOCK_WINDOW_SECONDS: Final = 60
MAX_VARIABLE_CHARS: Final = 32
MAX_NUMBERS: Final = 2000
INTERNATIONAL_TYPE: Final = "2"
UNSPECIFIED_FAILURE: Final = 590
PLATFORM_FAILURES: Final = range(410, 470)
"""The codes of messages that the platform itself suppressed: they never reached a carrier."""

_EVENTS: Final[Mapping[Form, Mapping[str, str]]] = {
    "json": {"sent": "Requested", "delivered": "Delivered", "undelivered": "Failed", "suppressed": "Suppressed"},
    "form": {"sent": "request", "delivered": "deliver", "undelivered": "delivererror", "suppressed": "workererror"},
}
"""Aurora's page (JSON) and the classic one (forms) use different event names."""

_PARAMETERS: Final = {
    "parameters": frozenset({"smsUser", "smsKey", "senderID", "sendRequestId", "timestamp", "customArgs"}),
    "signature": frozenset({"smsUser", "signature", "msgType", "senderID", "sendRequestId", "timestamp", "customArgs",
                            "tag", "labelId"}),
}  # fmt: skip
_MODES: Final = {"template": frozenset({"templateId", "phone", "vars"}), "text": frozenset({"to", "message"})}
_NUMBER: Final = {"parameters": re.compile(r"\+?[1-9][0-9]{7,14}"), "signature": re.compile(r"[1-9][0-9]{7,14}")}


@dataclass(frozen=True, slots=True)
class SendcloudMessage:
    """An accepted message: `values` are the template's variables, `text` the text of a message without template."""

    sms_id: str
    to: str
    values: Mapping[str, str]
    text: str
    request_id: str
    custom_args: str
    sender: str
    at: datetime


class _Refused(Exception):
    """The gateway rejects the request with its own code."""

    def __init__(self, code: int, status: int = 200) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


def refusal(code: int, *, result: bool = False, status: int = 200, info: Mapping[str, Any] | None = None) -> Respond:
    """Return the behavior that rejects a request with `code`."""
    return Respond(_reply(code, info or {}, result=result, status=status))


class SendcloudSimulator(ReceiptSender[SendcloudMessage]):
    """One account.

    Attributes:
        messages: The accepted messages, oldest first.
        webhook_url: The URL for receipts; "" sends none.
        form: The encoding of webhooks.
        webhooks: Builds webhooks.
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
        webhook_url: str = "",
        form: Form = "json",
        retry_factor: float = 1.0,
    ) -> None:
        """Create an account.

        Args:
            sms_user: The account's API user.
            sms_key: Its key.
            auth: How requests are authenticated.
            app_key: The key that signs webhooks.
            templates: The variables of each approved template, by its id.
            refused: The error text for numbers (digits) that are rejected one by one: code 312, or 311 if other
                numbers of the request are accepted.
            clock: The gateway's Unix time in seconds.
            milliseconds: The timestamp of a signed request is in milliseconds.
            webhook_url: The URL for receipts.
            form: The encoding of webhooks.
            retry_factor: Multiplies the documented delays between retries.
        """
        super().__init__([seconds * retry_factor for seconds in RETRIES_AFTER_SECONDS])
        self.messages: list[SendcloudMessage] = []
        self.webhook_url = webhook_url
        self.form = form
        self.webhooks = WebhookBuilder(app_key, sms_user)
        self._user, self._key, self._auth = sms_user, sms_key, auth
        self._templates = {1234: frozenset({"code"})} if templates is None else templates
        self._refused = refused or {}
        self._clock = clock
        self._unit = 1000 if milliseconds else 1
        self._responses: dict[str, tuple[float, SimulatorResponse]] = {}

    def answer(self, request: Request) -> SimulatorResponse:
        """Send messages."""
        if request.path != "/smsapi/send":
            return _text_response(404, "Use /smsapi/send.")
        try:
            fields = parse_fields(request)
            if unknown := fields.keys() - _PARAMETERS[self._auth] - _MODES[_mode(fields)]:
                raise InvalidRequest(f"Unknown parameters: {', '.join(sorted(unknown))}")
            self._authenticate(fields)
            return self._send_once(fields)
        except InvalidRequest as problem:
            return _text_response(400, str(problem))
        except _Refused as refused:
            return _reply(refused.code, {}, result=False, status=refused.status)

    def receipt_url(self, message: SendcloudMessage) -> str:
        """Return the account's URL: a send request names none."""
        del message
        return self.webhook_url

    def build_webhook(self, message: SendcloudMessage, receipt: ScriptedReceipt) -> Webhook:
        """Build an event; a message that the platform suppressed has another event than one that a carrier refused."""
        reason = int(receipt.reason or UNSPECIFIED_FAILURE) if receipt.status == "undelivered" else None
        event = _EVENTS[self.form]["suppressed" if reason in PLATFORM_FAILURES else receipt.status]
        return self.webhooks.build(
            event,
            at=self._clock(),
            sms_id=message.sms_id,
            custom_args=message.custom_args,
            status_code=reason,
            form=self.form,
        )

    def reply(self, digits: str, text: str) -> Webhook:
        """Build the event of a message that a number has sent."""
        sms_id = f"{int(self._clock() * 1000)}_19999_0_29999_qrwnpq${digits}"
        return self.webhooks.build("reply", at=self._clock(), sms_id=sms_id, form=self.form, replyContent=text)

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

    def _send_once(self, fields: Mapping[str, str]) -> SimulatorResponse:
        request_id, now = fields.get("sendRequestId", ""), self._clock()
        if len(request_id) > MAX_REFERENCE_CHARS:
            raise InvalidRequest("sendRequestId must have at most 128 characters.")
        at, response = self._responses.get(request_id, (0.0, None))
        if request_id and response is not None and now - at < DEDUPLICATION_SECONDS:
            return response
        response = self._send(fields)
        self._responses[request_id] = (now, response)
        return response

    def _send(self, fields: Mapping[str, str]) -> SimulatorResponse:
        template = _mode(fields) == "template"
        values = self._values(fields) if template else {}
        if not template and not fields["message"]:
            raise _Refused(401)
        numbers = (fields.get("phone" if template else "to") or "").split(",")
        if numbers == [""]:
            raise _Refused(411)
        if len(numbers) > MAX_NUMBERS:
            raise InvalidRequest(f"Send at most {MAX_NUMBERS} numbers.")
        if not all(map(_NUMBER[self._auth].fullmatch, numbers)):
            raise _Refused(412)
        if len(set(numbers)) < len(numbers):
            raise _Refused(413)
        if self._auth == "signature" and template and fields.get("msgType", "0") != INTERNATIONAL_TYPE:
            raise _Refused(412)  # mainland China only: 11 digits without a country code
        for name in ("customArgs", "tag"):
            check_reference(fields.get(name, "{}"))
        return self._accept([number.lstrip("+") for number in numbers], fields, values)

    def _values(self, fields: Mapping[str, str]) -> dict[str, str]:
        """Return the variables of the template, or reject them."""
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
        if any(len(value) > MAX_VARIABLE_CHARS for value in values.values()):
            raise _Refused(483)
        return values

    def _accept(self, numbers: list[str], fields: Mapping[str, str], values: dict[str, str]) -> SimulatorResponse:
        accepted, items = [], []
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
            accepted.append(message.sms_id)
        if not items:
            return _reply(200, {"successCount": len(accepted), "smsIds": accepted})
        info = {"successCount": len(accepted), "failedCount": len(items), "items": items, "smsIds": accepted}
        return _reply(311 if accepted else 312, info, result=bool(accepted))


def _mode(fields: Mapping[str, str]) -> str:
    return "text" if "message" in fields else "template"


def _reply(code: int, info: Mapping[str, Any], *, result: bool = True, status: int = 200) -> SimulatorResponse:
    body = {"result": result, "statusCode": code, "message": "success" if code == 200 else "refused", "info": info}
    return SimulatorResponse(json.dumps(body).encode(), status, {"Content-Type": "application/json;charset=UTF-8"})


def _text_response(status: int, text: str) -> SimulatorResponse:
    return SimulatorResponse(text.encode(), status, {"Content-Type": "text/plain;charset=utf-8"})
