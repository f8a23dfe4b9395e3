"""EIMS reports: the statuses in rows of every known length, and the report queries of the adapter."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import pytest

from otp_service.domain.message import DeliveryReport
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.providers.eims.result_codes import DELIVERY_STATUS_OUTCOMES, SEND_STATUS_OUTCOMES
from otp_service.providers.eims.wire import parse_report
from otp_service.sandbox.simulators.eims import EimsState, refusal
from otp_service.sandbox.simulators.http_server import Behavior, Cut, Hang
from tests.providers.eims_provider import DIGITS, eims, eims_gateway, outbound, responding

NO_STATUS = DeliveryReport(None)
DELIVERED = DeliveryReport(DeliveryStatus.DELIVERED)
ID, TIME = 1620442, 20180619101517
Length = Literal[4, 5, 7]


def undelivered(outcome: str) -> DeliveryReport:
    """Return the report of a message that was not delivered, with its reason."""
    return DeliveryReport(DeliveryStatus.UNDELIVERED, Outcome(outcome))


def row(length: int, sent: object, delivery: object = None) -> list[Any]:
    """Return a report row in the format of one of the platforms."""
    first = [ID, int(DIGITS), TIME, sent]
    return first + {4: [], 5: [delivery], 7: ["label", TIME, delivery]}[length]


def parsed(*rows: list[Any], zero: bool = False) -> DeliveryReport:
    """Parse a report with these rows."""
    return parse_report({"status": 0, "array": list(rows)}, str(ID), zero_is_delivered=zero)


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize(
    ("length", "sent", "delivery", "expected"),
    [
        (4, 0, None, NO_STATUS),  # sent: the best status of a row without delivery status
        (4, 1, None, NO_STATUS),
        (4, 2, None, NO_STATUS),
        (5, 0, None, NO_STATUS),
        (5, 0, 0, NO_STATUS),  # no report required
        (5, 0, 1, NO_STATUS),  # disputed: awaiting delivery, or not delivered
        (5, 0, 2, undelivered("transient")),
        (5, 0, 3, DELIVERED),
        (5, 0, 4, undelivered("ambiguous")),
        (5, 0, 5, NO_STATUS),
        (5, 0, 9, NO_STATUS),
        (5, 1, 3, NO_STATUS),  # not sent yet, regardless of the delivery status
        (7, 0, None, NO_STATUS),
        (7, 0, 3, DELIVERED),
        (7, 0, 2, undelivered("transient")),
        (7, 1011, 3, undelivered("recipient_blocked")),
    ],
)
def test_row_is_read_by_its_length(
    length: int, sent: int, delivery: int | None, expected: DeliveryReport, as_text: bool
) -> None:
    """Rows of four, five and seven fields have the same statuses, as numbers and as strings."""
    written = row(length, sent, delivery)
    assert parsed([None if one is None else str(one) for one in written] if as_text else written) == expected


SENT = {
    "destination_unsupported": [1001, 1002, 1010],
    "transient": [1004, 1005, 1008, 1009, 1014, 1018, 1019, 1021, 1022, 1023],
    "funds": [1003, 1017],
    "ambiguous": [1006, 1007],
    "recipient_blocked": [1011],
    "content_rejected": [1012, 1016],
    "throttled": [1013],
    "recipient_invalid": [1020],
}


@pytest.mark.parametrize(("sent", "outcome"), [(code, name) for name, codes in SENT.items() for code in codes])
def test_each_send_failure_has_its_outcome(sent: int, outcome: str) -> None:
    """The outcome of a failed send status is the same in rows of every length."""
    assert [parsed(row(length, sent)) for length in (4, 5, 7)] == [undelivered(outcome)] * 3


def test_result_code_tables_have_no_untested_codes() -> None:
    """Every code in the tables is covered by a test."""
    assert SEND_STATUS_OUTCOMES.keys() == {code for codes in SENT.values() for code in codes}
    assert DELIVERY_STATUS_OUTCOMES.keys() == {2, 4}


@pytest.mark.parametrize("sent", [3, 99, -1, 1015, 1999])
def test_any_other_send_status_is_a_failure(sent: int) -> None:
    """Every send status except 0, 1 and 2 means undelivered."""
    assert parsed(row(4, sent)) == undelivered("transient")


@pytest.mark.parametrize(
    ("length", "delivery", "expected"),
    [
        (4, None, DELIVERED),
        (5, 0, DELIVERED),
        (7, 0, DELIVERED),
        (5, None, NO_STATUS),
        (7, None, NO_STATUS),
        (5, 1, NO_STATUS),
    ],
)
def test_zero_is_delivered_setting(length: int, delivery: int | None, expected: DeliveryReport) -> None:
    """With `zero_is_delivered`, "sent" is delivered only if no delivery status can follow; null means one may."""
    assert parsed(row(length, 0, delivery), zero=True) == expected
    assert parsed(row(4, 1), zero=True) == NO_STATUS


@pytest.mark.parametrize(
    "report",
    [
        {},
        {"array": None},
        {"array": 5},
        {"array": [], "nofound": 1},
        {"array": [None, 7, {}, [], [ID], [ID, 1, 2]]},
        {"array": [[ID + 1, 1, 2, 0, 3]]},
        {"array": [[ID, 1, 2, None]]},
        {"array": [[ID, 1, 2, "x", 3]]},
        {"array": [[ID, 1, 2, 0.5, 3]]},
    ],
)
def test_report_without_a_usable_row_has_no_status(report: dict[str, Any]) -> None:
    """A message that is not found and malformed rows give no status, and are not a failure."""
    assert parse_report(report, str(ID), zero_is_delivered=True) == NO_STATUS


def test_row_is_found_by_message_id() -> None:
    """The row of our message is found among other rows by the provider's message id."""
    assert parsed(["x"], [ID + 1, 1, 2, 1011], row(5, 0, 3)) == DELIVERED


@pytest.mark.parametrize(("variant", "path"), [("v1", "/getreport?"), ("v2", "/getreportV2?")])
@pytest.mark.parametrize("post", [False, True])
async def test_report_query_is_a_get_with_the_provider_message_id(variant: str, path: str, post: bool) -> None:
    """Both variants query a report by GET, the only documented method, regardless of how they send."""
    async with (
        eims_gateway() as gateway,
        eims(gateway, variant=variant, post=post, report_poll_seconds=30) as provider,
    ):
        message_id = (await provider.send(outbound())).provider_message_id
        assert await provider.fetch_report(message_id) == NO_STATUS

    request = gateway.requests[1]
    assert (request.method, request.body, len(gateway.requests)) == ("GET", b"", 2)
    assert request.target.startswith(path)
    assert request.target.endswith("&ids=1620443")
    assert ("password=" in request.target) is (variant == "v1")


@pytest.mark.parametrize("length", [4, 5, 7])
@pytest.mark.parametrize("as_text", [False, True])
async def test_reports_follow_a_message_until_it_is_delivered(length: Length, as_text: bool) -> None:
    """There is no status until the message is delivered; rows of four fields never report a delivery."""
    states = [EimsState(found=False), EimsState(1), EimsState(2), EimsState(0), EimsState(0, 1), EimsState(0, 3)]
    async with (
        eims_gateway(row_length=length, numbers_as_text=as_text) as gateway,
        eims(gateway, report_poll_seconds=30) as provider,
    ):
        message_id = (await provider.send(outbound())).provider_message_id
        reports = []
        for state in states:
            gateway.states[int(message_id)] = state
            reports.append(await provider.fetch_report(message_id))

    assert reports == [NO_STATUS] * 5 + [NO_STATUS if length == 4 else DELIVERED]


@pytest.mark.parametrize(
    "behavior",
    [
        refusal(-1),
        refusal(-15),
        responding(""),
        responding("[]"),
        responding('{"status":500}', 500),
        responding("", 404),
        Cut(),
        Hang(),
    ],
)
async def test_failed_report_query_has_no_status(behavior: Behavior) -> None:
    """A query that fails returns a report without a status, after a single request."""
    async with (
        eims_gateway() as gateway,
        eims(gateway, report_poll_seconds=30, zero_is_delivered=True, seconds=0.25) as provider,
    ):
        gateway.script(behavior)
        assert await provider.fetch_report("1620443") == NO_STATUS
    assert len(gateway.requests) == 1


async def test_message_id_is_encoded_in_the_query() -> None:
    """An id with reserved characters cannot add parameters to the query."""
    async with eims_gateway() as gateway, eims(gateway) as provider:
        assert await provider.fetch_report("1&ids=2,3") == NO_STATUS
    assert gateway.requests[0].target.endswith("&ids=1%26ids%3D2%2C3")


async def test_simulated_report_has_the_documented_counts() -> None:
    """The simulator reports one row and one success, as in the sample of the gateway's document."""
    async with eims_gateway() as gateway, eims(gateway) as provider:
        await provider.send(outbound())
        gateway.states[1620443] = EimsState(0)
        await provider.fetch_report("1620443")
        report = msgspec.json.decode(gateway.answer(gateway.requests[1]).body)

    assert report.pop("array")[0][::3] == [1620443, 0]
    assert report == {"status": 0, "success": 1, "fail": 0, "unsent": 0, "sending": 0, "nofound": 0}
