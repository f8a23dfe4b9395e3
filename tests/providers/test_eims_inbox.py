"""EIMS inbox: the query, and how rows are read."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from otp_service.domain.message import InboundMessage
from otp_service.domain.outcomes import Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.eims.config import EimsConfig
from otp_service.providers.eims.inbox import parse_inbox
from otp_service.sandbox.simulators.eims import EimsInboxMessage, refusal
from otp_service.sandbox.simulators.http_server import Behavior, Cut
from tests.providers.eims_provider import DIGITS, NOW, eims, eims_gateway, responding

TIME = 20261130000000
"""`NOW` in GMT+8."""
AT = datetime.fromtimestamp(NOW, UTC)


def encoded(text: str) -> str:
    """Encode a content as the gateway does."""
    return base64.b64encode(text.encode()).decode()


def parsed(*rows: Any, **keys: Any) -> list[InboundMessage]:
    """Parse a response with these rows."""
    config = EimsConfig(base_url="http://x", account="a", password=Secret("p"), **keys)
    return parse_inbox({"status": 0, "cnt": len(rows), "array": list(rows)}, config)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([1, int(DIGITS), TIME, encoded("STOP")], ("1", "+" + DIGITS, "STOP", NOW)),
        (["1", DIGITS, str(TIME), encoded("berhenti \u00fc")], ("1", "+" + DIGITS, "berhenti \u00fc", NOW)),
        ([1, "081210100055", TIME, encoded("STOP")], ("1", "+" + DIGITS, "STOP", NOW)),
        ([1, 10010, TIME, encoded("STOP")], ("1", "", "STOP", NOW)),  # a short code, as in the document's sample
        ([1, "INFO", TIME, "STOP"], ("1", "", "STOP", NOW)),  # base64 by its letters, but not of UTF-8
        ([1, DIGITS, "x", "STOP!"], ("1", "+" + DIGITS, "STOP!", 0.0)),
        ([1, None, None, None], ("1", "", "", 0.0)),
    ],
)
def test_row_of_an_inbox(row: list[Any], expected: tuple[str, str, str, float]) -> None:
    """Number, content and time are read in each known spelling; a `repr` shows none of them."""
    [message] = parsed(row)
    assert (message.id, message.sender, message.text, message.at) == expected
    assert repr(message) == "InboundMessage()"


def test_time_zone_of_the_inbox() -> None:
    """`utc_offset_hours` is the zone of the times: a server in Jakarta writes GMT+7."""
    assert [one.at for one in parsed([1, DIGITS, TIME, ""], utc_offset_hours=7.0)] == [NOW + 3600]


@pytest.mark.parametrize("rows", [[None], ["x"], [[]], [[1, 2, 3]], [[None, DIGITS, TIME, ""]], [{"id": 1}]])
def test_unreadable_rows_are_skipped(rows: list[Any]) -> None:
    """A row of another form gives no message."""
    assert parsed(*rows) == []


async def test_inbox_query() -> None:
    """The first query is the documented one; later ones have `start_time`, unless that is switched off."""
    async with eims_gateway() as gateway, eims(gateway) as provider, eims(gateway, inbox_start_time=False) as whole:
        gateway.inbox = [EimsInboxMessage(7, DIGITS, "STOP", AT), EimsInboxMessage(8, "10010", "x", AT)]
        expected = [InboundMessage("7", "+" + DIGITS, "STOP", NOW), InboundMessage("8", "", "x", NOW)]
        assert await provider.fetch_inbound(None) == expected
        assert await provider.fetch_inbound(int(NOW)) == expected
        assert await provider.fetch_inbound(int(NOW) + 1) == []
        assert await whole.fetch_inbound(int(NOW) + 1) == expected

    targets = [request.target for request in gateway.requests]
    assert [target.partition("&start_time=")[2] for target in targets] == ["", "1795968000", "1795968001", ""]
    assert all(target.startswith("/getsms?account=") for target in targets)


@pytest.mark.parametrize(
    ("behavior", "outcome"),
    [(refusal(-1), Outcome.CONFIG_ERROR), (refusal(-15), Outcome.THROTTLED), (responding(""), Outcome.AMBIGUOUS),
     (responding("[]", 500), Outcome.AMBIGUOUS), (Cut(), Outcome.AMBIGUOUS)],
)  # fmt: skip
async def test_failed_query(behavior: Behavior, outcome: Outcome) -> None:
    """A failed query returns its outcome, after one request."""
    async with eims_gateway() as gateway, eims(gateway) as provider:
        gateway.script(behavior)
        assert await provider.fetch_inbound(None) is outcome
    assert len(gateway.requests) == 1
