"""Receipts of the simulated gateways: sent as scripted, in the documented format."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from urllib.parse import parse_qsl

import pytest
from msgspec.structs import replace

from otp_service.domain.message import Receipt, ReceiptRequest
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.sendcloud.webhook import parse_webhook
from otp_service.sandbox.simulators.http_server import Cut, Hang, Respond, SimulatorResponse
from otp_service.sandbox.simulators.kedasms import KedasmsSimulator
from otp_service.sandbox.simulators.receipt_sender import ReceiptStatus, ScriptedReceipt
from otp_service.sandbox.simulators.sendcloud import SendcloudSimulator
from otp_service.sandbox.simulators.sendcloud_webhooks import RETRIES_AFTER_SECONDS, Form
from otp_service.sandbox.simulators.vonage import VonageSimulator
from otp_service.sandbox.simulators.vonage_requests import sign
from tests.sandbox.receipt_listener import (
    APP_KEY,
    LATE_AND_REPEATED,
    OUT_OF_ORDER,
    TO,
    ReceiptListener,
    kedasms_provider,
    outbound,
    send_accepted,
    sendcloud_provider,
    vonage_provider,
)
from tests.waits import wait_until

NOW = 1_712_123_456.0
SMS_ID = "1712123456000_19999_0_29999_qrwnpq"
NOT_READ = Respond(SimulatorResponse(b"", 500))


async def test_kedasms_sends_the_documented_callback() -> None:
    """The callback goes to the URL of the send request, with a new `msgid` and exactly the documented members."""
    simulator = KedasmsSimulator(clock=lambda: NOW)
    simulator.receipts = [ScriptedReceipt()]
    async with ReceiptListener() as receiver, kedasms_provider(simulator, clock=lambda: NOW) as provider:
        await send_accepted(provider, outbound(receipt_url=receiver.url + "/v1/receipts/keda/t"))
        await wait_until(lambda: len(simulator.sent_receipts) == 1)

    [request], [receipt], [message] = receiver.requests, simulator.sent_receipts, simulator.messages
    assert (request.method, request.target) == ("POST", "/v1/receipts/keda/t")
    assert request.headers["content-type"] == "application/json"
    assert list(json.loads(request.body).items()) == [
        ("msgid", message.msgid),
        ("status", "DELIVERED"),
        ("recipient", TO),
        ("sender", "KedaSMS"),
        ("sent_time", "2024-04-03T05:50:56Z"),
        ("delivered_time", "2024-04-03T05:50:56Z"),
        ("cost", "0.05"),
    ]
    assert (receipt.url, receipt.status, receipt.webhook.body) == (message.callback_url, 200, request.body)


@pytest.mark.parametrize(
    ("receipt", "keyword"),
    [
        (ScriptedReceipt("sent"), "SENT"),
        (ScriptedReceipt("undelivered"), "UNDELIVERED"),
        (ScriptedReceipt("undelivered", reason="REJECTED"), "REJECTED"),
    ],
)
async def test_kedasms_sends_status_keywords(receipt: ScriptedReceipt, keyword: str) -> None:
    """The callback and the status by `msgid` agree, and only a delivered message has `delivered_time`."""
    simulator = KedasmsSimulator()
    async with ReceiptListener() as receiver, kedasms_provider(simulator) as provider:
        await send_accepted(provider, outbound(receipt_url=receiver.url))
        message = simulator.messages[0]
        assert await simulator.send_receipt(message, receipt) == [200]
        await provider.fetch_report(message.msgid)
        status = json.loads(simulator.answer(simulator.requests[-1]).body)["data"]

    body = json.loads(receiver.bodies[0])
    assert (body["status"], status["status"]) == (keyword, keyword)
    assert "delivered_time" not in body | status
    assert status["message"] == "kode 123456"


EVENTS: list[tuple[Form, ReceiptStatus, int | None, str, int]] = [
    ("json", "sent", None, "Requested", 1),
    ("json", "delivered", None, "Delivered", 20),
    ("json", "undelivered", None, "Failed", 5),
    ("json", "undelivered", 500, "Failed", 5),
    ("json", "undelivered", 430, "Suppressed", 4),
    ("form", "sent", None, "request", 1),
    ("form", "delivered", None, "deliver", 2),
    ("form", "undelivered", 580, "delivererror", 5),
    ("form", "undelivered", 410, "workererror", 4),
]
STATUSES = {"sent": None, "delivered": DeliveryStatus.DELIVERED, "undelivered": DeliveryStatus.UNDELIVERED}


@pytest.mark.parametrize(("form", "say", "reason", "event", "number"), EVENTS)
async def test_sendcloud_sends_an_event(
    form: Form, say: ReceiptStatus, reason: int | None, event: str, number: int
) -> None:
    """The adapter accepts the event in the format of both pages: signed, with our `customArgs`."""
    simulator = SendcloudSimulator(app_key=APP_KEY, form=form, clock=lambda: NOW)
    simulator.receipts = [ScriptedReceipt(say, reason=reason)]
    async with ReceiptListener() as receiver, sendcloud_provider(simulator) as provider:
        simulator.webhook_url = receiver.url + "/v1/receipts/aurora"
        await send_accepted(provider, outbound())
        await wait_until(lambda: len(simulator.sent_receipts) == 1)

    [request] = receiver.requests
    body = json.loads(request.body) if form == "json" else dict(parse_qsl(request.body.decode()))
    assert (request.method, request.target) == ("POST", "/v1/receipts/aurora")
    assert (body["event"], int(body["eventType"])) == (event, number)
    assert body.get("smsIds", json.dumps([body.get("smsId")])) == json.dumps([f"{SMS_ID}${TO[1:]}"])
    content_type = request.headers["content-type"]
    call = ReceiptRequest("POST", "https://x", None, NOW, content_type=content_type, body=request.body)
    [receipt] = parse_webhook(call, Secret(APP_KEY))
    assert isinstance(receipt, Receipt)
    error = {500: Outcome.RECIPIENT_INVALID, 430: Outcome.RECIPIENT_BLOCKED, 410: Outcome.RECIPIENT_BLOCKED}
    wrong = None if say != "undelivered" else error.get(reason or 0, Outcome.TRANSIENT)
    expected = Receipt("v1-ABC_7", STATUSES[say], wrong, provider_message_id=SMS_ID, to=TO[1:], nonce=receipt.nonce)
    assert receipt == expected


async def test_sendcloud_retries_until_200() -> None:
    """Another status, a closed connection and a timeout are retried with the same bytes."""
    simulator = SendcloudSimulator(app_key=APP_KEY, retry_factor=1e-6)
    simulator.answer_seconds = 0.1
    async with ReceiptListener() as receiver, sendcloud_provider(simulator) as provider:
        receiver.script(NOT_READ, Respond(SimulatorResponse(b"", 202)), Cut(), Hang(), None)
        await send_accepted(provider, outbound())
        statuses = await simulator.send_receipt(simulator.messages[0], ScriptedReceipt(url=receiver.url))

    assert statuses == [200]
    assert [one.status for one in simulator.sent_receipts] == [500, 202, 0, 0, 200]
    assert len(set(receiver.bodies)) == 1


async def test_sendcloud_gives_up_after_seven_retries() -> None:
    """The scaled documented schedule makes eight requests, and no more."""
    assert RETRIES_AFTER_SECONDS == (180, 600, 1800, 3600, 21600, 43200, 86400)
    simulator = SendcloudSimulator(app_key=APP_KEY, retry_factor=1e-6)
    async with ReceiptListener() as receiver, sendcloud_provider(simulator) as provider:
        receiver.always = NOT_READ
        await send_accepted(provider, outbound())
        began = asyncio.get_running_loop().time()
        assert await simulator.send_receipt(simulator.messages[0], ScriptedReceipt(url=receiver.url)) == [500]
        took = asyncio.get_running_loop().time() - began

    assert [one.status for one in simulator.sent_receipts] == [500] * 8
    assert took >= sum(RETRIES_AFTER_SECONDS) * 1e-6


@pytest.mark.parametrize(
    ("script", "expected"),
    [(LATE_AND_REPEATED, ["SENT", "DELIVERED", "DELIVERED"]), (OUT_OF_ORDER, ["DELIVERED", "SENT"])],
)
async def test_receipts_follow_the_order_of_the_script(script: Sequence[ScriptedReceipt], expected: list[str]) -> None:
    """Receipts are sent late, twice and out of order; a changed script applies to later messages only."""
    simulator = KedasmsSimulator()
    simulator.receipts = script
    async with ReceiptListener() as receiver, kedasms_provider(simulator) as provider:
        await send_accepted(provider, outbound(receipt_url=receiver.url))
        simulator.receipts = ()
        await send_accepted(provider, outbound("v2", receiver.url))
        await wait_until(lambda: len(receiver.requests) >= len(expected))
        await asyncio.sleep(0.02)
        first = simulator.messages[0].msgid

    callbacks = [json.loads(body) for body in receiver.bodies]
    assert [one["status"] for one in callbacks] == expected
    assert {one["msgid"] for one in callbacks} == {first}


async def test_a_script_can_set_another_url() -> None:
    """A receipt goes to the script's URL; without any URL, only the status by `msgid` changes."""
    simulator = KedasmsSimulator()
    async with ReceiptListener() as receiver, kedasms_provider(simulator) as provider:
        await send_accepted(provider, outbound())
        message = simulator.messages[0]
        assert await simulator.send_receipt(message, ScriptedReceipt()) == []
        assert simulator.statuses == {message.msgid: "DELIVERED"}
        assert await simulator.send_receipt(message, ScriptedReceipt("sent", url=receiver.url + "/elsewhere?a=b")) == [
            200
        ]

    assert [request.target for request in receiver.requests] == ["/elsewhere?a=b"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/nobody", "nothing", "http://[", "http://127.0.0.1:99999/"])
async def test_a_request_without_response_has_status_0(url: str) -> None:
    """It is recorded with status 0, and not retried if no document mentions retries."""
    simulator = KedasmsSimulator()
    async with kedasms_provider(simulator) as provider:
        await send_accepted(provider, outbound())
        assert await simulator.send_receipt(simulator.messages[0], ScriptedReceipt(url=url)) == [0]
    assert [(one.url, one.status) for one in simulator.sent_receipts] == [(url, 0)]


async def test_close_cancels_all_receipts() -> None:
    """Receipts that wait for their delay, a response or a retry are cancelled, and no task is left."""
    before = asyncio.all_tasks()
    async with ReceiptListener() as receiver:
        receiver.script(Hang(), NOT_READ)
        simulator = SendcloudSimulator(app_key=APP_KEY, webhook_url=receiver.url)
        async with sendcloud_provider(simulator) as provider:
            for script in ([ScriptedReceipt()], [ScriptedReceipt()], [ScriptedReceipt(after=60)]):
                simulator.receipts = script
                await send_accepted(provider, outbound(f"v{len(simulator.messages)}"))
            await wait_until(lambda: len(receiver.requests) == 2 and len(simulator.sent_receipts) == 1)
            assert len(asyncio.all_tasks() - before) > 3
    assert asyncio.all_tasks() == before
    assert [one.status for one in simulator.sent_receipts] == [500]


@pytest.mark.parametrize("form", ["json", "form", "query"])
@pytest.mark.parametrize("signed", [False, True])
async def test_vonage_sends_the_documented_receipt(form: str, signed: bool) -> None:
    """The receipt of each part goes to the `callback`, with exactly the documented parameters."""
    simulator = VonageSimulator("abcd1234", "secret", signature_key="key", signs_receipts=signed, clock=lambda: NOW)
    simulator.form = form  # type: ignore[assignment]  # one of the three forms
    simulator.receipts = [ScriptedReceipt("undelivered", reason=3)]
    async with ReceiptListener() as receiver, vonage_provider(simulator) as provider:
        await send_accepted(provider, outbound(receipt_url=receiver.url + "/v1/receipts/vonage/t"))
        await wait_until(lambda: len(simulator.sent_receipts) == 1)

    [request], [message] = receiver.requests, simulator.messages
    assert (request.method, request.path) == ("GET" if form == "query" else "POST", "/v1/receipts/vonage/t")
    pairs = request.query if form == "query" else request.body.decode()
    fields = json.loads(request.body) if form == "json" else dict(parse_qsl(pairs))
    if signed:
        assert fields.pop("sig") == sign(fields, "key", "md5hash")
        assert (fields.pop("timestamp"), len(fields.pop("nonce"))) == ("1712123456", 36)
    assert fields == {
        "msisdn": TO.removeprefix("+"), "to": "Acme", "network-code": "51010", "messageId": message.ids[0],
        "price": "0.03330000", "status": "failed", "scts": "2404030550", "err-code": "3", "api-key": "abcd1234",
        "client-ref": "v1-ABC_7", "message-timestamp": "2024-04-03 05:50:56",
    }  # fmt: skip


async def test_vonage_sends_a_receipt_for_each_part() -> None:
    """A long text has one receipt for each accepted part; without a `callback` they go to the account's URL."""
    simulator = VonageSimulator("abcd1234", "secret")
    simulator.receipts = [ScriptedReceipt()]
    async with ReceiptListener() as receiver, vonage_provider(simulator) as provider:
        simulator.webhook_url = receiver.url
        await send_accepted(provider, replace(outbound(), text="x" * 400))
        await wait_until(lambda: len(receiver.requests) == 3)

    assert sorted(json.loads(body)["messageId"] for body in receiver.bodies) == sorted(simulator.messages[0].ids)
