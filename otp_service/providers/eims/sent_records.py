"""The list of messages that an EIMS gateway accepted (`getsentrcdV2`), to find one whose send response was lost.

Documented (by a reseller of the signed interface): the parameters `date`, `begintime`, `endtime` and `startindex`. Not
documented: the formats of the first three, and the response. They are taken to be parts of the `yyyyMMddHHmmss` that
the platform writes everywhere else, in GMT+8, and rows as in a report. Anything else finds no message, so the outcome
stays ambiguous.

The list does not contain our message id. A message is found by its number and time, and only if no other one matches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from otp_service.providers.eims.wire import GMT_PLUS_8, TIME_FORMAT
from otp_service.providers.lenient_json import id_text, parse_integer
from otp_service.providers.responses import MAX_ID_CHARS, parse_echoed_number

__all__ = ["MARGIN_SECONDS", "matching_ids", "record_windows"]

MARGIN_SECONDS: Final = 2.0
"""The gateway's times have whole seconds, and so has the `Date` header by which the clocks are compared."""

_MIN_FIELDS: Final = 3


def record_windows(begin: float, end: float) -> Iterator[dict[str, str]]:
    """Yield the parameters of each query that covers the time from `begin` to `end` (Unix seconds, gateway's clock).

    A query is for one day in GMT+8, so a span over midnight takes two.
    """
    first, last = (datetime.fromtimestamp(at, GMT_PLUS_8) for at in (begin, end))
    while True:
        end_of_day = first.replace(hour=23, minute=59, second=59)
        until = min(last, end_of_day)
        yield {
            "date": first.strftime("%Y%m%d"),
            "begintime": first.strftime("%H%M%S"),
            "endtime": until.strftime("%H%M%S"),
            "startindex": "0",
        }
        if last.date() <= first.date():
            return
        first = (first + timedelta(days=1)).replace(hour=0, minute=0, second=0)


def matching_ids(document: Mapping[str, Any], to: str, country: str, begin: float) -> set[str]:
    """Return the ids of the messages to `to` (E.164, of `country`) that the gateway accepted at or after `begin`."""
    rows = document.get("array")
    return {
        id_text(row[0])[:MAX_ID_CHARS]
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, list)
        and len(row) >= _MIN_FIELDS
        and parse_integer(row[0]) is not None
        and _timestamp(row[2]) >= int(begin)
        and parse_echoed_number(row[1], to, country) == to
    }


def _timestamp(value: object) -> float:
    """Read a time of a row as Unix seconds; 0 if it cannot be read."""
    try:
        return datetime.strptime(str(value)[:32], TIME_FORMAT).replace(tzinfo=GMT_PLUS_8).timestamp()
    except ValueError:
        return 0.0
