"""The table of outcomes: at each gateway, for each outcome, who is asked, how many texts go out, how long it takes."""

from __future__ import annotations

import pytest

from otp_service.domain.outcomes import Outcome
from tests.delivery.gateway_pairs import GATEWAY_TYPES
from tests.delivery.outcome_table import HOLD_SECONDS, ROWS, Row, play
from tests.running_service import ServiceFactory


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.gateway}: {row.outcome}, {row.how}")
async def test_a_row_of_the_table(make_service: ServiceFactory, row: Row) -> None:
    """It is as the row says; after a sure rejection the next gateway is reached in under a second."""
    played = await play(row, make_service)

    assert played.seen == row.expected
    if row.sure:
        assert played.to_next is not None and 0 <= played.to_next < 1.0
    elif "second" in played.seen.asked:
        assert played.to_next is not None and HOLD_SECONDS <= played.to_next < HOLD_SECONDS + 3
    else:
        assert played.to_next is None


def test_the_table_is_complete() -> None:
    """Every gateway has every outcome, an ambiguous one also as silence, as a cut and as a page."""
    assert {(row.gateway, row.outcome) for row in ROWS} == {
        (gateway, outcome) for gateway in GATEWAY_TYPES for outcome in Outcome
    }
    for gateway in GATEWAY_TYPES:
        ways = [row.how for row in ROWS if (row.gateway, row.outcome) == (gateway, Outcome.AMBIGUOUS)]
        assert ways[:3] == ["taken, then silence", "taken, then cut", "HTTP 500, a page"]
