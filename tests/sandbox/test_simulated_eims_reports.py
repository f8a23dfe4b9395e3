"""A simulated EIMS gateway that is asked: what it knows of a message comes by itself, as time passes."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import msgspec
import pytest

from otp_service.sandbox.simulators.eims import EimsInboxMessage, EimsSimulator, EimsState
from otp_service.sandbox.simulators.eims_states import RowLength
from otp_service.sandbox.simulators.http_server import Request
from otp_service.sandbox.simulators.receipt_sender import ScriptedReceipt

NOW = 1_795_968_000.0
WHO = "account=acme&password=secret"


class Clock:
    """A clock that stands until it is moved."""

    now = NOW

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


def asked(gateway: EimsSimulator, target: str) -> dict[str, object]:
    """Ask as its document shows."""
    answer: dict[str, object] = msgspec.json.decode(gateway.answer(Request("GET", target, {}, b"")).body)
    return answer


def taken(gateway: EimsSimulator) -> int:
    """Have a message taken, and give its id."""
    asked(gateway, f"/sendsms?{WHO}&numbers=6281210100055&content=x")
    return gateway.messages[-1].id


def life(gateway: EimsSimulator, clock: Clock, identity: int, ages: list[float]) -> list[list[object]]:
    """Ask at each of these ages: the row's fields behind id, number and time."""
    rows = []
    for age in ages:
        clock.now = NOW + age
        report = asked(gateway, f"/getreport?{WHO}&ids={identity}")
        rows.append(msgspec.convert(report["array"], list[list[object]])[0][3:])
    return rows


def test_a_message_advances_by_itself() -> None:
    """Unsent, at half of the time to its first word being sent, sent, delivered; the counts go with it."""
    clock = Clock()
    gateway = EimsSimulator(row_length=5, clock=clock)
    gateway.receipts = [ScriptedReceipt("sent", after=2), ScriptedReceipt("delivered", after=5)]
    identity = taken(gateway)
    gateway.receipts = ()

    ages = [0.0, 0.9, 1.0, 1.9, 2.0, 4.9, 5.0, 600.0]
    rows = life(gateway, clock, identity, ages)
    assert rows == [[1, None], [1, None], [2, None], [2, None], [0, None], [0, None], [0, 3], [0, 3]]
    clock.now = NOW + 1
    report = asked(gateway, f"/getreport?{WHO}&ids={identity},7")
    assert {name: report[name] for name in ("success", "fail", "unsent", "sending", "nofound")} == {
        "success": 0, "fail": 0, "unsent": 0, "sending": 1, "nofound": 1
    }  # fmt: skip


@pytest.mark.parametrize(
    ("length", "reason", "known"),
    [
        (4, None, [1004]),
        (4, 1011, [1011]),
        (5, None, [0, 2]),
        (5, 4, [0, 4]),
        (5, 1012, [1012, None]),
        (7, None, [0, "label", "20261130000000", 2]),
    ],
)
def test_a_message_fails_by_itself(length: RowLength, reason: int | None, known: list[object]) -> None:
    """For a reason of the send, or of the delivery where the row has one."""
    clock = Clock()
    gateway = EimsSimulator(row_length=length, clock=clock)
    gateway.receipts = [ScriptedReceipt("undelivered", after=1, reason=reason)]
    assert life(gateway, clock, taken(gateway), [1.0]) == [known]


def test_what_is_set_goes_before_the_script() -> None:
    """A test that says what a report shall say is heard; a message without a script is unsent until then."""
    clock = Clock()
    gateway = EimsSimulator(clock=clock)
    plain = taken(gateway)
    gateway.receipts = [ScriptedReceipt(after=0)]
    told = taken(gateway)
    assert [life(gateway, clock, one, [0.0]) for one in (plain, told)] == [[[1]], [[0]]]
    gateway.states[told] = EimsState(1011)
    assert life(gateway, clock, told, [60.0]) == [[1011]]


@pytest.mark.parametrize("as_text", [False, True])
def test_the_inbox_is_told_in_base64(as_text: bool) -> None:
    """Id, number, time and the text in base64 of its UTF-8; at most 50, and reading takes nothing away."""
    gateway = EimsSimulator(numbers_as_text=as_text)
    assert asked(gateway, f"/getsms?{WHO}") == {"status": 0, "cnt": 0, "array": []}
    for number in range(1, 61):
        at = datetime.fromtimestamp(NOW + number, UTC)
        gateway.inbox.append(EimsInboxMessage(number, "6281210100055", "Berhenti ✓", at))
    first = [1, "6281210100055" if as_text else 6281210100055, "20261130000001" if as_text else 20261130000001]

    for _ in range(2):
        answer = msgspec.convert(asked(gateway, f"/getsms?{WHO}"), dict[str, object])
        rows = msgspec.convert(answer["array"], list[list[object]])
        assert (answer["status"], answer["cnt"], len(rows)) == (0, 50, 50)
        assert rows[0] == [*first, base64.b64encode("Berhenti ✓".encode()).decode()]
    later = asked(gateway, f"/getsms?{WHO}&start_time={int(NOW) + 55}")
    assert later["cnt"] == 6
    assert asked(gateway, f"/getsms?{WHO}&start_time=yesterday") == {"status": -14}
    assert asked(gateway, "/getsms?account=acme&password=wrong") == {"status": -1}
