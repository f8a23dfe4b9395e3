"""SMSHook, the webhook of Aurora SendCloud: one call for each event, as JSON or as a form, some values JSON in strings.

The signature covers a timestamp and a token, not the body. A call is therefore accepted only if all of these hold:

- the HMAC matches;
- the timestamp is at most 48 hours old (the last of seven retries comes after 43.7 hours) and at most 5 minutes ahead;
- the token has never been seen: it is the `Receipt.nonce`, and `ReceiptHandler` checks it.

The vendor's settings page tests its URL with GET and POST and expects 200. A call without any field is that test and
gives no receipt; a call with a field must be signed.

Events are recognized by the names of the two editions of the vendor's page. Their numbers disagree (delivered is 2 or
20) and are not read.
"""

from __future__ import annotations

import codecs
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

from otp_service.domain.message import (
    GatewayEvent,
    InboundMessage,
    Receipt,
    ReceiptForged,
    ReceiptRequest,
    TemplateReview,
)
from otp_service.domain.opt_out import OptOutAction
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.lenient_json import json_object, json_value, parse_integer
from otp_service.providers.responses import MAX_ID_CHARS, international_number, is_message_id
from otp_service.providers.sendcloud.result_codes import (
    EVENT_ERRORS,
    EVENT_STATUSES,
    REPLY_EVENT,
    TEMPLATE_REVIEW_EVENT,
    UNSUBSCRIBE_EVENT,
)

__all__ = ["parse_webhook", "webhook_signature"]

MAX_AGE_MS: Final = 48 * 3600 * 1000
MAX_AHEAD_MS: Final = 5 * 60 * 1000

MAX_EVENT_CHARS: Final = 64
MAX_REPLY_CHARS: Final = 1000

_PADDING_BYTES: Final = b" \t\r\n\0"
_TIMESTAMP_MS: Final = re.compile(r"[1-9][0-9]{12}", re.ASCII)
_TOKEN: Final = re.compile(r"[!-~]{1,128}", re.ASCII)
_NON_DIGITS: Final = re.compile(r"[^0-9]", re.ASCII)


def webhook_signature(key: Secret, timestamp: str, token: str) -> str:
    """Return the signature of a call: HMAC-SHA256 over the timestamp followed by the token, in hex."""
    return hmac.new(key.reveal().encode(), (timestamp + token).encode(), hashlib.sha256).hexdigest()


def parse_webhook(call: ReceiptRequest, key: Secret) -> Sequence[GatewayEvent]:
    """Verify and read a call.

    Returns:
        At most one event; none for the URL test, an unreadable body, and events without a meaning here.

    Raises:
        ReceiptForged: The signature or the timestamp is not valid.
    """
    fields = _fields(call)
    if not fields:
        return []
    token = _verified_token(fields, key, call.now)
    event = "".join(str(fields.get("event", ""))[:MAX_EVENT_CHARS].lower().split())
    if event == TEMPLATE_REVIEW_EVENT:
        return [_template_review(fields)]
    if event in (REPLY_EVENT, UNSUBSCRIBE_EVENT):
        return [_inbound(fields, event, token)]
    message_id = _message_id(fields) or call.message_id
    if event not in EVENT_STATUSES or message_id is None or call.message_id not in (None, message_id):
        return []
    status = EVENT_STATUSES[event]
    error = None
    if status is DeliveryStatus.UNDELIVERED:
        error = EVENT_ERRORS.get(parse_integer(fields.get("statusCode")) or 0, Outcome.TRANSIENT)
    sms_id, _, number = _first(fields, "smsId", "smsIds").partition("$")
    to = _NON_DIGITS.sub("", _first(fields, "phone", "phones") or number).removeprefix("00")  # a failure has no `phone`
    return [Receipt(message_id, status, error, provider_message_id=sms_id[:MAX_ID_CHARS], to=to, nonce=token)]


def _fields(call: ReceiptRequest) -> dict[str, Any] | None:
    """Return the fields of a call, from the query if it has no body; None if the body cannot be read."""
    body = call.body.removeprefix(codecs.BOM_UTF8).strip(_PADDING_BYTES)
    if not body:
        return dict(call.query)
    if body[:1].isalpha():
        try:
            return dict(parse_qsl(body.decode(), keep_blank_values=True))
        except ValueError:  # includes UnicodeDecodeError
            return None
    fields = json_value(call.body)
    return fields if isinstance(fields, dict) else None


def _verified_token(fields: Mapping[str, Any], key: Secret, now: float) -> str:
    """Verify signature and age, and return the token; raises `ReceiptForged`."""
    timestamp, token, signature = (_scalar_text(fields.get(name)) for name in ("timestamp", "token", "signature"))
    expected = webhook_signature(key, timestamp, token)
    if not hmac.compare_digest(expected.encode(), signature.lower().encode()):
        raise ReceiptForged
    if not _TIMESTAMP_MS.fullmatch(timestamp) or not _TOKEN.fullmatch(token):
        raise ReceiptForged
    if not -MAX_AHEAD_MS <= now * 1000 - int(timestamp) <= MAX_AGE_MS:
        raise ReceiptForged
    return token


def _inbound(fields: Mapping[str, Any], event: str, token: str) -> InboundMessage:
    """Read a reply, or an unsubscription, which counts as an opt-out whatever its text."""
    sender = _first(fields, "phone", "phones") or _first(fields, "smsId", "smsIds").partition("$")[2]
    content = fields.get("replyContent")
    return InboundMessage(
        id=token,
        sender=international_number(_NON_DIGITS.sub("", sender)),
        text=content[:MAX_REPLY_CHARS] if isinstance(content, str) else "",
        action=OptOutAction.OPT_OUT if event == UNSUBSCRIBE_EVENT else None,
        nonce=token,
    )


def _template_review(fields: Mapping[str, Any]) -> TemplateReview:
    """Read the review of a template: `verfiyResult` (the vendor's spelling) is 1, -1, or 0 while it is not finished."""
    result = parse_integer(fields.get("verfiyResult", fields.get("verifyResult")))
    template_id = parse_integer(fields.get("templateId"))
    approved = {1: True, -1: False}.get(result) if result is not None else None
    return TemplateReview("" if template_id is None else str(template_id), approved)


def _message_id(fields: Mapping[str, Any]) -> str | None:
    """Find our message id in the custom arguments, which are an object or JSON in a string."""
    for name in ("customArgs", "tag"):
        custom = fields.get(name)
        if isinstance(custom, str):
            custom = json_object(custom)
        message_id = custom.get("message_id") if isinstance(custom, dict) else None
        if isinstance(message_id, str) and is_message_id(message_id):
            return message_id
    return None


def _first(fields: Mapping[str, Any], singular: str, plural: str) -> str:
    """Return a field, or the first element of its plural, which is a list or JSON of a list in a string."""
    if text := _scalar_text(fields.get(singular)):
        return text
    several = fields.get(plural)
    if isinstance(several, str):
        several = json_value(several)
    return _scalar_text(several[0]) if isinstance(several, list) and several else ""


def _scalar_text(value: object) -> str:
    """Return a string or an integer as text; "" for anything else."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
