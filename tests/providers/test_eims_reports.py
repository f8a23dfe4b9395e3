"""What an EIMS gateway reports of a message, in each of the rows that are seen in the field."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import pytest

from otp_service.domain.message import DeliveryReport
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.providers.eims.result_codes import DELIVERY_STATUS_OUTCOMES, SEND_STATUS_OUTCOMES
from otp_service.providers.eims.wire import parse_report
from otp_service.sandbox.simulators.eims import EimsState, refusing
from otp_service.sandbox.simulators.http_server import Behaviour, Cut, Hang
from tests.providers.eims_kit import DIGITS, eims, ejoin, outbound, said

NOTHING = DeliveryReport(None)
DELIVERED = DeliveryReport(DeliveryStatus.DELIVERED)
ID, TIME = 1620442, 20180619101517
Length = Literal[4, 5, 7]


def undelivered(outcome: str) -> DeliveryReport:
    """Say that it did not arrive, and why."""
    return DeliveryReport(DeliveryStatus.UNDELIVERED, Outcome(outcome))


def row(length: int, sent: object, delivery: object = None) -> list[Any]:
    """Write a row as one of the platforms does."""
    first = [ID, int(DIGITS), TIME, sent]
    return first + {4: [], 5: [delivery], 7: ["label", TIME, delivery]}[length]


def read(*rows: list[Any], zero: bool = False) -> DeliveryReport:
    """Read an answer with these rows."""
    return parse_report({"status": 0, "array": list(rows)}, str(ID), zero_is_delivered=zero)


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize(
    ("length", "sent", "delivery", "expected"),
    [
        (4, 0, None, NOTHING),  # sent: the best that this row can say
        (4, 1, None, NOTHING),
        (4, 2, None, NOTHING),
        (5, 0, None, NOTHING),
        (5, 0, 0, NOTHING),  # no report required
        (5, 0, 1, NOTHING),  # disputed: awaited, or not delivered
        (5, 0, 2, undelivered("transient")),
        (5, 0, 3, DELIVERED),
        (5, 0, 4, undelivered("ambiguous")),
        (5, 0, 5, NOTHING),
        (5, 0, 9, NOTHING),
        (5, 1, 3, NOTHING),  # not sent yet, whatever else stands there
        (7, 0, None, NOTHING),
        (7, 0, 3, DELIVERED),
        (7, 0, 2, undelivered("transient")),
        (7, 1011, 3, undelivered("recipient_blocked")),
    ],
)
def test_what_a_row_says(length: int, sent: int, delivery: int | None, expected: DeliveryReport, as_text: bool) -> None:
    """Four, five and seven fields, as numbers and as text."""
    written = row(length, sent, delivery)
    assert read([None if one is None else str(one) for one in written] if as_text else written) == expected


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
def test_every_reason_has_its_outcome(sent: int, outcome: str) -> None:
    """In each kind of row."""
    assert [read(row(length, sent)) for length in (4, 5, 7)] == [undelivered(outcome)] * 3


def test_the_tables_have_no_other_reasons() -> None:
    """What is in them is tested."""
    assert SEND_STATUS_OUTCOMES.keys() == {code for codes in SENT.values() for code in codes}
    assert DELIVERY_STATUS_OUTCOMES.keys() == {2, 4}


@pytest.mark.parametrize("sent", [3, 99, -1, 1015, 1999])
def test_any_other_send_status_is_a_failure(sent: int) -> None:
    """Only 0, 1 and 2 are not."""
    assert read(row(4, sent)) == undelivered("transient")


@pytest.mark.parametrize(
    ("length", "delivery", "expected"),
    [
        (4, None, DELIVERED),
        (5, 0, DELIVERED),
        (7, 0, DELIVERED),
        (5, None, NOTHING),
        (7, None, NOTHING),
        (5, 1, NOTHING),
    ],
)
def test_where_zero_is_delivered(length: int, delivery: int | None, expected: DeliveryReport) -> None:
    """By config, where no delivery status can come; a null one may still come."""
    assert read(row(length, 0, delivery), zero=True) == expected
    assert read(row(4, 1), zero=True) == NOTHING


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"array": None},
        {"array": 5},
        {"array": [], "nofound": 1},
        {"array": [None, 7, {}, [], [ID], [ID, 1, 2]]},
        {"array": [[ID + 1, 1, 2, 0, 3]]},
        {"array": [[ID, 1, 2, None]]},
        {"array": [[ID, 1, 2, "x", 3]]},
        {"array": [[ID, 1, 2, 0.0, 3]]},
    ],
)
def test_what_says_nothing_of_the_message(answer: dict[str, Any]) -> None:
    """Not found, however late, and rows that are none: no status, and no failure."""
    assert parse_report(answer, str(ID), zero_is_delivered=True) == NOTHING


def test_our_row_is_found_among_others() -> None:
    """By the gateway's id."""
    assert read(["x"], [ID + 1, 1, 2, 1011], row(5, 0, 3)) == DELIVERED


@pytest.mark.parametrize(("variant", "path"), [("v1", "/getreport?"), ("v2", "/getreportV2?")])
@pytest.mark.parametrize("post", [False, True])
async def test_a_message_is_asked_for_by_the_gateways_id(variant: str, path: str, post: bool) -> None:
    """By GET in both, the only way that is documented."""
    async with ejoin() as gateway, eims(gateway, variant=variant, post=post, first_report_seconds=30) as provider:
        message_id = (await provider.send(outbound())).provider_message_id
        assert await provider.fetch_report(message_id) == NOTHING

    request = gateway.requests[1]
    assert (request.method, request.body, len(gateway.requests)) == ("GET", b"", 2)
    assert request.target.startswith(path)
    assert request.target.endswith("&ids=1620443")
    assert ("password=" in request.target) is (variant == "v1")


@pytest.mark.parametrize("length", [4, 5, 7])
@pytest.mark.parametrize("as_text", [False, True])
async def test_the_life_of_a_message(length: Length, as_text: bool) -> None:
    """Not yet indexed, unsent, sending, sent, and, where the gateway knows it, delivered."""
    life = [EimsState(found=False), EimsState(1), EimsState(2), EimsState(0), EimsState(0, 1), EimsState(0, 3)]
    async with (
        ejoin(row_length=length, numbers_as_text=as_text) as gateway,
        eims(gateway, first_report_seconds=30) as provider,
    ):
        message_id = (await provider.send(outbound())).provider_message_id
        seen = []
        for state in life:
            gateway.states[int(message_id)] = state
            seen.append(await provider.fetch_report(message_id))

    assert seen == [NOTHING] * 5 + [NOTHING if length == 4 else DELIVERED]


@pytest.mark.parametrize(
    "answer",
    [refusing(-1), refusing(-15), said(""), said("[]"), said('{"status":500}', 500), said("", 404), Cut(), Hang()],
)
async def test_a_report_that_is_not_told(answer: Behaviour) -> None:
    """Whatever goes wrong is a report without a status, and is asked for once."""
    async with (
        ejoin() as gateway,
        eims(gateway, first_report_seconds=30, zero_is_delivered=True, seconds=0.25) as provider,
    ):
        gateway.script(answer)
        assert await provider.fetch_report("1620443") == NOTHING
    assert len(gateway.requests) == 1


async def test_an_id_is_encoded() -> None:
    """What a gateway called a message does not change the question."""
    async with ejoin() as gateway, eims(gateway) as provider:
        assert await provider.fetch_report("1&ids=2,3") == NOTHING
    assert gateway.requests[0].target.endswith("&ids=1%26ids%3D2%2C3")


async def test_the_simulator_counts_as_the_document_shows() -> None:
    """The sample of the gateway's own document: one row, one success."""
    async with ejoin() as gateway, eims(gateway) as provider:
        await provider.send(outbound())
        gateway.states[1620443] = EimsState(0)
        await provider.fetch_report("1620443")
        answer = msgspec.json.decode(gateway.answer(gateway.requests[1]).body)

    assert answer.pop("array")[0][::3] == [1620443, 0]
    assert answer == {"status": 0, "success": 1, "fail": 0, "unsent": 0, "sending": 0, "nofound": 0}
