"""The webhook of a Meta app: the check of its URL by GET, and the status of messages by POST.

A POST is authentic if `X-Hub-Signature-256` is the HMAC-SHA256 of its raw body with the app secret. The signature has
no time: a repeated call changes nothing, because a final status is never undone. Meta repeats a call that was not
answered with 200 for up to seven days, and may put several statuses into one.

A status is matched to its message by `biz_opaque_callback_data`, which is our message id and covered by the signature.
`recipient_id` is not compared: it is the WhatsApp id, which is written differently from the number in some countries
(Brazil, Mexico, Argentina). One app has one webhook, so statuses of its other numbers arrive too, and are ignored.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

from otp_service.domain.message import Receipt, ReceiptForged, ReceiptRequest
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.lenient_json import json_object, parse_integer
from otp_service.providers.responses import is_message_id
from otp_service.providers.whatsapp.config import WhatsappConfig
from otp_service.providers.whatsapp.result_codes import MESSAGE_STATUSES, outcome_of
from otp_service.providers.whatsapp.wire import hashed_id

__all__ = ["answer_url_check", "parse_webhook", "webhook_signature"]

SIGNATURE: Final = "x-hub-signature-256"
SUBSCRIBE: Final = "subscribe"
MAX_STATUSES: Final = 10_000
"""Statuses of one call that are read; a body of the size that is accepted has fewer (each has 300 bytes and more)."""

_CHALLENGE: Final = re.compile(r"[A-Za-z0-9._-]{1,256}", re.ASCII)


def webhook_signature(app_secret: Secret, body: bytes) -> str:
    """Return the value of `X-Hub-Signature-256` for a body."""
    return "sha256=" + hmac.new(app_secret.reveal().encode(), body, hashlib.sha256).hexdigest()


def answer_url_check(call: ReceiptRequest, config: WhatsappConfig) -> str:
    """Return the challenge of a GET by which Meta checks that the URL is ours.

    Raises:
        ReceiptForged: The verify token is not the configured one, or the call is not such a check.
    """
    names = [name for name, _ in call.query]
    fields = dict(call.query)
    mode, token, challenge = (fields.get(f"hub.{name}", "") for name in ("mode", "verify_token", "challenge"))
    expected = config.verify_token
    if expected is None or not _equals(expected.reveal(), token) or len(names) != len(fields):
        raise ReceiptForged
    if mode != SUBSCRIBE or not _CHALLENGE.fullmatch(challenge):
        raise ReceiptForged
    return challenge


def parse_webhook(call: ReceiptRequest, config: WhatsappConfig) -> Sequence[Receipt]:
    """Verify and read a call.

    Returns:
        The receipts of the messages that we sent from this number; none for all other events.

    Raises:
        ReceiptForged: The signature is not valid.
    """
    if config.app_secret is None:
        raise ReceiptForged
    if not _equals(webhook_signature(config.app_secret, call.body), call.headers.get(SIGNATURE, "").lower()):
        raise ReceiptForged
    receipts = (_receipt(status, call.message_id) for status in _statuses(call.body, config.phone_number_id))
    return [receipt for receipt in receipts if receipt is not None]


def _statuses(body: bytes, phone_number_id: str) -> Iterator[dict[str, Any]]:
    """Yield the statuses of the messages of a business phone number."""
    changes = (change for entry in _objects(json_object(body), "entry") for change in _objects(entry, "changes"))
    values = (change.get("value") for change in changes if change.get("field") == "messages")
    ours = (value for value in values if isinstance(value, dict) and _phone_number_id(value) == phone_number_id)
    yield from islice((status for value in ours for status in _objects(value, "statuses")), MAX_STATUSES)


def _phone_number_id(value: dict[str, Any]) -> str:
    metadata = value.get("metadata")
    return str(metadata.get("phone_number_id", "")) if isinstance(metadata, dict) else ""


def _receipt(fields: dict[str, Any], expected_id: str | None) -> Receipt | None:
    """Read one status; None if it is not about one of our messages, or not a known status."""
    message_id, wamid, name = (fields.get(key) for key in ("biz_opaque_callback_data", "id", "status"))
    if not isinstance(message_id, str) or not is_message_id(message_id) or expected_id not in (None, message_id):
        return None
    if not isinstance(name, str) or name not in MESSAGE_STATUSES:
        return None
    status = MESSAGE_STATUSES[name]
    error = _error(fields) if status is DeliveryStatus.UNDELIVERED else None
    return Receipt(message_id, status, error, provider_message_id=hashed_id(wamid) if isinstance(wamid, str) else "")


def _error(fields: dict[str, Any]) -> Outcome:
    """Return why a message has failed; the first code that is listed decides."""
    codes = (parse_integer(error.get("code")) for error in _objects(fields, "errors"))
    outcomes = (outcome_of(code) for code in codes if code is not None)
    return next(filter(None, outcomes), Outcome.TRANSIENT)


def _objects(parent: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the objects in a list member; none if it is not a list."""
    items = parent.get(name)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _equals(one: str, other: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(one.encode(), other.encode("utf-8", "surrogatepass"))
