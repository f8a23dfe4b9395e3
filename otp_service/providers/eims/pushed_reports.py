"""Delivery reports that an EIMS platform pushes to one URL of the account, by PUT or POST.

Not in the gateway's document: two public clients describe the body, `{"type": "report", "cnt": n, "array": [row...]}`
with rows as in a polled report. A push has no authentication of its own, so the URL contains a token of the
configuration: `/v1/receipts/NAME/TOKEN` or `/v1/receipts/NAME?token=TOKEN`. A row has the gateway's id and the number;
our message is found by both.
"""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import Sequence
from typing import Any, Final

from otp_service.domain.message import Receipt, ReceiptForged, ReceiptRequest
from otp_service.domain.phone import PhoneInvalid, parse
from otp_service.domain.secret import Secret
from otp_service.providers.eims.wire import report_of_row
from otp_service.providers.lenient_json import id_text, json_object
from otp_service.providers.responses import MAX_ID_CHARS

__all__ = ["is_token", "parse_number", "parse_pushed_reports", "require_token"]

MAX_REPORTS: Final = 200
"""Rows of one push that are read: as many as a polled report may have."""

_MIN_FIELDS: Final = 4
_MAX_NUMBER_CHARS: Final = 32


def parse_pushed_reports(
    call: ReceiptRequest, token: Secret | None, country: str, *, zero_is_delivered: bool
) -> Sequence[Receipt]:
    """Authenticate and read a push; rows that cannot be read give no receipt.

    Args:
        call: The call.
        token: The token in the account's URL; None: pushes are not accepted.
        country: The country by which national numbers in the rows are read.
        zero_is_delivered: Take "sent" as "delivered", as in polled reports.

    Raises:
        ReceiptForged: The token is missing or wrong.
    """
    require_token(call, token)
    push = json_object(call.body)
    rows = push.get("array")
    if push.get("type") != "report" or not isinstance(rows, list):
        return []
    receipts = (_receipt(row, country, zero_is_delivered=zero_is_delivered) for row in rows[:MAX_REPORTS])
    return [receipt for receipt in receipts if receipt is not None]


def require_token(call: ReceiptRequest, token: Secret | None) -> None:
    """Raise `ReceiptForged` unless the call has the account's token in its path or, once, in its query."""
    sent = [value for name, value in call.query if name == "token"]
    if not call.has_account_token and not (len(sent) == 1 and is_token(token, sent[0])):
        raise ReceiptForged


def is_token(token: Secret | None, sent: str) -> bool:
    """Return whether the account's token was sent, compared in constant time."""
    return token is not None and hmac.compare_digest(token.reveal().encode(), sent.encode("utf-8", "surrogatepass"))


def parse_number(value: object, country: str) -> str:
    """Return a number in E.164, which the platform writes `62…`, also `08…` or `+62…`; "" if it is not a number."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = str(value)[:_MAX_NUMBER_CHARS]
    for spelling in (f"+{text}", text):
        with contextlib.suppress(PhoneInvalid):
            return parse(spelling, country).e164
    return ""


def _receipt(row: Any, country: str, *, zero_is_delivered: bool) -> Receipt | None:
    if not isinstance(row, list) or len(row) < _MIN_FIELDS:
        return None
    to, provider_message_id = parse_number(row[1], country), id_text(row[0])[:MAX_ID_CHARS]
    if not to or not provider_message_id:
        return None
    report = report_of_row(row, zero_is_delivered=zero_is_delivered)
    return Receipt("", report.status, report.error, provider_message_id=provider_message_id, to=to)
