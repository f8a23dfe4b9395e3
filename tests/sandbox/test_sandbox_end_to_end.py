"""`otp-service sandbox` end to end: a number for each gateway, scripted failures and scripted receipts."""

from __future__ import annotations

import time

import pytest

from otp_service.domain.message import Receipt, ReceiptRequest
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.sendcloud.webhook import parse_webhook
from tests.sandbox.receipt_listener import ReceiptListener
from tests.sandbox.sandbox_client import SandboxClient
from tests.waits import wait_until

NUMBERS = [
    ("+6281110100055", "jakarta"),
    ("+6281210100055", "keda"),
    ("+6281310100055", "aurora"),
    ("+6281410100055", "hub"),
    ("+6281510100055", "surabaya"),
    ("+6281610100055", "twilio"),
    ("+6281810100055", "vonage"),
    ("+6281910100055", "infobip"),
    ("+6282110100055", "smsc"),
    ("+6281710100055", "keda"),
    ("+6591234567", "keda"),
]


@pytest.mark.parametrize(("phone", "gateway"), NUMBERS)
async def test_a_prefix_selects_its_gateway(sandbox: SandboxClient, phone: str, gateway: str) -> None:
    """The message arrives at this gateway only, and its code verifies."""
    verification_id = await sandbox.request(phone)
    [(provider, code)] = await sandbox.messages(phone)

    assert provider == gateway
    assert await sandbox.verify(verification_id, code) == 200
    shown = (await sandbox.gateways())[gateway]
    assert phone in [message["to"] for message in shown["messages"]]
    assert shown["taken"] >= 1


@pytest.mark.parametrize(
    ("phone", "locale", "words"), [("+6281310100157", "en", "is your"), ("+6591234568", "id", "adalah")]
)
async def test_whatsapp_is_the_gateway_of_its_channel(
    sandbox: SandboxClient, phone: str, locale: str, words: str
) -> None:
    """Every number goes to WhatsApp, in the template's language, and its webhooks are accepted."""
    await sandbox.script("whatsapp", {"receipts": [{"say": "delivered"}, {"say": "sent", "after": 0.05}]})
    verification_id = await sandbox.request(phone, channel="whatsapp", locale=locale)
    [(provider, code)] = await sandbox.messages(phone)

    assert provider == "whatsapp"
    await sandbox.delivered(verification_id, ("whatsapp", "delivered", None))
    assert await sandbox.verify(verification_id, code) == 200
    shown = (await sandbox.gateways())["whatsapp"]
    assert words in shown["messages"][0]["text"]
    assert shown["receipts"][0]["status"] == 200


@pytest.mark.parametrize(
    ("phone", "first", "second", "reason"),
    [
        ("+6281610100155", "twilio_voice", "vonage_voice", "busy"),
        ("+6281210100155", "vonage_voice", "twilio_voice", "failed:cannot_route"),
    ],
)
async def test_calls_and_their_failover(
    sandbox: SandboxClient, phone: str, first: str, second: str, reason: str
) -> None:
    """A call that fails goes through the other gateway, which says the same code; its events are accepted."""
    script = {"next": [{"say": 21212 if first == "twilio_voice" else 429}, None]}
    await sandbox.script(first, script | {"receipts": {"say": "undelivered", "reason": reason}})
    await sandbox.script(second, {"receipts": {"say": "delivered"}})
    for number in (phone, phone[:-1] + "6"):
        verification_id = await sandbox.request(number, channel="voice")
        delivered = await sandbox.delivered(verification_id, (second, "delivered", None))
        codes = dict(await sandbox.messages(number))
        assert delivered[0][:2] == (first, "failed" if number == phone else "undelivered")
        assert len({*codes.values()}) == 1
        assert await sandbox.verify(verification_id, codes[second]) == 200
    assert [receipt["status"] for receipt in (await sandbox.gateways())[first]["receipts"]][:1] == [200]


async def test_the_smsc_sends_receipts_over_its_connection(sandbox: SandboxClient) -> None:
    """A throttled message is sent again; the receipt moves the delivery, and its `command_status` is shown."""
    await sandbox.script("smsc", {"next": [{"say": 88}], "receipts": {"say": "delivered"}})
    verification_id = await sandbox.request("+6282110100095")

    await sandbox.delivered(verification_id, ("smsc", "delivered", None))
    shown = (await sandbox.gateways())["smsc"]
    assert shown["address"].startswith("smpp://127.0.0.1:")
    assert [(call["status"], call["url"]) for call in shown["receipts"][:1]] == [(0, shown["address"])]


async def test_smtp_is_the_gateway_of_email(sandbox: SandboxClient) -> None:
    """A code for an address arrives at the SMTP server and verifies; a refused recipient is reported."""
    body = {"email": "ana@example.com", "purpose": "login"}
    verification_id = (await sandbox.client.post("/v1/request-code", json=body)).json()["verification_id"]
    [(provider, code)] = await sandbox.messages("ana@example.com")
    assert provider == "smtp"
    assert await sandbox.verify(verification_id, code) == 200

    await sandbox.script("smtp", {"next": [{"say": 550, "message": "5.1.1 Unknown"}]})
    body = {"email": "eve@example.com", "purpose": "login"}
    verification_id = (await sandbox.client.post("/v1/request-code", json=body)).json()["verification_id"]
    await sandbox.delivered(verification_id, ("smtp", "failed", "recipient_invalid"))


async def test_messages_have_the_format_of_dev(sandbox: SandboxClient) -> None:
    """`/dev/messages` lists the newest first with the members of `dev`, and the try-it page is served."""
    for phone in ("+6281110100060", "+6281510100060"):
        await sandbox.request(phone)
        await sandbox.messages(phone)
    messages = (await sandbox.client.get("/dev/messages")).json()["messages"]
    page = await sandbox.client.get("/")

    assert [message["to"] for message in messages[:2]] == ["+6281510100060", "+6281110100060"]
    assert all(message.keys() == {"id", "to", "text", "provider", "channel", "sent_at"} for message in messages)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")


@pytest.mark.parametrize(
    ("phone", "first", "step", "error", "second"),
    [
        ("+6281510100071", "surabaya", {"say": -12}, "transient", "keda"),
        ("+6281510100072", "surabaya", {"down": 0.3}, "transient", "keda"),
        (
            "+6281710100074",
            "keda",
            {"status": 429, "headers": {"Retry-After": "1"}, "body": "<"},
            "throttled",  # not a failure: two of five calls may fail before the circuit of this gateway opens
            "aurora",
        ),
        ("+6281710100075", "keda", "cut-unsent", "ambiguous", "aurora"),
    ],
)
async def test_a_scripted_failure_fails_over(
    sandbox: SandboxClient, *, phone: str, first: str, step: object, error: str, second: str
) -> None:
    """The next gateway of the route gets the message; after an ambiguous failure, only after the hold."""
    assert (await sandbox.script(first, {"next": [step]})).json()["script"]["next"] == [step]
    verification_id = await sandbox.request(phone)
    [(provider, code)] = await sandbox.messages(phone)

    assert provider == second
    tried = await sandbox.deliveries(verification_id)
    assert [one[::2] for one in tried[:1]] == [(first, error)]
    assert await sandbox.verify(verification_id, code) == 200
    assert (await sandbox.gateway(first, listening=True))["script"]["next"] == []


async def test_a_hanging_gateway_causes_a_second_message_with_the_same_code(sandbox: SandboxClient) -> None:
    """The first gateway accepts and never responds; after the hold, the second one sends the same code."""
    phone = "+6281710100080"
    await sandbox.script("keda", {"next": ["hang"]})
    verification_id = await sandbox.request(phone)
    texts = await sandbox.messages(phone, 2)

    assert sorted(provider for provider, _ in texts) == ["aurora", "keda"]
    [code] = {code for _, code in texts}
    assert await sandbox.verify(verification_id, code) == 200


async def test_receipts_are_sent_as_scripted(sandbox: SandboxClient) -> None:
    """Twice, signed, as a form, to another URL: the adapter accepts them, and the API shows the responses to them."""
    before = (await sandbox.gateways())["aurora"]["script"]
    async with ReceiptListener() as receiver:
        receipts = {"say": "undelivered", "reason": 500, "times": 2, "url": receiver.url + "/hook"}
        assert (await sandbox.script("aurora", {"receipts": receipts, "form": "form"})).status_code == 200
        verification_id = await sandbox.request("+6281310100090")
        await wait_until(lambda: len(receiver.requests) == 2)
        restored = await sandbox.script("aurora", {"receipts": before["receipts"], "form": "json"})

    assert restored.json()["script"] == before
    calls = restored.json()["receipts"][:2]
    assert [(call["url"], call["status"]) for call in calls] == [(receiver.url + "/hook", 200)] * 2
    [first, second] = receiver.bodies
    assert first == second
    form = receiver.requests[0].headers["content-type"]
    call = ReceiptRequest("POST", receiver.url, None, time.time(), content_type=form, body=first)
    [receipt] = parse_webhook(call, Secret("sandbox-hook-key"))
    assert isinstance(receipt, Receipt)
    assert (receipt.message_id, receipt.to) == (verification_id, "6281310100090")
    assert (receipt.status, receipt.error) == (DeliveryStatus.UNDELIVERED, Outcome.RECIPIENT_INVALID)


@pytest.mark.parametrize(
    ("phone", "gateway", "receipts", "expected"),
    [
        ("+6281210100091", "keda", {"say": "delivered", "times": 2}, ("delivered", None)),
        ("+6281310100092", "aurora", [{"say": "delivered"}, {"say": "sent", "after": 0.05}], ("delivered", None)),
        ("+6281310100093", "aurora", {"say": "undelivered", "reason": 510}, ("undelivered", "transient")),
        ("+6281510100094", "surabaya", {"say": "delivered"}, ("delivered", None)),
        ("+6281610100095", "twilio", [{"say": "delivered"}, {"say": "sent", "after": 0.05}], ("delivered", None)),
        ("+6281610100096", "twilio", {"say": "undelivered", "reason": 30007}, ("undelivered", "content_rejected")),
        ("+6281810100095", "vonage", [{"say": "delivered", "times": 2}, {"say": "sent"}], ("delivered", None)),
        ("+6281810100096", "vonage", {"say": "undelivered", "reason": 3}, ("undelivered", "recipient_invalid")),
        ("+6281910100095", "infobip", [{"say": "delivered", "after": 0.1}, {"say": "sent"}], ("delivered", None)),
        ("+6281910100096", "infobip", {"say": "undelivered", "reason": 15}, ("undelivered", "transient")),
    ],
)
async def test_receipts_reach_the_service(
    sandbox: SandboxClient, *, phone: str, gateway: str, receipts: object, expected: tuple[str, str | None]
) -> None:
    """A callback, webhooks and a polled report set the delivery status, in any order and number."""
    before = (await sandbox.gateways())[gateway]["script"]["receipts"]
    assert (await sandbox.script(gateway, {"receipts": receipts})).status_code == 200
    verification_id = await sandbox.request(phone)
    await sandbox.delivered(verification_id, (gateway, *expected))
    sent = (await sandbox.script(gateway, {"receipts": before})).json()["receipts"]

    assert {call["status"] for call in sent} <= {200}
    assert bool(sent) is (gateway != "surabaya")
    assert all(call["url"].startswith(f"{sandbox.url}/v1/receipts/{gateway}") for call in sent[:1])
