"""Hooks of Aurora SendCloud: which are believed, and what they say of a message."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode

import pytest

from otp_service.domain.message import Receipt, ReceiptForged, ReceiptRequest
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.http_client import GatewayClient
from otp_service.providers.sendcloud.adapter import Sendcloud, SendcloudAccount
from otp_service.providers.sendcloud.result_codes import EVENT_ERRORS
from otp_service.providers.sendcloud.webhook import parse_webhook, webhook_signature
from otp_service.sandbox.simulators import sendcloud_hooks
from otp_service.sandbox.simulators.sendcloud_hooks import RETRIES_AFTER_SECONDS, Hook, HookWriter
from tests.providers.sendcloud_kit import NOW

APP_KEY = "app key ü"
HOOKS = HookWriter(APP_KEY)
NUMBER = "6281210100055"
SMS_ID = f"1796000000500_19999_0_29999_qrwnpq${NUMBER}"
OURS = '{"message_id":"v1-ABC_7"}'
Form = Literal["json", "form"]
FORMS: list[Form] = ["json", "form"]


def write(event: str = "Delivered", **options: Any) -> Hook:
    """Write a hook of now about our message."""
    about: dict[str, Any] = {"at": NOW, "sms_id": SMS_ID, "custom_args": OURS}
    return HOOKS.write(event, **about | options)


def call(hook: Hook | None, *, now: float = NOW, method: str = "POST", **more: Any) -> ReceiptRequest:
    """Make the call that a hook arrives as."""
    url, ours = "https://otp.example.com/v1/receipts/aurora", more.pop("message_id", None)
    body, content_type = (hook.body, hook.content_type) if hook else (b"", "")
    return ReceiptRequest(method, url, ours, now, content_type=content_type, body=body, **more)


def read(hook: Hook | None, **options: Any) -> Sequence[Receipt]:
    """Read a hook with the account's key."""
    return parse_webhook(call(hook, **options), Secret(APP_KEY))


def fields_of(hook: Hook) -> dict[str, Any]:
    """Read what a hook carries."""
    if hook.content_type == "application/json":
        decoded: dict[str, Any] = json.loads(hook.body)
        return decoded
    return dict(parse_qsl(hook.body.decode()))


def raw(fields: dict[str, Any]) -> Hook:
    """Write fields as they are."""
    return Hook(json.dumps(fields).encode(), "application/json")


EVENTS = [
    ("request", None),
    ("Requested", None),
    ("deliver", DeliveryStatus.DELIVERED),
    ("Delivered", DeliveryStatus.DELIVERED),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("event", "status"), EVENTS)
def test_an_event_by_either_of_its_names(event: str, status: DeliveryStatus | None, form: Form) -> None:
    """JSON and form, values plain or as JSON in strings: our id, the gateway's without the number, the token once."""
    hook = write(event, form=form)
    token = fields_of(hook)["token"]

    expected = Receipt(
        "v1-ABC_7", status, None, provider_message_id="1796000000500_19999_0_29999_qrwnpq", to=NUMBER, once=token
    )
    assert read(hook) == [expected]


CODES = {
    "recipient_blocked": [410, 420, 430, 520],
    "recipient_invalid": [500],
    "content_rejected": [440, 450, 460, 550],
    "transient": [510, 530, 540, 560, 570, 580, 590],
}


@pytest.mark.parametrize(("code", "error"), [(code, name) for name, codes in CODES.items() for code in codes])
def test_every_reason_has_its_outcome(code: int, error: str) -> None:
    """Under each name of a failure, as a number and as text; the number is that of the id where none stands."""
    for event, form in (("workererror", "json"), ("Suppressed", "form"), ("delivererror", "form"), ("Failed", "json")):
        [receipt] = read(write(event, status_code=code, form=form))
        assert (receipt.status, receipt.error) == (DeliveryStatus.UNDELIVERED, Outcome(error))
        assert receipt.to == NUMBER


def test_the_table_has_no_other_reasons() -> None:
    """What is in the table is tested."""
    assert EVENT_ERRORS.keys() == {code for codes in CODES.values() for code in codes}


@pytest.mark.parametrize("code", [490, 0, "x", None, [1]])
def test_a_reason_that_nobody_has_written_down(code: object) -> None:
    """It is undelivered, and another gateway may be asked."""
    [receipt] = read(write("Failed", status_code=590, statusCode=code))
    assert (receipt.status, receipt.error) == (DeliveryStatus.UNDELIVERED, Outcome.TRANSIENT)


def test_the_name_decides_and_not_the_number_of_the_event() -> None:
    """The two pages number them differently."""
    [receipt] = read(write("Failed", status_code=500, eventType=20))
    assert receipt.status is DeliveryStatus.UNDELIVERED


@pytest.mark.parametrize("event", ["reply", "templateVerify", "Template Verify"])
def test_what_is_not_about_a_message_of_ours(event: str) -> None:
    """It is authentic, and says nothing; forged it is refused all the same."""
    assert read(write(event)) == []
    with pytest.raises(ReceiptForged):
        read(write(event, forged=True))


@pytest.mark.parametrize(
    "custom", [{}, None, "", "{", '{"message_id":7}', {"message_id": "a b"}, {"message_id": "x" * 37}]
)
def test_a_message_that_is_not_ours(custom: object) -> None:
    """Without our id among the custom arguments there is nothing to note, unless the address proves one."""
    hook = write(customArgs=custom)
    assert read(hook) == []
    assert [receipt.message_id for receipt in read(hook, message_id="v1-ABC_7")] == ["v1-ABC_7"]


def test_an_address_and_a_body_that_disagree() -> None:
    """A hook at the address of one message about another says nothing."""
    assert read(write(), message_id="v2") == []
    assert len(read(write(), message_id="v1-ABC_7")) == 1


@pytest.mark.parametrize("form", FORMS)
def test_forged_hooks(form: Form) -> None:
    """Another's key, no signature, no token, no time, or any of them changed: all are refused."""
    fields = fields_of(write(form=form))
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
            read(Hook(body, ""))
    with pytest.raises(ReceiptForged):
        read(write(form=form, forged=True))


def test_time_and_token_cannot_trade_digits() -> None:
    """The signature is over both in one string; a boundary that moved makes a time that is none."""
    token = "7" + "a" * 49
    timestamp = str(int(NOW * 1000))
    signature = webhook_signature(Secret(APP_KEY), timestamp, token)
    body = {"event": "Delivered", "customArgs": OURS, "signature": signature}

    assert len(read(raw(body | {"timestamp": timestamp, "token": token}))) == 1
    for moved in (
        {"timestamp": timestamp + "7", "token": "a" * 49},
        {"timestamp": timestamp[:-1], "token": "0" + token},
    ):
        with pytest.raises(ReceiptForged):
            read(raw(body | moved))


@pytest.mark.parametrize(
    ("age", "believed"), [(0, True), (48 * 3600, True), (48 * 3600 + 1, False), (-300, True), (-301, False)]
)
def test_how_old_a_hook_may_be(age: float, believed: bool) -> None:
    """48 hours back, for the retries, and 5 minutes ahead, for the clocks."""
    if believed:
        assert len(read(write(), now=NOW + age)) == 1
    else:
        with pytest.raises(ReceiptForged):
            read(write(), now=NOW + age)


def test_the_last_retry_is_still_believed() -> None:
    """Seven of them, the same bytes each time."""
    assert len(read(write(), now=NOW + sum(RETRIES_AFTER_SECONDS) + len(RETRIES_AFTER_SECONDS) * 3)) == 1


def test_a_doubled_hook_carries_its_token_again() -> None:
    """That is how whoever writes receipts down knows it; a retry of another event has another token."""
    hook, other = write("Failed", status_code=590), write()
    [first], [again], [another] = read(hook), read(hook), read(other)
    assert first == again
    assert first.once == again.once != another.once


def test_hooks_out_of_order_are_read_one_by_one() -> None:
    """A request's own event may come after its delivery; it says nothing then either."""
    late, early = write("Delivered"), write("Requested", at=NOW - 20)
    assert [receipt.status for hook in (late, early) for receipt in read(hook)] == [DeliveryStatus.DELIVERED, None]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "HEAD"])
@pytest.mark.parametrize("body", [b"", b" \r\n", b"{}", b"{ }"])
def test_the_pages_test_calls(method: str, body: bytes) -> None:
    """What carries nothing is a test of the address, and wants a 200."""
    assert read(Hook(body, ""), method=method) == []


def test_a_call_that_carries_anything_is_signed() -> None:
    """In its query as in its body; a query that is signed is read."""
    with pytest.raises(ReceiptForged):
        read(None, method="GET", query=[("event", "Delivered")])
    with pytest.raises(ReceiptForged):
        read(Hook(b"test", ""))
    with pytest.raises(ReceiptForged):
        read(raw({"event": "test"}))
    signed = fields_of(write(form="form"))
    assert len(read(None, method="GET", query=list(signed.items()))) == 1


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"[1]", b"\xff\xfe", b'{"a":' + b"[" * 9000, b'{"timestamp":' + b"9" * 9000 + b"}"]
)
def test_a_body_that_cannot_be_read(body: bytes) -> None:
    """It is no receipt."""
    assert read(Hook(body, "application/json")) == []


@pytest.mark.parametrize("odd", [7, 1.5, None, [], {}, [[]], "[", "[]", '{"a":1}', "+62 812-1010-0055"])
def test_odd_values_do_not_break_it(odd: object) -> None:
    """Whatever stands where an id or a number is expected."""
    for event in ("Requested", "Delivered"):
        [receipt] = read(write(event, smsId=odd, smsIds=odd, phone=odd, phones=odd))
        assert receipt.message_id == "v1-ABC_7"
        assert not receipt.to or receipt.to.isdigit()
        assert "$" not in receipt.provider_message_id


async def test_without_a_key_nothing_is_believed() -> None:
    """Not even a test call."""
    provider = Sendcloud("aurora", SendcloudAccount("http://x", "u", Secret("k"), template_id=1), GatewayClient(1.0))
    for hook in (None, write(), write(forged=True)):
        with pytest.raises(ReceiptForged) as refused:
            provider.parse_receipts(call(hook))
        assert str(refused.value) == ""
    await provider.close()


async def test_the_adapter_reads_with_its_own_key() -> None:
    """The APP KEY, not the key of the sends."""
    account = SendcloudAccount("http://x", "u", Secret("k"), template_id=1, hook_key=Secret(APP_KEY))
    provider = Sendcloud("aurora", account, GatewayClient(1.0))
    assert len(provider.parse_receipts(call(write()))) == 1
    with pytest.raises(ReceiptForged):
        provider.parse_receipts(call(HookWriter("k").write("Delivered", at=NOW, sms_id=SMS_ID)))
    await provider.close()


async def test_the_simulator_calls_a_receiver() -> None:
    """What it sends arrives as it was written, and the receiver's status comes back."""
    seen: list[bytes] = []

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        seen.append(head.split(b" ")[0] + b" " + await reader.readexactly(length))
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    hook = write(form="form")
    async with await asyncio.start_server(receive, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/receipts/aurora"
        assert [await sendcloud_hooks.call(url, hook), await sendcloud_hooks.call(url, method="GET")] == [401, 401]
    assert seen == [b"POST " + hook.body, b"GET "]
