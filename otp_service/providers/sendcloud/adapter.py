"""Aurora SendCloud: templates by HTTPS, `/smsapi/send`, and hooks that tell what became of a message.

The gateway has an idempotency key: requests with one `sendRequestId` are processed once within an hour. It is always
sent, and it is our message id, so an outcome that nobody knows may be asked for again (`idempotent_send`).

`mode` and `auth` stand for what the vendor's pages say in different places. `template` is Aurora's send reference
(templateId, phone, vars); `text` is the literal example of its authentication page (to, message). `parameters` is
Aurora's authentication; `signature` is that of the older sendcloud.net, of which Aurora is the overseas branch: there
the key never travels, custom arguments are called `tag`, numbers are digits, and `msgType` 2 says "international" (the
default, 0, is mainland China, which is not served in this way). Aurora's own reference has no `msgType`; it gets none.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode

import msgspec

from otp_service.domain.message import OutboundMessage, Receipt, ReceiptForged, ReceiptRequest, SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.http_client import GatewayClient, GatewayResponse
from otp_service.providers.lenient_json import (
    LONGEST_ID,
    LONGEST_REMARK,
    foreign_answer,
    integer,
    json_object,
    names_destination,
    number_of,
    seconds_to_wait,
)
from otp_service.providers.sendcloud.webhook import read_hook

__all__ = ["OUTCOMES", "SURE", "Sendcloud", "SendcloudAccount", "read_answer", "signature"]

OUTCOMES: Final[dict[int, Outcome]] = {
    # Aurora's list of codes; the rest of its 4xxxx is about e-mail
    40005: Outcome.CONFIG_ERROR,  # authentication failed
    40912: Outcome.FUNDS,  # balance not enough
    40913: Outcome.THROTTLED,  # quota of requests exceeded
    50000: Outcome.THROTTLED,  # too frequent
    50001: Outcome.CONFIG_ERROR,  # for mail only
    6001: Outcome.CONFIG_ERROR,  # no permission
    401: Outcome.CONFIG_ERROR,  # Aurora's sample tests HTTP for it; 2014's list had it for an empty text
    # sendcloud.net's list for SMS (2017), the same platform
    411: Outcome.RECIPIENT_INVALID,  # number empty
    412: Outcome.RECIPIENT_INVALID,  # number malformed
    413: Outcome.CONFIG_ERROR,  # a number twice: we send one
    421: Outcome.CONFIG_ERROR,  # signature missing
    422: Outcome.CONFIG_ERROR,  # signature wrong
    431: Outcome.CONTENT_REJECTED,  # template unknown
    432: Outcome.CONTENT_REJECTED,  # template not approved
    433: Outcome.CONTENT_REJECTED,  # template's id empty
    441: Outcome.CONTENT_REJECTED,  # variables malformed
    451: Outcome.CONFIG_ERROR,  # scheduled time: we send none
    452: Outcome.CONFIG_ERROR,
    461: Outcome.CONFIG_ERROR,  # timestamp out of window
    471: Outcome.CONFIG_ERROR,  # user unknown
    472: Outcome.CONFIG_ERROR,  # user empty
    473: Outcome.CONFIG_ERROR,  # no permission: free user
    474: Outcome.CONFIG_ERROR,  # user unknown
    481: Outcome.CONTENT_REJECTED,  # numbers and variables do not fit
    482: Outcome.CONTENT_REJECTED,
    483: Outcome.CONTENT_REJECTED,  # a variable is longer than 32
    # Too many to this number in a minute, in a day: a cap against abuse. `throttled` would fail over to a gateway that
    # does not know of it, and come back; no other gateway is asked to get round it.
    496: Outcome.RECIPIENT_BLOCKED,
    498: Outcome.RECIPIENT_BLOCKED,
    499: Outcome.FUNDS,  # quota insufficient
    501: Outcome.TRANSIENT,  # server exception: listed as a refusal
    601: Outcome.CONFIG_ERROR,  # no permission
}

SURE: Final = frozenset({40005, 6001, 401, 422, 471, 473, 474, 601})
"""The codes of `config_error` that surely concern the account. The others are about one request."""

SUCCESS, PARTIAL, NONE_SENT, BAD_TIMESTAMP = 200, 311, 312, 461
_YES: Final = ("true", "1")

REASONS: Final[tuple[tuple[str, Outcome], ...]] = (
    # `items` says why one number of a request was refused, in words only: sendcloud.net's are known, in Chinese; the
    # English ones are assumed. What is not here is judged by `names_destination`, and `transient` in the end: another
    # gateway may be asked.
    ("取消订阅", Outcome.RECIPIENT_BLOCKED),
    ("unsubscribe", Outcome.RECIPIENT_BLOCKED),
    ("黑名单", Outcome.RECIPIENT_BLOCKED),
    ("blacklist", Outcome.RECIPIENT_BLOCKED),
    ("unsupported", Outcome.DESTINATION_UNSUPPORTED),
    ("手机号格式", Outcome.RECIPIENT_INVALID),
    ("手机号不能为空", Outcome.RECIPIENT_INVALID),
    ("format", Outcome.RECIPIENT_INVALID),
    ("余额", Outcome.FUNDS),
    ("balance", Outcome.FUNDS),
)

_MOST_ITEMS: Final = 16
"""One number was asked for: more items than this are not looked through."""

LONGEST_VALUE: Final = 32
"""Characters of a variable's value (send reference)."""

FORM: Final = "application/x-www-form-urlencoded"
INTERNATIONAL: Final = "2"
_PLACEHOLDER: Final = re.compile(r"\{(code|brand|minutes)\}")


@dataclass(frozen=True, slots=True)
class SendcloudAccount:
    """How to reach the gateway and who we are there.

    `variables` are the template's own names (also written `%code%`) with text that may hold `{code}`, `{brand}` and
    `{minutes}`. `hook_key` is the APP KEY of the SMSHook page; without it no hook is believed.
    """

    base_url: str
    sms_user: str
    sms_key: Secret
    mode: Literal["template", "text"] = "template"
    template_id: int | None = None
    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({"code": "{code}"}))
    auth: Literal["parameters", "signature"] = "parameters"
    hook_key: Secret | None = None
    sender_id: str | None = None

    def __post_init__(self) -> None:
        """Refuse a mode that cannot be: raises ValueError."""
        if self.mode == "template" and self.template_id is None:
            raise ValueError("mode template needs a template_id")


class Sendcloud:
    """One account at Aurora SendCloud."""

    def __init__(
        self, name: str, account: SendcloudAccount, client: GatewayClient, clock: Callable[[], float] = time.time
    ) -> None:
        """Send through `client` as `account`; `clock` gives Unix seconds, for signed requests."""
        self.name = name
        self.idempotent_send = True
        self.reports_delivery = account.hook_key is not None
        self.timeout_seconds = client.timeout_seconds
        self._account = account
        self._client = client
        self._clock = clock
        self._milliseconds = False

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()

    async def send(self, outbound: OutboundMessage) -> SendResult:
        """Hand one message over; see the port. A variable that is too long is refused here: it would be there."""
        message = self._message(outbound)
        if message is None:
            return SendResult(Outcome.CONTENT_REJECTED)
        body = urlencode(self._authenticated(message), quote_via=quote, safe="")
        url = self._account.base_url.rstrip("/") + "/smsapi/send"
        reply = await self._client.call("POST", url, headers={"Content-Type": FORM}, content=body.encode())
        if self._account.auth == "signature" and _code(reply) == BAD_TIMESTAMP:
            self._milliseconds = not self._milliseconds
        return read_answer(reply, outbound.to, outbound.country)

    def parse_receipts(self, call: ReceiptRequest) -> Sequence[Receipt]:
        """Read a hook; see the port and `sendcloud_hooks`."""
        if self._account.hook_key is None:
            raise ReceiptForged
        return read_hook(call, self._account.hook_key)

    def _message(self, outbound: OutboundMessage) -> dict[str, str] | None:
        """Write what is to be sent, without who sends it; None when a variable is too long."""
        account = self._account
        reference = _json({"message_id": outbound.message_id})
        if account.mode == "text":
            message = {"to": outbound.to, "message": outbound.text}
        else:
            values = _values(account.variables, outbound)
            if any(len(value) > LONGEST_VALUE for value in values.values()):
                return None
            message = {"templateId": str(account.template_id), "phone": outbound.to, "vars": _json(values)}
        if account.sender_id:
            message["senderID"] = account.sender_id
        return message | {"sendRequestId": outbound.message_id, "customArgs": reference}

    def _authenticated(self, message: dict[str, str]) -> dict[str, str]:
        account = self._account
        if account.auth == "parameters":
            return {"smsUser": account.sms_user, "smsKey": account.sms_key.reveal(), **message}
        signed = {"smsUser": account.sms_user, **message, "tag": message["customArgs"], "timestamp": self._timestamp()}
        for name in signed.keys() & {"to", "phone"}:
            signed[name] = signed[name].removeprefix("+")
        if account.mode == "template":
            signed["msgType"] = INTERNATIONAL
        return signed | {"signature": signature(signed, account.sms_key)}

    def _timestamp(self) -> str:
        """Say the time as the documents do, in seconds; after a refusal for its sake, as the vendor's own SDKs do.

        The pages say "UNIX timestamp"; the SDKs send milliseconds. A wrong one is refused (461), and nothing is sent.
        """
        now = self._clock()
        return str(int(now * 1000) if self._milliseconds else int(now))


def signature(parameters: Mapping[str, str], key: Secret) -> str:
    """Sign what is sent, names sorted, before anything is encoded; the key itself is not among it."""
    pairs = "&".join(f"{name}={parameters[name]}" for name in sorted(parameters))
    secret = key.reveal()
    return hashlib.md5(f"{secret}&{pairs}&{secret}".encode(), usedforsecurity=False).hexdigest()


def read_answer(reply: GatewayResponse | Outcome, to: str, country: str = "") -> SendResult:
    """Say what `reply` means for the number `to` of `country`; success is what `result`, code and count agree on."""
    if isinstance(reply, Outcome):
        return SendResult(reply)
    answer = json_object(reply.body)
    code = integer(answer.get("statusCode"))
    if code is None:
        return foreign_answer(reply)
    if code in (SUCCESS, PARTIAL, NONE_SENT):
        said_no = str(answer.get("result", True)).strip().lower() not in _YES  # Aurora's schema does not list `result`
        found = answer.get("info")
        info = found if isinstance(found, dict) else {}
        reason = _reason(info.get("items"), to, country)
        return _of_one(code, info, reason, doubtful=said_no or reply.status >= 300)
    outcome = OUTCOMES.get(code, _unknown(code))
    if outcome is Outcome.CONFIG_ERROR and names_destination(_words(answer.get("message"))):
        return SendResult(Outcome.DESTINATION_UNSUPPORTED)
    if outcome is Outcome.CONFIG_ERROR and code not in SURE:
        return SendResult.undocumented()
    return SendResult(outcome, retry_after=seconds_to_wait(reply.headers) if outcome is Outcome.THROTTLED else None)


def _of_one(code: int, info: Mapping[str, Any], reason: Outcome | None, *, doubtful: bool) -> SendResult:
    """Read the counts of a request with one number, refused for `reason`; `doubtful`: it cannot be acceptance."""
    taken, failed = integer(info.get("successCount")), integer(info.get("failedCount"))
    ids = info.get("smsIds")
    ids = [one for one in ids if isinstance(one, str)] if isinstance(ids, list) else []
    if code != NONE_SENT and reason is None and (taken == 1 or (taken is None and len(ids) == 1)):
        if doubtful:
            return SendResult(Outcome.AMBIGUOUS)
        return SendResult(Outcome.ACCEPTED, without_number(ids[0]) if ids else "")
    refused = not taken and not ids and (code == NONE_SENT or bool(failed) or reason is not None)
    return SendResult((reason or Outcome.TRANSIENT) if refused else Outcome.AMBIGUOUS)


def without_number(sms_id: str) -> str:
    """Leave out of a message's id the number that it ends with (`<time>_<user>_...$<number>`)."""
    return sms_id.partition("$")[0][:LONGEST_ID]


def _reason(items: object, to: str, country: str) -> Outcome | None:
    """Read why our number was refused; None when it is not among the refused. It is the only one that was asked for."""
    refused = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    for item in refused[:_MOST_ITEMS]:
        if number_of(item.get("phone"), to, country) in ((to, None) if len(refused) == 1 else (to,)):
            words = _words(item.get("message")).lower()
            unknown = Outcome.DESTINATION_UNSUPPORTED if names_destination(words) else Outcome.TRANSIENT
            return next((outcome for needle, outcome in REASONS if needle in words), unknown)
    return None


def _words(remark: object) -> str:
    return remark[:LONGEST_REMARK] if isinstance(remark, str) else ""


def _unknown(code: int) -> Outcome:
    """Judge a code that no list has: the server's own trouble may come after it has sent, the rest are refusals."""
    return Outcome.AMBIGUOUS if str(code).startswith("5") else Outcome.CONFIG_ERROR


def _values(variables: Mapping[str, str], outbound: OutboundMessage) -> dict[str, str]:
    """Fill the placeholders, in one pass: a brand that looks like one stays as it is."""
    known = {"code": outbound.code, "brand": outbound.brand, "minutes": str(outbound.minutes)}
    return {name: _PLACEHOLDER.sub(lambda found: known[found[1]], text) for name, text in variables.items()}


def _code(reply: GatewayResponse | Outcome) -> int | None:
    return integer(json_object(reply.body).get("statusCode")) if isinstance(reply, GatewayResponse) else None


def _json(value: dict[str, str]) -> str:
    return msgspec.json.encode(value).decode()
