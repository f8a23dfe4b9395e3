"""KedaSMS callbacks, status queries by `msgid`, and the limits of the account."""

import asyncio
import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from otp_service.domain.message import (
    AccountLimits,
    DeliveryReport,
    LinkClick,
    OutboundMessage,
    Receipt,
    ReceiptForged,
    ReceiptRequest,
)
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.kedasms.adapter import Kedasms
from otp_service.sandbox.simulators.http_server import Cut, Hang, Respond, Simulator
from otp_service.sandbox.simulators.http_server import Request as SimulatorRequest
from otp_service.sandbox.simulators.http_server import SimulatorResponse as Answer
from otp_service.sandbox.simulators.kedasms import KedasmsSimulator, refusal
from otp_service.sandbox.simulators.receipt_sender import ScriptedReceipt
from tests.providers.kedasms_provider import API_KEY, KEY, NOW, gateway, new_config, new_simulator

DELIVERED, UNDELIVERED = DeliveryStatus.DELIVERED, DeliveryStatus.UNDELIVERED
TO = "+6281210100055"
CALLBACK = {
    "msgid": "msg_abc123def456",
    "status": "DELIVERED",
    "recipient": TO,
    "sender": "KedaSMS",
    "sent_time": "2024-01-01T12:00:00Z",
    "delivered_time": "2024-01-01T12:00:05Z",
    "cost": "0.05",
}
STATES: list[tuple[Any, DeliveryStatus | None]] = [
    ("DELIVERED", DELIVERED),
    (" delivered ", DELIVERED),
    ("UNDELIVERED", UNDELIVERED),
    ("UNDELIVERABLE", UNDELIVERED),
    ("FAILED", UNDELIVERED),
    ("Failure", UNDELIVERED),
    ("REJECTED", UNDELIVERED),
    ("NOT_DELIVERED", UNDELIVERED),
    ("DELIVRD", DELIVERED),
    ("EXPIRED", UNDELIVERED),
    ("SENT", None),
    ("PENDING", None),
    ("DELIVERED_TO_CARRIER", None),
    ("", None),
    (None, None),
    (7, None),
    (["DELIVERED"], None),
]


class Receiver(Simulator):
    """Our callback endpoint: it keeps the requests."""

    def answer(self, _: SimulatorRequest) -> Answer:
        """Accept every callback."""
        return Answer(b"{}")


def callback(body: Any, message_id: str | None = "m-1") -> ReceiptRequest:
    """Return a callback for a message; None: the URL had no valid token."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ReceiptRequest("POST", "https://otp.example.com/v1/receipts/keda/t", message_id, NOW, body=raw)


def parsed(body: Any) -> list[Receipt | LinkClick]:
    """Parse a callback whose URL had a valid token."""
    config = new_config("http://127.0.0.1:1", "http://127.0.0.1:1")
    return list(Kedasms("keda", config, GatewayClient(1.0)).parse_receipts(callback(body)))


def test_documented_callback_is_parsed() -> None:
    """The receipt is for the message of the token, with the gateway's `msgid`, the recipient and the cost."""
    receipt = Receipt("m-1", DELIVERED, provider_message_id="msg_abc123def456", to=TO)
    assert parsed(CALLBACK) == [replace(receipt, charged=Decimal("0.05"), charged_currency="USD")]
    assert parsed(CALLBACK | {"cost": "-"}) == [receipt]


@pytest.mark.parametrize(("state", "status"), STATES)
def test_delivery_state_has_its_status(state: Any, status: DeliveryStatus | None) -> None:
    """DELIVERED is the only success, failures are recognized by their prefix, and other states have no status."""
    assert [receipt.status for receipt in parsed(CALLBACK | {"status": state}) if isinstance(receipt, Receipt)] == [
        status
    ]


def test_callback_without_a_valid_token_is_forged() -> None:
    """Only the token authenticates a callback: a correct body does not."""
    config = new_config("http://127.0.0.1:1", "http://127.0.0.1:1")
    with pytest.raises(ReceiptForged):
        Kedasms("keda", config, GatewayClient(1.0)).parse_receipts(callback(CALLBACK, None))


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[]", b"[" * 9000, b'"DELIVERED"', {}, {"url": "https://x.test"}]
)
def test_unreadable_callback_gives_no_receipt(body: Any) -> None:
    """A test call or garbage gives no receipt and no error."""
    assert parsed(body) == []


@pytest.mark.parametrize(
    ("recipient", "to"),
    [
        ("6281210100055", "6281210100055"),
        ("006281210100055", "6281210100055"),
        ("081210100055", ""),
        ("+62812*****055", ""),
        (None, ""),
        (6281210100055, "6281210100055"),
    ],
)
def test_recipient_is_kept_if_it_is_a_number(recipient: Any, to: str) -> None:
    """The receipt has the recipient's number; a masked or a national one is dropped, since it cannot be compared."""
    assert [receipt.to for receipt in parsed(CALLBACK | {"recipient": recipient}) if isinstance(receipt, Receipt)] == [
        to
    ]


async def test_duplicate_and_out_of_order_callbacks_are_parsed() -> None:
    """Each callback of the simulator gives a receipt for our message, with a `msgid` that the send did not return."""
    simulator = new_simulator()
    async with Receiver() as receiver, gateway(simulator) as provider:
        url = receiver.url + "/v1/receipts/keda/t"
        sent = await provider.send(OutboundMessage("m-1", TO, "ID", "81210100055", "x", "1", 300, receipt_url=url))
        message = simulator.messages[0]
        assert await simulator.send_receipt(message, ScriptedReceipt(times=2)) == [200, 200]
        assert await simulator.send_receipt(message, ScriptedReceipt("sent", after=0.05)) == [200]
        assert {(call.method, call.target) for call in receiver.requests} == {("POST", "/v1/receipts/keda/t")}
        events = [provider.parse_receipts(callback(call.body))[0] for call in receiver.requests]
        found = [event for event in events if isinstance(event, Receipt)]
    assert [(one.status, one.provider_message_id, one.to) for one in found] == [
        (DELIVERED, message.msgid, TO),
        (DELIVERED, message.msgid, TO),
        (None, message.msgid, TO),
    ]
    assert sent.provider_message_id == message.task_id != message.msgid


async def test_simulator_calls_back_automatically() -> None:
    """The simulator reports every message that has a callback URL, and tolerates an unreachable one."""
    simulator = new_simulator()
    simulator.receipts = [ScriptedReceipt("sent"), ScriptedReceipt("undelivered", after=0.05, reason="FAILED")]
    async with Receiver() as receiver, gateway(simulator) as provider:
        for url in ("", receiver.url + "/t", "http://127.0.0.1:1/nobody"):
            await provider.send(OutboundMessage("m-1", TO, "ID", "81210100055", "x", "1", 300, receipt_url=url))
        async with asyncio.timeout(5):
            while len(receiver.requests) < 2 or simulator.statuses[simulator.messages[2].msgid] != "FAILED":
                await asyncio.sleep(0.01)
        assert {json.loads(call.body)["status"] for call in receiver.requests} == {"SENT", "FAILED"}


async def test_status_query_needs_a_msgid() -> None:
    """A query by the `msgid` of a receipt returns the status; one by the `taskId` of a send returns none."""
    simulator = new_simulator()
    async with Receiver() as receiver, gateway(simulator) as provider:
        outbound = OutboundMessage("m-1", TO, "ID", "81210100055", "x", "1", 300, receipt_url=receiver.url + "/t")
        task_id = (await provider.send(outbound)).provider_message_id
        msgid = simulator.messages[0].msgid
        assert await provider.fetch_report(msgid) == DeliveryReport(None)
        await simulator.send_receipt(simulator.messages[0], ScriptedReceipt())
        assert await provider.fetch_report(msgid) == DeliveryReport(DELIVERED)
        assert await provider.fetch_report(task_id) == DeliveryReport(None)
        query = simulator.requests[-1]
        assert (query.method, query.target, query.body) == ("GET", f"/api/sms/status?msgid={task_id}", b"")


@pytest.mark.parametrize(("state", "status"), STATES)
async def test_status_response_uses_the_same_delivery_states(state: Any, status: DeliveryStatus | None) -> None:
    """A status response has the same delivery states as a callback."""
    body = {"success": True, "code": 200, "data": CALLBACK | {"status": state, "message": "the code"}}
    simulator = new_simulator()
    simulator.always = Respond(Answer(json.dumps(body).encode()))
    async with gateway(simulator) as provider:
        assert await provider.fetch_report("msg_abc123def456") == DeliveryReport(status)


@pytest.mark.parametrize(
    "behavior",
    [
        Hang(),
        Cut(),
        refusal(404, "Message not found"),
        refusal(500, "Error"),
        Respond(Answer(b"")),
        Respond(Answer(json.dumps({"success": True, "code": 200, "data": CALLBACK | {"msgid": "msg_other"}}).encode())),
        Respond(Answer(json.dumps({"success": False, "code": 200, "data": CALLBACK}).encode())),
        Respond(Answer(json.dumps({"success": True, "code": 200, "data": [CALLBACK]}).encode())),
        Respond(Answer(json.dumps({"success": True, "code": 200, "data": CALLBACK}).encode(), 500)),
    ],
)
async def test_failed_status_query_has_no_status(behavior: Hang | Cut | Respond) -> None:
    """No response, a refusal, or a response about another message gives no status, after one request."""
    simulator = new_simulator()
    simulator.always = behavior
    async with gateway(simulator, seconds=0.3) as provider:
        assert await provider.fetch_report("msg_abc123def456") == DeliveryReport(None)
        assert await provider.fetch_report("") == DeliveryReport(None)
    assert len(simulator.requests) == 1


async def test_msgid_is_encoded_in_the_query() -> None:
    """A `msgid` with reserved characters cannot add parameters to the query."""
    simulator = new_simulator()
    async with gateway(simulator) as provider:
        await provider.fetch_report("a&b=c/../\u2713 d")
    assert simulator.requests[0].target == "/api/sms/status?msgid=a%26b%3Dc%2F..%2F%E2%9C%93%20d"


async def test_limits_request_is_as_documented() -> None:
    """The spend cap is a JSON number, a cap of None is omitted, and the gateway then enforces the caps."""
    simulator = new_simulator()
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
async def test_limits_response_has_its_outcome(status: int, body: bytes, outcome: Outcome) -> None:
    """A 2xx without an error is acceptance; no response to the limits is about a recipient."""
    simulator = new_simulator()
    simulator.always = Respond(Answer(body, status))
    async with gateway(simulator) as provider:
        assert await provider.set_limits(AccountLimits(1, None, 0.8, True)) is outcome
    assert len(simulator.requests) == 1


async def test_empty_account_is_funds() -> None:
    """A send is refused with `funds` when the balance of the simulated account is used up."""
    simulator = KedasmsSimulator(API_KEY, KEY, clock=lambda: NOW, funds=0.05)
    async with gateway(simulator) as provider:
        outbound = OutboundMessage("m-1", TO, "ID", "81210100055", "x", "1", 300)
        assert [(await provider.send(outbound)).outcome for _ in range(2)] == [Outcome.ACCEPTED, Outcome.FUNDS]
