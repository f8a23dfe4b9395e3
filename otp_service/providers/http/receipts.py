"""Reads delivery receipts as the table `receipts` maps them.

A call is authentic if its URL has the token of one message, which `ReceiptHandler` has checked, or if it has the
account's `token`, which is compared in constant time. Nothing of a call is read before.
"""

from __future__ import annotations

import codecs
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

from otp_service.domain.email_address import EmailInvalid, parse_address
from otp_service.domain.message import Receipt, ReceiptForged, ReceiptRequest
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.observability import LOG
from otp_service.providers.http.charge import read_charge
from otp_service.providers.http.json_pointer import MISSING, resolve, scalar_text
from otp_service.providers.http.receipt_config import ReceiptMapping
from otp_service.providers.lenient_json import json_value
from otp_service.providers.responses import MAX_ID_CHARS, is_message_id, receipt_number

__all__ = ["is_token", "parse_call"]

MAX_ITEMS: Final = 200
"""Receipts of one call that are read."""

MAX_FIELDS: Final = 100
"""Fields of a form or a query; a call with more is not read."""

_PADDING_BYTES: Final = b" \t\r\n\0"
_WORD: Final = re.compile(r"[A-Za-z0-9_-]{1,32}", re.ASCII)


def parse_call(provider: str, mapping: ReceiptMapping | None, call: ReceiptRequest) -> Sequence[Receipt]:
    """Authenticate and read a call; an item without a known message or a state gives no receipt.

    Raises:
        ReceiptForged: The call has neither the token of a message nor the account's.
    """
    if mapping is None or (call.message_id is None and not _is_of_account(mapping, call)):
        raise ReceiptForged
    receipts = (_receipt(provider, mapping, call, item) for item in _items(mapping, call))
    return [receipt for receipt in receipts if receipt is not None]


def is_token(mapping: ReceiptMapping, sent: str) -> bool:
    """Return whether the account's token was sent, compared in constant time."""
    expected = mapping.token
    return expected is not None and hmac.compare_digest(
        expected.reveal().encode(), sent.encode("utf-8", "surrogatepass")
    )


def _is_of_account(mapping: ReceiptMapping, call: ReceiptRequest) -> bool:
    if call.has_account_token:
        return True
    if mapping.token_header is not None:
        sent = [call.headers.get(mapping.token_header.lower(), "")]
    else:
        sent = [value for name, value in call.query if name == mapping.token_parameter]
    return len(sent) == 1 and is_token(mapping, sent[0])


def _items(mapping: ReceiptMapping, call: ReceiptRequest) -> Iterator[Any]:
    document = _document(call)
    if mapping.items is None:
        yield document
        return
    found = resolve(document, mapping.items)
    yield from found[:MAX_ITEMS] if isinstance(found, list) else ()


def _document(call: ReceiptRequest) -> Any:
    """Return the body of a call as JSON or as the fields of a form; without a body, the query."""
    body = call.body.removeprefix(codecs.BOM_UTF8).strip(_PADDING_BYTES)
    if not body:
        return dict(call.query) if len(call.query) <= MAX_FIELDS else {}
    if "x-www-form-urlencoded" in call.content_type.lower() or body[:1].isalpha():
        try:
            return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS))
        except ValueError:  # includes UnicodeDecodeError
            return {}
    return json_value(call.body)


def _receipt(provider: str, mapping: ReceiptMapping, call: ReceiptRequest, item: Any) -> Receipt | None:
    message_id = _text(item, mapping.message_id) if mapping.message_id else call.message_id
    state = _text(item, mapping.status)
    if not message_id or not is_message_id(message_id) or state is None:
        return None
    if call.message_id not in (None, message_id):
        return None
    status, error = _meaning(provider, mapping, state)
    charged, currency = read_charge(mapping.charged, item)
    return Receipt(
        message_id,
        status,
        error,
        provider_message_id=(_text(item, mapping.provider_message_id) or "")[:MAX_ID_CHARS],
        to=_recipient(_text(item, mapping.to) or ""),
        charged=charged,
        charged_currency=currency,
    )


def _recipient(text: str) -> str:
    """Return the number or the address that a receipt names; "" for any other text, which then is not compared."""
    try:
        return parse_address(text).address if "@" in text else receipt_number(text)
    except EmailInvalid:
        return ""


def _meaning(provider: str, mapping: ReceiptMapping, state: str) -> tuple[DeliveryStatus | None, Outcome | None]:
    if state in mapping.delivered:
        return DeliveryStatus.DELIVERED, None
    if state in mapping.undelivered:
        return DeliveryStatus.UNDELIVERED, Outcome(mapping.undelivered[state])
    if state not in mapping.underway:  # it may be any text, so only a word is logged
        LOG.warning("receipt_state_unknown", provider=provider, state=state if _WORD.fullmatch(state) else "other")
    return None, None


def _text(item: Any, pointer: str | None) -> str | None:
    """Return a value of a receipt as text; None if there is none, or it is not a scalar."""
    value = MISSING if pointer is None or not isinstance(item, Mapping) else resolve(item, pointer)
    return None if value is MISSING or value is None else scalar_text(value)
