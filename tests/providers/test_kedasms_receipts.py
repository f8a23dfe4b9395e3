"""KedaSMS: callbacks, the status by `msgid`, and the account's limits."""

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest

from otp_service.domain.message import (
    AccountLimits,
    DeliveryReport,
    OutboundMessage,
    Receipt,
    ReceiptForged,
    ReceiptRequest,
)
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.kedasms.adapter import Kedasms, KedasmsAccount
from otp_service.sandbox.simulators.http_server import Cut, Hang, Say, Simulator
from otp_service.sandbox.simulators.http_server import Request as Call
from otp_service.sandbox.simulators.http_server import SimulatorResponse as Answer
from otp_service.sandbox.simulators.kedasms import KedasmsSimulator, refusing
from otp_service.sandbox.simulators.receipt_sender import Told
from tests.providers.kedasms_kit import API_KEY, KEY, NOW, gateway, on_time

DELIVERED, UNDELIVERED = DeliveryStatus.DELIVERED, DeliveryStatus.UNDELIVERED
TO = "+6281210100055"
SHOWN = {
    "msgid": "msg_abc123def456",
    "status": "DELIVERED",
    "recipient": TO,
    "sender": "KedaSMS",
    "sent_time": "2024-01-01T12:00:00Z",
    "delivered_time": "2024-01-01T12:00:05Z",
    "cost": "0.05",
}
KEYWORDS: list[tuple[Any, DeliveryStatus | None]] = [
    ("DELIVERED", DELIVERED),
    (" delivered ", DELIVERED),
    ("UNDELIVERED", UNDELIVERED),
    ("UNDELIVERABLE", UNDELIVERED),
    ("FAILED", UNDELIVERED),
    ("Failure", UNDELIVERED),
    ("REJECTED", UNDELIVERED),
    ("EXPIRED", UNDELIVERED),
    ("SENT", None),
    ("PENDING", None),
    ("CLICKED", None),
    ("DELIVERED_TO_CARRIER", None),
    ("", None),
    (None, None),
    (7, None),
    (["DELIVERED"], None),
]


class Receiver(Simulator):
    """Our side of a callback: it keeps what came."""

    def answer(self, _: Call) -> Answer:
        """Say that it was read."""
        return Answer(b"{}")


def called(body: Any, message_id: str | None = "m-1") -> ReceiptRequest:
    """Make a call of the gateway for a message; None: its token was not ours."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ReceiptRequest("POST", "https://otp.example.com/v1/receipts/keda/t", message_id, NOW, body=raw)


def receipts(body: Any) -> list[Receipt]:
    """Read a call with a good token."""
    account = KedasmsAccount("http://127.0.0.1:1", "http://127.0.0.1:1", Secret(API_KEY), KEY)
    return list(Kedasms("keda", account, GatewayClient(1.0)).parse_receipts(called(body)))


def test_the_documented_callback_is_read() -> None:
    """It is about the message of its token, and names the gateway's `msgid` and the recipient."""
    assert receipts(SHOWN) == [Receipt("m-1", DELIVERED, provider_message_id="msg_abc123def456", to=TO)]


@pytest.mark.parametrize(("keyword", "status"), KEYWORDS)
def test_a_keyword_has_one_meaning(keyword: Any, status: DeliveryStatus | None) -> None:
    """DELIVERED is the only success, failures are told by how they begin, and nothing is made of the rest."""
    assert [receipt.status for receipt in receipts(SHOWN | {"status": keyword})] == [status]


def test_a_call_without_our_token_is_forged() -> None:
    """Nothing else proves that the gateway calls: even a perfect body is worth nothing."""
    account = KedasmsAccount("http://127.0.0.1:1", "http://127.0.0.1:1", Secret(API_KEY), KEY)
    with pytest.raises(ReceiptForged):
        Kedasms("keda", account, GatewayClient(1.0)).parse_receipts(called(SHOWN, None))


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[]", b"[" * 9000, b'"DELIVERED"', {}, {"url": "https://x.test"}]
)
def test_what_cannot_be_read_is_no_receipt(body: Any) -> None:
    """A click, a test call or rubbish changes nothing, and is no mistake."""
    assert receipts(body) == []


@pytest.mark.parametrize(
    ("recipient", "to"),
    [("6281210100055", "6281210100055"), ("+62812*****055", ""), (None, ""), (6281210100055, "6281210100055")],
)
def test_a_recipient_is_passed_on_when_it_is_a_number(recipient: Any, to: str) -> None:
    """Digits are compared by the caller; a masked number is none."""
    assert [receipt.to for receipt in receipts(SHOWN | {"recipient": recipient})] == [to]


async def test_callbacks_come_late_doubled_and_out_of_order() -> None:
    """What the simulator calls back is what the provider reads: about our message, under a `msgid` new to us."""
    simulator = on_time()
    async with Receiver() as receiver, gateway(simulator) as provider:
        url = receiver.url + "/v1/receipts/keda/t"
        sent = await provider.send(OutboundMessage("m-1", TO, "ID", "81210100055", "x", "1", 300, receipt_url=url))
        message = simulator.messages[0]
        assert await simulator.tell(message, Told(times=2)) == [200, 200]
        assert await simulator.tell(message, Told("sent", after=0.05)) == [200]
        assert {(call.method, call.target) for call in receiver.requests} == {("POST", "/v1/receipts/keda/t")}
        found = [provider.parse_receipts(called(call.body))[0] for call in receiver.requests]
    assert [(one.status, one.provider_message_id, one.to) for one in found] == [
        (DELIVERED, message.msgid, TO),
        (DELIVERED, message.msgid, TO),
        (None, message.msgid, TO),
    ]
    assert sent.provider_message_id == message.task_id != message.msgid


async def test_callbacks_come_by_themselves() -> None:
    """A simulator that is told to reports every message that has an address, and bears that nobody answers."""
    simulator = on_time()
    simulator.receipts = [Told("sent"), Told("undelivered", after=0.05, reason="FAILED")]
    async with Receiver() as receiver, gateway(simulator) as provider:
        for url in ("", receiver.url + "/t", "http://127.0.0.1:1/nobody"):
            await provider.send(OutboundMessage("m-1", TO, "ID", "81210100055", "x", "1", 300, receipt_url=url))
        async with asyncio.timeout(5):
            while len(receiver.requests) < 2 or simulator.statuses[simulator.messages[2].msgid] != "FAILED":
                await asyncio.sleep(0.01)
        assert {json.loads(call.body)["status"] for call in receiver.requests} == {"SENT", "FAILED"}


async def test_a_report_is_for_a_msgid() -> None:
    """By the id out of a receipt the gateway tells; by the id out of a send it cannot, and that is no status."""
    simulator = on_time()
    async with Receiver() as receiver, gateway(simulator) as provider:
        outbound = OutboundMessage("m-1", TO, "ID", "81210100055", "x", "1", 300, receipt_url=receiver.url + "/t")
        task_id = (await provider.send(outbound)).provider_message_id
        msgid = simulator.messages[0].msgid
        assert await provider.fetch_report(msgid) == DeliveryReport(None)
        await simulator.tell(simulator.messages[0], Told())
        assert await provider.fetch_report(msgid) == DeliveryReport(DELIVERED)
        assert await provider.fetch_report(task_id) == DeliveryReport(None)
        asked = simulator.requests[-1]
        assert (asked.method, asked.target, asked.body) == ("GET", f"/api/sms/status?msgid={task_id}", b"")


@pytest.mark.parametrize(("keyword", "status"), KEYWORDS)
async def test_a_status_is_read_like_a_receipt(keyword: Any, status: DeliveryStatus | None) -> None:
    """One table of keywords serves both."""
    body = {"success": True, "code": 200, "data": SHOWN | {"status": keyword, "message": "the code"}}
    simulator = on_time()
    simulator.always = Say(Answer(json.dumps(body).encode()))
    async with gateway(simulator) as provider:
        assert await provider.fetch_report("msg_abc123def456") == DeliveryReport(status)


@pytest.mark.parametrize(
    "behaviour",
    [
        Hang(),
        Cut(),
        refusing(404, "Message not found"),
        refusing(500, "Error"),
        Say(Answer(b"")),
        Say(Answer(json.dumps({"success": True, "code": 200, "data": SHOWN | {"msgid": "msg_other"}}).encode())),
        Say(Answer(json.dumps({"success": False, "code": 200, "data": SHOWN}).encode())),
        Say(Answer(json.dumps({"success": True, "code": 200, "data": [SHOWN]}).encode())),
        Say(Answer(json.dumps({"success": True, "code": 200, "data": SHOWN}).encode(), 500)),
    ],
)
async def test_a_report_that_fails_tells_nothing(behaviour: Hang | Cut | Say) -> None:
    """No answer, a refusal, or an answer about another message is no status, after one request."""
    simulator = on_time()
    simulator.always = behaviour
    async with gateway(simulator, seconds=0.3) as provider:
        assert await provider.fetch_report("msg_abc123def456") == DeliveryReport(None)
        assert await provider.fetch_report("") == DeliveryReport(None)
    assert len(simulator.requests) == 1


async def test_an_id_is_escaped_in_the_address() -> None:
    """A gateway's id cannot add to the query."""
    simulator = on_time()
    async with gateway(simulator) as provider:
        await provider.fetch_report("a&b=c/../\u2713 d")
    assert simulator.requests[0].target == "/api/sms/status?msgid=a%26b%3Dc%2F..%2F%E2%9C%93%20d"


async def test_limits_are_put_as_documented() -> None:
    """Money is a number, a cap that is None is left out, and the gateway then holds the cap."""
    simulator = on_time()
    async with gateway(simulator) as provider:
        assert await provider.set_limits(AccountLimits(1, Decimal("199.90"), 0.8, True)) is Outcome.ACCEPTED
        request = simulator.requests[0]
        assert (request.method, request.target) == ("PUT", "/api/external/accounts/limits")
        assert b'"dailySpendCap":199.90' in request.body
        assert json.loads(request.body) == {
            "apiKey": API_KEY, "dailySmsCap": 1, "dailySpendCap": 199.9, "alertThreshold": 0.8, "blockOnLimit": True
        }  # fmt: skip
        outbound = OutboundMessage("m-1", TO, "ID", "81210100055", "x", "1", 300)
        assert [(await provider.send(outbound)).outcome for _ in range(2)] == [Outcome.ACCEPTED, Outcome.THROTTLED]
        assert await provider.set_limits(AccountLimits(None, None, 1.0, False)) is Outcome.ACCEPTED
        assert json.loads(simulator.requests[-1].body).keys() == {"apiKey", "alertThreshold", "blockOnLimit"}


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, b"", Outcome.ACCEPTED),
        (204, b"", Outcome.ACCEPTED),
        (200, b'{"success":true,"code":200}', Outcome.ACCEPTED),
        (200, b'{"code":"0","message":"Success"}', Outcome.ACCEPTED),
        (200, b"<html>console</html>", Outcome.AMBIGUOUS),
        (200, b'{"success":false,"message":"invalid number"}', Outcome.CONFIG_ERROR),
        (200, b'{"code":"401"}', Outcome.CONFIG_ERROR),
        (400, b'{"message":"Bad request"}', Outcome.CONFIG_ERROR),
        (401, b"", Outcome.CONFIG_ERROR),
        (429, b"", Outcome.THROTTLED),
        (500, b"", Outcome.AMBIGUOUS),
    ],
)
async def test_the_answer_to_limits_has_one_meaning(status: int, body: bytes, outcome: Outcome) -> None:
    """No document shows it: a 2xx that does not say no is yes; nothing in it is about a recipient."""
    simulator = on_time()
    simulator.always = Say(Answer(body, status))
    async with gateway(simulator) as provider:
        assert await provider.set_limits(AccountLimits(1, None, 0.8, True)) is outcome
    assert len(simulator.requests) == 1


async def test_an_account_without_money_is_told_apart() -> None:
    """The simulator's balance runs out, and that is `funds`."""
    simulator = KedasmsSimulator(API_KEY, KEY, clock=lambda: NOW, funds=0.05)
    async with gateway(simulator) as provider:
        outbound = OutboundMessage("m-1", TO, "ID", "81210100055", "x", "1", 300)
        assert [(await provider.send(outbound)).outcome for _ in range(2)] == [Outcome.ACCEPTED, Outcome.FUNDS]
