"""The inbox of an EIMS gateway (`getsms`): rows of id, sender, time and content.

The gateway's document masks the content; public clients read it as base64 of UTF-8, at most 50 messages at once. What
is not that is taken as plain text. Whether reading a message removes it is not documented, so messages are recognized
by their id. The time has no zone (`utc_offset_hours`).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from otp_service.domain.message import InboundMessage
from otp_service.providers.eims.config import EimsConfig
from otp_service.providers.eims.pushed_reports import parse_number
from otp_service.providers.eims.wire import TIME_FORMAT
from otp_service.providers.lenient_json import id_text
from otp_service.providers.responses import MAX_ID_CHARS

__all__ = ["PAGE_SIZE", "parse_inbox"]

PAGE_SIZE: Final = 50
MAX_ROWS: Final = 1000
NO_ID: Final = "-"
"""Of a message whose id is empty: it is still recognized by its sender and time."""

_MIN_FIELDS: Final = 4
_MAX_CONTENT_CHARS: Final = 4096


def parse_inbox(document: Mapping[str, Any], config: EimsConfig) -> list[InboundMessage]:
    """Read the messages of a response with status 0; rows that cannot be read give none."""
    rows = document.get("array")
    zone = timezone(timedelta(hours=config.utc_offset_hours))
    return [
        InboundMessage(
            id=id_text(row[0])[:MAX_ID_CHARS] or NO_ID,
            sender=parse_number(row[1], config.country),
            text=_content(row[3]),
            at=_timestamp(row[2], zone),
        )
        for row in (rows[:MAX_ROWS] if isinstance(rows, list) else ())
        if isinstance(row, list) and len(row) >= _MIN_FIELDS and isinstance(row[0], int | str)
    ]


def _content(value: object) -> str:
    text = value[:_MAX_CONTENT_CHARS] if isinstance(value, str) else ""
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:  # includes binascii.Error and UnicodeDecodeError
        return text


def _timestamp(value: object, zone: timezone) -> float:
    """Read a time as Unix seconds; 0 if it cannot be read."""
    try:
        return datetime.strptime(str(value)[:32], TIME_FORMAT).replace(tzinfo=zone).timestamp()
    except ValueError:
        return 0.0
