"""The table of delivery outcomes: for each gateway type and outcome, the calls, the messages and the time."""

from __future__ import annotations

import pytest

from otp_service.domain.outcomes import Outcome
from tests.delivery.gateway_types import GATEWAY_TYPES
from tests.delivery.outcome_rows import HTTP_PAGES, ROWS, UNCLEAR_ANSWERS, Row
from tests.delivery.outcome_table import HOLD_SECONDS, run_row
from tests.running_service import ServiceFactory

RECIPIENT_LIMITS = {"eims", "sendcloud"}
"""The gateways that document a limit of messages to one number."""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.gateway}: {row.outcome}, {row.how}")
async def test_row(make_service: ServiceFactory, row: Row) -> None:
    """The observations match the row; after a definite rejection the next gateway is called within a second."""
    result = await run_row(row, make_service)

    assert result.observed == row.expected
    if row.fails_over_at_once:
        assert result.to_next is not None and 0 <= result.to_next < 1.0
    elif "second" in result.observed.called:
        assert result.to_next is not None and HOLD_SECONDS <= result.to_next < HOLD_SECONDS + 3
    else:
        assert result.to_next is None


def test_table_is_complete() -> None:
    """Every gateway type has every outcome, and is ambiguous without a response and after an unclear one."""
    documented = {
        (gateway, outcome) for gateway, kind in GATEWAY_TYPES.items() for outcome in set(Outcome) - kind.never
    }
    assert {(row.gateway, row.outcome) for row in ROWS} == {
        (gateway, outcome)
        for gateway, outcome in documented
        if outcome is not Outcome.RECIPIENT_THROTTLED or gateway in RECIPIENT_LIMITS
    }
    for gateway in GATEWAY_TYPES:
        causes = [row.how for row in ROWS if (row.gateway, row.outcome) == (gateway, Outcome.AMBIGUOUS)]
        answers = [how for how, _ in UNCLEAR_ANSWERS.get(gateway, HTTP_PAGES)]
        assert causes[:4] == ["accepted, no response", "accepted, connection closed", *answers]
