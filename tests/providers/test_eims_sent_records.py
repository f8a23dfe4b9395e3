"""`getsentrcdV2`: the requests of a lookup, and which rows are our message."""

from __future__ import annotations

from typing import Any

import pytest

from otp_service.providers.eims.sent_records import matching_ids, record_windows
from otp_service.sandbox.simulators.eims import refusal
from otp_service.sandbox.simulators.http_server import Behavior, Cut
from tests.providers.eims_provider import DIGITS, NOW, eims, eims_gateway, outbound, responding

TO = "+" + DIGITS
TIME = "20261130000000"
"""`NOW` in GMT+8."""


def test_window_over_midnight_takes_two_queries() -> None:
    """A query is for one day in GMT+8; one second before `NOW` is the day before."""
    assert [tuple(window.values()) for window in record_windows(NOW - 5, NOW + 20)] == [
        ("20261129", "235955", "235959", "0"),
        ("20261130", "000000", "000020", "0"),
    ]
    assert [tuple(window.values()) for window in record_windows(NOW, NOW + 20)] == [
        ("20261130", "000000", "000020", "0")
    ]


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ([7, int(DIGITS), int(TIME), 1], {"7"}),
        (["7", DIGITS, TIME, "0"], {"7"}),
        ([7, "081210100055", TIME, 0], {"7"}),
        ([7, int(DIGITS), "20261129235959", 1], set()),  # before the verification
        ([7, int(DIGITS) + 1, TIME, 1], set()),
        ([7, int(DIGITS), "x", 1], set()),
        ([7, int(DIGITS), None, 1], set()),
        (["x", int(DIGITS), TIME, 1], set()),
        ([7, int(DIGITS)], set()),
        ({"id": 7}, set()),
    ],
)
def test_row_is_ours_by_number_and_time(row: Any, found: set[str]) -> None:
    """A row counts if it has our number, and a time since the verification was created."""
    assert matching_ids({"array": [row]}, TO, "ID", NOW) == found


@pytest.mark.parametrize("skew", [0, 600, -600])
async def test_lookup_uses_the_clock_of_the_gateway(skew: int) -> None:
    """The gateway's clock is known from its `Date` header, so its times are compared with ours."""
    async with (
        eims_gateway(clock=lambda: NOW + skew) as gateway,
        eims(gateway, variant="v2", lookup_ambiguous=True) as provider,
    ):
        await provider.send(outbound())
        found = [await provider.find_message(TO, "ID", NOW - age) for age in (0.5, -10)]
        assert found == ["1620443", ""]
        await provider.send(outbound())
        assert await provider.find_message(TO, "ID", NOW - 0.5) == ""  # two, of which neither is certain

    assert gateway.requests[-1].target.startswith("/getsentrcdV2?")


@pytest.mark.parametrize(
    "behavior", [refusal(-1), refusal(-11), responding(""), responding("[]"), responding("", 500), Cut()]
)
async def test_failed_lookup_finds_nothing(behavior: Behavior) -> None:
    """A failed query is no answer, and it is made once."""
    async with eims_gateway() as gateway, eims(gateway, variant="v2", lookup_ambiguous=True) as provider:
        await provider.send(outbound())
        await provider.fetch_balance()
        gateway.script(behavior)
        assert await provider.find_message(TO, "ID", NOW + 10) == ""
    assert len(gateway.requests) == 3
