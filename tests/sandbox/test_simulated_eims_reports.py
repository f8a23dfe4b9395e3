"""Reports of the simulated EIMS gateway: the state of a message follows its script as time passes."""

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
    """A clock that a test sets."""

    now = NOW

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def get(gateway: EimsSimulator, target: str) -> dict[str, object]:
    """Send a GET request as documented, and return the JSON body."""
    answer: dict[str, object] = msgspec.json.decode(gateway.answer(Request("GET", target, {}, b"")).body)
    return answer


def send_message(gateway: EimsSimulator) -> int:
    """Send a message, and return its id."""
    get(gateway, f"/sendsms?{WHO}&numbers=6281210100055&content=x")
    return gateway.messages[-1].id


def reported_codes(gateway: EimsSimulator, clock: Clock, message_id: int, ages: list[float]) -> list[list[object]]:
    """Return the row's fields after id, number and time, at each of these ages of the message."""
    rows = []
    for age in ages:
        clock.now = NOW + age
        report = get(gateway, f"/getreport?{WHO}&ids={message_id}")
        rows.append(msgspec.convert(report["array"], list[list[object]])[0][3:])
    return rows


def test_a_message_follows_its_script() -> None:
    """It is unsent, then sending (after half of the first delay), sent and delivered; the counts agree."""
    clock = Clock()
    gateway = EimsSimulator(row_length=5, clock=clock)
    gateway.receipts = [ScriptedReceipt("sent", after=2), ScriptedReceipt("delivered", after=5)]
    message_id = send_message(gateway)
    gateway.receipts = ()

    ages = [0.0, 0.9, 1.0, 1.9, 2.0, 4.9, 5.0, 600.0]
    rows = reported_codes(gateway, clock, message_id, ages)
    assert rows == [[1, None], [1, None], [2, None], [2, None], [0, None], [0, None], [0, 3], [0, 3]]
    clock.now = NOW + 1
    report = get(gateway, f"/getreport?{WHO}&ids={message_id},7")
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
def test_a_message_fails_as_scripted(length: RowLength, reason: int | None, known: list[object]) -> None:
    """A reason is a send status, or a delivery status if the row has that field."""
    clock = Clock()
    gateway = EimsSimulator(row_length=length, clock=clock)
    gateway.receipts = [ScriptedReceipt("undelivered", after=1, reason=reason)]
    assert reported_codes(gateway, clock, send_message(gateway), [1.0]) == [known]


def test_a_set_state_overrides_the_script() -> None:
    """A state that a test sets is reported; a message without a script is unsent."""
    clock = Clock()
    gateway = EimsSimulator(clock=clock)
    plain = send_message(gateway)
    gateway.receipts = [ScriptedReceipt(after=0)]
    scripted = send_message(gateway)
    assert [reported_codes(gateway, clock, one, [0.0]) for one in (plain, scripted)] == [[[1]], [[0]]]
    gateway.states[scripted] = EimsState(1011)
    assert reported_codes(gateway, clock, scripted, [60.0]) == [[1011]]


@pytest.mark.parametrize("as_text", [False, True])
def test_the_inbox_is_base64(as_text: bool) -> None:
    """A row has id, number, time and the UTF-8 text in base64; at most 50 rows, and messages stay in the inbox."""
    gateway = EimsSimulator(numbers_as_text=as_text)
    assert get(gateway, f"/getsms?{WHO}") == {"status": 0, "cnt": 0, "array": []}
    for number in range(1, 61):
        at = datetime.fromtimestamp(NOW + number, UTC)
        gateway.inbox.append(EimsInboxMessage(number, "6281210100055", "Berhenti ✓", at))
    first = [1, "6281210100055" if as_text else 6281210100055, "20261130000001" if as_text else 20261130000001]

    for _ in range(2):
        answer = msgspec.convert(get(gateway, f"/getsms?{WHO}"), dict[str, object])
        rows = msgspec.convert(answer["array"], list[list[object]])
        assert (answer["status"], answer["cnt"], len(rows)) == (0, 50, 50)
        assert rows[0] == [*first, base64.b64encode("Berhenti ✓".encode()).decode()]
    later = get(gateway, f"/getsms?{WHO}&start_time={int(NOW) + 55}")
    assert later["cnt"] == 6
    assert get(gateway, f"/getsms?{WHO}&start_time=yesterday") == {"status": -14}
    assert get(gateway, "/getsms?account=acme&password=wrong") == {"status": -1}
