"""SendCloud webhooks: which calls are accepted, and the receipts that they give."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode

import pytest

from otp_service.domain.message import GatewayEvent, Receipt, ReceiptForged, ReceiptRequest
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.sendcloud.result_codes import EVENT_ERRORS
from otp_service.providers.sendcloud.webhook import parse_webhook, webhook_signature
from otp_service.sandbox.simulators import sendcloud_webhooks
from otp_service.sandbox.simulators.sendcloud_webhooks import RETRIES_AFTER_SECONDS, Webhook, WebhookBuilder
from tests.providers.sendcloud_provider import NOW

APP_KEY = "app key ü"
WEBHOOKS = WebhookBuilder(APP_KEY)
NUMBER = "6281210100055"
SMS_ID = f"1796000000500_19999_0_29999_qrwnpq${NUMBER}"
CUSTOM_ARGS = '{"message_id":"v1-ABC_7"}'
Form = Literal["json", "form"]
FORMS: list[Form] = ["json", "form"]


def signed_webhook(event: str = "Delivered", **options: Any) -> Webhook:
    """Return a webhook about our message, signed now."""
    about: dict[str, Any] = {"at": NOW, "sms_id": SMS_ID, "custom_args": CUSTOM_ARGS}
    return WEBHOOKS.build(event, **about | options)


def call(hook: Webhook | None, *, now: float = NOW, method: str = "POST", **more: Any) -> ReceiptRequest:
    """Return the request that delivers a webhook."""
    url, message_id = "https://otp.example.com/v1/receipts/aurora", more.pop("message_id", None)
    body, content_type = (hook.body, hook.content_type) if hook else (b"", "")
    return ReceiptRequest(method, url, message_id, now, content_type=content_type, body=body, **more)


def events(hook: Webhook | None, **options: Any) -> Sequence[GatewayEvent]:
    """Parse a webhook with the key of the account."""
    return parse_webhook(call(hook, **options), Secret(APP_KEY))


def parsed(hook: Webhook | None, **options: Any) -> Sequence[Receipt]:
    """Parse a webhook, and return its receipts."""
    return [event for event in events(hook, **options) if isinstance(event, Receipt)]


def fields_of(hook: Webhook) -> dict[str, Any]:
    """Return the fields of a webhook."""
    if hook.content_type == "application/json":
        decoded: dict[str, Any] = json.loads(hook.body)
        return decoded
    return dict(parse_qsl(hook.body.decode()))


def json_webhook(fields: dict[str, Any]) -> Webhook:
    """Return a webhook with these fields, as JSON."""
    return Webhook(json.dumps(fields).encode(), "application/json")


EVENTS = [
    ("request", None),
    ("Requested", None),
    ("deliver", DeliveryStatus.DELIVERED),
    ("Delivered", DeliveryStatus.DELIVERED),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("event", "status"), EVENTS)
def test_event_is_recognized_by_either_name(event: str, status: DeliveryStatus | None, form: Form) -> None:
    """JSON and forms give a receipt with our id, the gateway's id without the number, and the token."""
    hook = signed_webhook(event, form=form)
    token = fields_of(hook)["token"]

    expected = Receipt(
        "v1-ABC_7", status, None, provider_message_id="1796000000500_19999_0_29999_qrwnpq", to=NUMBER, nonce=token
    )
    assert parsed(hook) == [expected]


@pytest.mark.parametrize("phone", ["+6281210100055", "0062 812-1010-0055"])
def test_number_of_an_event_in_another_spelling(phone: str) -> None:
    """The number is that of the message, whose digits begin with the country code."""
    assert [
        receipt.to for receipt in parsed(signed_webhook("deliver", phone=phone)) if isinstance(receipt, Receipt)
    ] == [NUMBER]


CODES = {
    "recipient_blocked": [410, 420, 430, 520],
    "recipient_invalid": [500],
    "content_rejected": [440, 450, 460, 550],
    "transient": [510, 530, 540, 560, 570, 580, 590],
}


@pytest.mark.parametrize(("code", "error"), [(code, name) for name, codes in CODES.items() for code in codes])
def test_each_failure_code_has_its_outcome(code: int, error: str) -> None:
    """A code has one outcome for every failure event; without `phone` the number comes from the message id."""
    for event, form in (("workererror", "json"), ("Suppressed", "form"), ("delivererror", "form"), ("Failed", "json")):
        [receipt] = parsed(signed_webhook(event, status_code=code, form=form))
        assert (receipt.status, receipt.error) == (DeliveryStatus.UNDELIVERED, Outcome(error))
        assert receipt.to == NUMBER


def test_result_code_table_has_no_untested_codes() -> None:
    """Every code in the table is covered by a test."""
    assert EVENT_ERRORS.keys() == {code for codes in CODES.values() for code in codes}


@pytest.mark.parametrize("code", [490, 0, "x", None, [1]])
def test_unlisted_failure_code_is_transient(code: object) -> None:
    """An unlisted code is undelivered and transient: another gateway may be used."""
    [receipt] = parsed(signed_webhook("Failed", status_code=590, statusCode=code))
    assert (receipt.status, receipt.error) == (DeliveryStatus.UNDELIVERED, Outcome.TRANSIENT)


def test_event_number_is_ignored() -> None:
    """The event is recognized by its name, because the two editions of the page number events differently."""
    [receipt] = parsed(signed_webhook("Failed", status_code=500, eventType=20))
    assert receipt.status is DeliveryStatus.UNDELIVERED


@pytest.mark.parametrize("event", ["reply", "templateVerify", "Template Verify"])
def test_other_events_give_no_receipt(event: str) -> None:
    """An authentic event of another kind gives no receipt; a forged one is refused."""
    assert parsed(signed_webhook(event)) == []
    with pytest.raises(ReceiptForged):
        parsed(signed_webhook(event, forged=True))


@pytest.mark.parametrize(
    "custom", [{}, None, "", "{", '{"message_id":7}', {"message_id": "a b"}, {"message_id": "x" * 37}]
)
def test_webhook_without_our_message_id(custom: object) -> None:
    """A webhook without our id in its custom arguments gives no receipt, unless the token of the URL names one."""
    hook = signed_webhook(customArgs=custom)
    assert parsed(hook) == []
    assert [receipt.message_id for receipt in parsed(hook, message_id="v1-ABC_7")] == ["v1-ABC_7"]


def test_url_and_body_must_name_the_same_message() -> None:
    """A webhook about another message than the URL's gives no receipt."""
    assert parsed(signed_webhook(), message_id="v2") == []
    assert len(parsed(signed_webhook(), message_id="v1-ABC_7")) == 1


@pytest.mark.parametrize("form", FORMS)
def test_forged_webhook_is_refused(form: Form) -> None:
    """A wrong key, or a missing or changed signature, token or timestamp, is refused."""
    fields = fields_of(signed_webhook(form=form))
    changes: list[dict[str, Any]] = [
        {"signature": None},
        {"signature": ""},
        {"signature": "0" * 64},
        {"signature": fields["signature"][:-1]},
        {"signature": "ü" * 64},
        {"signature": True},
        {"token": None},
        {"token": fields["token"][::-1]},
        {"timestamp": None},
        {"timestamp": int(fields["timestamp"]) + 1},
        {"timestamp": float(int(fields["timestamp"])) + 0.5},
        {"timestamp": f" {fields['timestamp']}"},
    ]
    for change in changes:
        changed = {name: value for name, value in (fields | change).items() if value is not None}
        body = urlencode(changed).encode() if form == "form" else json.dumps(changed).encode()
        with pytest.raises(ReceiptForged):
            parsed(Webhook(body, ""))
    with pytest.raises(ReceiptForged):
        parsed(signed_webhook(form=form, forged=True))


def test_digits_cannot_move_between_timestamp_and_token() -> None:
    """The signature covers both as one string, so a moved boundary must give an invalid timestamp."""
    token = "7" + "a" * 49
    timestamp = str(int(NOW * 1000))
    signature = webhook_signature(Secret(APP_KEY), timestamp, token)
    body = {"event": "Delivered", "customArgs": CUSTOM_ARGS, "signature": signature}

    assert len(parsed(json_webhook(body | {"timestamp": timestamp, "token": token}))) == 1
    for moved in (
        {"timestamp": timestamp + "7", "token": "a" * 49},
        {"timestamp": timestamp[:-1], "token": "0" + token},
    ):
        with pytest.raises(ReceiptForged):
            parsed(json_webhook(body | moved))


@pytest.mark.parametrize(
    ("age", "accepted"), [(0, True), (48 * 3600, True), (48 * 3600 + 1, False), (-300, True), (-301, False)]
)
def test_age_limits_of_a_webhook(age: float, accepted: bool) -> None:
    """A webhook may be 48 hours old, for retries, and 5 minutes ahead, for clock skew."""
    if accepted:
        assert len(parsed(signed_webhook(), now=NOW + age)) == 1
    else:
        with pytest.raises(ReceiptForged):
            parsed(signed_webhook(), now=NOW + age)


def test_last_retry_is_accepted() -> None:
    """The last of seven retries, with the same bytes, is accepted."""
    assert len(parsed(signed_webhook(), now=NOW + sum(RETRIES_AFTER_SECONDS) + len(RETRIES_AFTER_SECONDS) * 3)) == 1


def test_duplicate_webhook_has_the_same_token() -> None:
    """A duplicate is recognized by its token; another event has another token."""
    hook, other = signed_webhook("Failed", status_code=590), signed_webhook()
    [first], [again], [another] = parsed(hook), parsed(hook), parsed(other)
    assert first == again
    assert first.nonce == again.nonce != another.nonce


def test_out_of_order_webhooks_are_parsed_separately() -> None:
    """A "requested" event after the delivery has no status."""
    late, early = signed_webhook("Delivered"), signed_webhook("Requested", at=NOW - 20)
    assert [receipt.status for hook in (late, early) for receipt in parsed(hook)] == [DeliveryStatus.DELIVERED, None]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "HEAD"])
@pytest.mark.parametrize("body", [b"", b" \r\n", b"{}", b"{ }"])
def test_call_without_fields_is_accepted(method: str, body: bytes) -> None:
    """A call without fields is a test of the URL, and is not refused."""
    assert parsed(Webhook(body, ""), method=method) == []


def test_call_with_fields_must_be_signed() -> None:
    """Fields in the query or the body must be signed; a signed query is accepted."""
    with pytest.raises(ReceiptForged):
        parsed(None, method="GET", query=[("event", "Delivered")])
    with pytest.raises(ReceiptForged):
        parsed(Webhook(b"test", ""))
    with pytest.raises(ReceiptForged):
        parsed(json_webhook({"event": "test"}))
    signed = fields_of(signed_webhook(form="form"))
    assert len(parsed(None, method="GET", query=list(signed.items()))) == 1


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"[1]", b"\xff\xfe", b'{"a":' + b"[" * 9000, b'{"timestamp":' + b"9" * 9000 + b"}"]
)
def test_unreadable_body_gives_no_receipt(body: bytes) -> None:
    """A body that cannot be read gives no receipt."""
    assert parsed(Webhook(body, "application/json")) == []


@pytest.mark.parametrize("odd", [7, 1.5, None, [], {}, [[]], "[", "[]", '{"a":1}', "+62 812-1010-0055"])
def test_malformed_ids_and_numbers_are_ignored(odd: object) -> None:
    """A malformed id or number still gives a receipt, without it."""
    for event in ("Requested", "Delivered"):
        [receipt] = parsed(signed_webhook(event, smsId=odd, smsIds=odd, phone=odd, phones=odd))
        assert receipt.message_id == "v1-ABC_7"
        assert not receipt.to or receipt.to.isdigit()
        assert "$" not in receipt.provider_message_id


async def test_simulator_delivers_a_webhook() -> None:
    """A webhook arrives byte for byte, and the simulator sees the status of the receiver."""
    received: list[bytes] = []

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        received.append(head.split(b" ")[0] + b" " + await reader.readexactly(length))
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    hook = signed_webhook(form="form")
    async with await asyncio.start_server(receive, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/receipts/aurora"
        assert [
            await sendcloud_webhooks.send_webhook(url, hook),
            await sendcloud_webhooks.send_webhook(url, method="GET"),
        ] == [401, 401]
    assert received == [b"POST " + hook.body, b"GET "]
