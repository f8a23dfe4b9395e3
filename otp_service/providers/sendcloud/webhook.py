"""SMSHook: Aurora's calls to us, one for each event, as JSON or as a form, with values that are JSON inside strings.

The signature covers a timestamp and a token, not the body, so a call is believed only when all of these hold: the
HMAC is right, the timestamp is not older than 48 hours (the last of the seven retries comes after 43.7) and not more
than 5 minutes ahead, and the token was never seen (`Receipt.once`; whoever writes receipts down holds that). The page
tries its URL with GET and with POST and wants 200: a call that carries nothing at all is that test, and says nothing.
Whatever carries a field has to be signed. Names of events are what the two editions of the page call them; their
numbers disagree (delivered is 2 and 20) and are not read.
"""

from __future__ import annotations

import codecs
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

from otp_service.domain.message import Receipt, ReceiptForged, ReceiptRequest
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.lenient_json import LONGEST_ID, integer, json_object, json_value

__all__ = ["EVENTS", "EVENT_OUTCOMES", "hook_signature", "read_hook"]

EVENTS: Final[Mapping[str, DeliveryStatus | None]] = {
    "request": None,
    "requested": None,
    "deliver": DeliveryStatus.DELIVERED,
    "delivered": DeliveryStatus.DELIVERED,
    "workererror": DeliveryStatus.UNDELIVERED,
    "suppressed": DeliveryStatus.UNDELIVERED,
    "delivererror": DeliveryStatus.UNDELIVERED,
    "failed": DeliveryStatus.UNDELIVERED,
}
"""By name, in lower case and without spaces. What is not here (a reply, a template's review) is not ours."""

EVENT_OUTCOMES: Final[dict[int, Outcome]] = {
    # SMSHook page, `statusCode`: what the platform itself held back (workererror, suppressed)
    410: Outcome.RECIPIENT_BLOCKED,  # global blocklist
    420: Outcome.RECIPIENT_BLOCKED,  # the account's blocklist
    430: Outcome.RECIPIENT_BLOCKED,  # unsubscribed
    440: Outcome.CONTENT_REJECTED,  # keyword filter (Aurora's newer page: invalid number; failing over bears both)
    450: Outcome.CONTENT_REJECTED,  # variables (Aurora's newer page: carrier rejection)
    460: Outcome.CONTENT_REJECTED,  # longer than 500 characters
    # what the carrier said (delivererror, failed)
    500: Outcome.RECIPIENT_INVALID,  # no such number
    510: Outcome.TRANSIENT,  # line suspended
    520: Outcome.RECIPIENT_BLOCKED,  # carrier's blacklist
    530: Outcome.TRANSIENT,  # busy
    540: Outcome.TRANSIENT,  # no answer
    550: Outcome.CONTENT_REJECTED,  # template blocked
    560: Outcome.TRANSIENT,  # handset
    570: Outcome.TRANSIENT,  # out of coverage
    580: Outcome.TRANSIENT,  # switched off
    590: Outcome.TRANSIENT,  # other
}
"""A code that is not here is `transient`: undelivered, and another gateway may be asked."""

_AROUND: Final = b" \t\r\n\0"

OLDEST_MS: Final = 48 * 3600 * 1000
AHEAD_MS: Final = 5 * 60 * 1000

_TIMESTAMP: Final = re.compile(r"[1-9][0-9]{12}", re.ASCII)
_TOKEN: Final = re.compile(r"[!-~]{1,128}", re.ASCII)
_OURS: Final = re.compile(r"[A-Za-z0-9_-]{1,36}", re.ASCII)
_NOT_DIGITS: Final = re.compile(r"[^0-9]", re.ASCII)


def hook_signature(key: Secret, timestamp: str, token: str) -> str:
    """Sign as the gateway does: hex HMAC-SHA256 over the timestamp and, right behind it, the token."""
    return hmac.new(key.reveal().encode(), (timestamp + token).encode(), hashlib.sha256).hexdigest()


def read_hook(call: ReceiptRequest, key: Secret) -> Sequence[Receipt]:
    """Read a call; raises `ReceiptForged`. The empty list: a test, a body that cannot be read, nothing about ours."""
    fields = _fields(call)
    if not fields:
        return []
    token = _authentic_token(fields, key, call.now)
    name = "".join(str(fields.get("event", "")).lower().split())
    ours = _message_id(fields) or call.message_id
    if name not in EVENTS or ours is None or call.message_id not in (None, ours):
        return []
    status = EVENTS[name]
    error = None
    if status is DeliveryStatus.UNDELIVERED:
        error = EVENT_OUTCOMES.get(integer(fields.get("statusCode")) or 0, Outcome.TRANSIENT)
    sms_id, _, number = _first(fields, "smsId", "smsIds").partition("$")
    to = _NOT_DIGITS.sub("", _first(fields, "phone", "phones") or number)  # a failure may have no `phone`
    return [Receipt(ours, status, error, provider_message_id=sms_id[:LONGEST_ID], to=to, once=token)]


def _fields(call: ReceiptRequest) -> dict[str, Any] | None:
    """Read what a call carries; None when its body cannot be read."""
    body = call.body.removeprefix(codecs.BOM_UTF8).strip(_AROUND)
    if not body:
        return dict(call.query)
    if body[:1].isalpha():
        try:
            return dict(parse_qsl(body.decode(), keep_blank_values=True))
        except ValueError:  # also Unicode's errors
            return None
    fields = json_value(call.body)
    return fields if isinstance(fields, dict) else None


def _authentic_token(fields: Mapping[str, Any], key: Secret, now: float) -> str:
    """Check signature and age, and give the token; raises `ReceiptForged`."""
    timestamp, token, signature = (_text(fields.get(name)) for name in ("timestamp", "token", "signature"))
    expected = hook_signature(key, timestamp, token)
    if not hmac.compare_digest(expected.encode(), signature.lower().encode()):
        raise ReceiptForged
    if not _TIMESTAMP.fullmatch(timestamp) or not _TOKEN.fullmatch(token):
        raise ReceiptForged
    if not -AHEAD_MS <= now * 1000 - int(timestamp) <= OLDEST_MS:
        raise ReceiptForged
    return token


def _message_id(fields: Mapping[str, Any]) -> str | None:
    """Find our id in the custom arguments, which come as an object or as JSON in a string."""
    for name in ("customArgs", "tag"):
        custom = fields.get(name)
        if isinstance(custom, str):
            custom = json_object(custom)
        ours = custom.get("message_id") if isinstance(custom, dict) else None
        if isinstance(ours, str) and _OURS.fullmatch(ours):
            return ours
    return None


def _first(fields: Mapping[str, Any], one: str, many: str) -> str:
    """Take a field, or the first of its plural, which is a list or a list as JSON in a string."""
    if text := _text(fields.get(one)):
        return text
    several = fields.get(many)
    if isinstance(several, str):
        several = json_value(several)
    return _text(several[0]) if isinstance(several, list) and several else ""


def _text(value: object) -> str:
    """Read text or a whole number; anything else is nothing."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
