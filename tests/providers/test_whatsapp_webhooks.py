"""WhatsApp's webhook: signatures, the check of the URL, and what each status means."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from otp_service.domain.message import Receipt, ReceiptForged, ReceiptRequest
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.whatsapp.webhook import answer_url_check, parse_webhook, webhook_signature
from otp_service.providers.whatsapp.wire import hashed_id
from otp_service.sandbox.simulators.whatsapp import WhatsappMessage, WhatsappSimulator
from tests.providers.test_whatsapp_requests import ROWS
from tests.providers.whatsapp_provider import MESSAGE_ID, VERIFY_TOKEN, as_call, signed_call, whatsapp_config

GATEWAY = WhatsappSimulator(clock=lambda: 1_764_000_000.0)
WAMID = "wamid.HBgNNjI4MTIxMDEwMDA1NRUCABEYEg=="
DOCUMENTED: dict[str, Any] = {
    "id": WAMID,
    "status": "delivered",
    "timestamp": "1764000000",
    "recipient_id": "6281210100055",
    "biz_opaque_callback_data": MESSAGE_ID,
}


def receipts_of(*statuses: Any, **options: Any) -> list[Receipt]:
    """Return what is read of a signed call with these statuses."""
    return list(parse_webhook(as_call(GATEWAY.status_webhook(*statuses, **options)), whatsapp_config()))


def test_signature_is_hmac_sha256() -> None:
    """RFC 4231's test case 2. Meta's own pages publish no example with its secret."""
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert webhook_signature(Secret("Jefe"), b"what do ya want for nothing?") == f"sha256={expected}"


@pytest.mark.parametrize(
    ("status", "expected"),
    [("sent", None), ("delivered", DeliveryStatus.DELIVERED), ("read", DeliveryStatus.DELIVERED)],
)
def test_status_without_error(status: str, expected: DeliveryStatus | None) -> None:
    """A message that was read was delivered; `sent` changes nothing."""
    assert receipts_of(DOCUMENTED | {"status": status}) == [
        Receipt(MESSAGE_ID, expected, provider_message_id=hashed_id(WAMID))
    ]


@pytest.mark.parametrize(("code", "outcome"), ROWS)
def test_each_code_explains_a_failed_message(code: int, outcome: str) -> None:
    """The codes of refusals are also the reasons of failed messages; a code may be a string."""
    for value in (code, str(code)):
        [receipt] = receipts_of(DOCUMENTED | {"status": "failed", "errors": [{"code": value, "title": "x"}]})
        assert (receipt.status, receipt.error) == (DeliveryStatus.UNDELIVERED, Outcome(outcome))


@pytest.mark.parametrize("errors", [None, [], {}, [{}], [7], [{"code": None}], [{"code": 1}], [{"code": 139000}]])
def test_unknown_reason_is_transient(errors: Any) -> None:
    """A failed message without a listed code goes to the next provider; the first listed one decides."""
    failed = DOCUMENTED | {"status": "failed", "errors": errors}
    [receipt] = receipts_of(failed)
    assert (receipt.status, receipt.error) == (DeliveryStatus.UNDELIVERED, Outcome.TRANSIENT)
    if isinstance(errors, list):
        [receipt] = receipts_of(failed | {"errors": [*errors, {"code": 131026}, {"code": 131042}]})
        assert receipt.error is Outcome.DESTINATION_UNSUPPORTED


@pytest.mark.parametrize(
    "change",
    [
        {"biz_opaque_callback_data": None},
        {"biz_opaque_callback_data": 7},
        {"biz_opaque_callback_data": "not an id"},
        {"biz_opaque_callback_data": "x" * 37},
        {"status": "deleted"},
        {"status": ["delivered"]},
        {"status": None},
    ],
)
def test_status_that_is_not_ours_is_ignored(change: dict[str, Any]) -> None:
    """Without our message id, or with another status, there is no receipt; other statuses of the call count."""
    assert receipts_of(DOCUMENTED | change) == []
    assert len(receipts_of(DOCUMENTED | change, 7, DOCUMENTED)) == 1


def test_other_numbers_of_the_app_are_ignored() -> None:
    """One app has one webhook for all of its numbers."""
    assert receipts_of(DOCUMENTED, phone_number_id="999999999999999") == []


def test_status_of_another_message_than_the_url_names() -> None:
    """With a token in the URL, only its message counts."""
    webhook = GATEWAY.status_webhook(DOCUMENTED, DOCUMENTED | {"biz_opaque_callback_data": "v2"})
    receipts = parse_webhook(as_call(webhook, message_id="v2"), whatsapp_config())
    assert [receipt.message_id for receipt in receipts] == ["v2"]


def test_several_entries_are_read_up_to_a_bound() -> None:
    """Meta batches events; at most 10,000 statuses of a call are read."""
    body = json.loads(GATEWAY.status_webhook(DOCUMENTED).body)
    [entry] = body["entry"]
    [change] = entry["changes"]
    other = {"field": "messages", "value": {"metadata": {"phone_number_id": "1"}, "statuses": [DOCUMENTED]}}
    entry["changes"] = [{"field": "account_update", "value": change["value"]}, other, 7, change, change]
    body["entry"] = [entry, None, {"changes": None}, entry]
    assert len(parse_webhook(signed_call(json.dumps(body)), whatsapp_config())) == 4
    assert len(receipts_of(*[DOCUMENTED] * 10_001)) == 10_000


@pytest.mark.parametrize(
    "body",
    ["", "{}", "[]", "7", "null", "{", '{"entry": 7}', '{"entry": [[]]}', '{"entry": [{"changes": [{"value": 7}]}]}',
     '{"entry": [{"changes": [{"field": "messages", "value": {"metadata": 7, "statuses": [{}]}}]}]}', b"\xff\xfe{"],
)  # fmt: skip
def test_signed_bodies_without_statuses_give_no_receipt(body: str | bytes) -> None:
    """What is authentic and not a status is accepted, so that Meta does not repeat it for days."""
    assert parse_webhook(signed_call(body), whatsapp_config()) == []


def test_only_the_right_signature_is_authentic() -> None:
    """A changed body, another secret, another algorithm, a cut or a missing signature are forged."""
    webhook = GATEWAY.status_webhook(DOCUMENTED)
    good = webhook.headers["X-Hub-Signature-256"]
    config = whatsapp_config()
    assert len(parse_webhook(as_call(webhook), config)) == 1
    assert len(parse_webhook(as_call(webhook, headers={"x-hub-signature-256": good.upper()}), config)) == 1
    forged = [
        as_call(webhook, body=webhook.body.replace(b"delivered", b"failed")),
        as_call(webhook, body=webhook.body + b"\n"),
        as_call(webhook, body=json.dumps(json.loads(webhook.body)).encode()),
        as_call(webhook, headers={"x-hub-signature-256": good.removeprefix("sha256=")}),
        as_call(webhook, headers={"x-hub-signature-256": good.replace("sha256", "sha1")}),
        as_call(webhook, headers={"x-hub-signature-256": good[:-1]}),
        as_call(webhook, headers={"x-hub-signature-256": "sha256=é\udcff"}),
        as_call(webhook, headers={"x-hub-signature": good}),
        as_call(webhook, headers={}),
        signed_call(webhook.body, "another secret"),
    ]
    for call in forged:
        with pytest.raises(ReceiptForged):
            parse_webhook(call, config)
    with pytest.raises(ReceiptForged):
        parse_webhook(as_call(webhook), whatsapp_config(app_secret=None, verify_token=None))


CHECK = (("hub.mode", "subscribe"), ("hub.challenge", "1158201444"), ("hub.verify_token", VERIFY_TOKEN))


def url_check(*query: tuple[str, str]) -> ReceiptRequest:
    """Return a GET with this query."""
    return dataclasses.replace(signed_call(""), method="GET", query=query)


def test_url_check_is_answered_with_the_challenge() -> None:
    """Meta's documented example, with our verify token, in any order."""
    for query in (CHECK, CHECK[::-1], (*CHECK, ("more", "1"))):
        assert answer_url_check(url_check(*query), whatsapp_config()) == "1158201444"


@pytest.mark.parametrize(
    "query",
    [
        (),
        CHECK[:2],
        CHECK[1:],
        (CHECK[0], CHECK[2]),
        (*CHECK[:2], ("hub.verify_token", "another")),
        (*CHECK[:2], ("hub.verify_token", "")),
        (*CHECK[:2], ("hub.verify_token", "é\udcff")),
        (("hub.mode", "unsubscribe"), *CHECK[1:]),
        (CHECK[0], ("hub.challenge", "<script>"), CHECK[2]),
        (CHECK[0], ("hub.challenge", "1\r\n"), CHECK[2]),
        (CHECK[0], ("hub.challenge", "1" * 257), CHECK[2]),
        (*CHECK, CHECK[1]),
    ],
)
def test_other_url_checks_are_forged(query: tuple[tuple[str, str], ...]) -> None:
    """A wrong or missing token, another mode, a repeated member, and a challenge that is no plain token."""
    with pytest.raises(ReceiptForged):
        answer_url_check(url_check(*query), whatsapp_config())


def test_url_check_needs_a_verify_token() -> None:
    """Without one in the config, an empty token does not match."""
    with pytest.raises(ReceiptForged):
        answer_url_check(url_check(*CHECK[:2], ("hub.verify_token", "")), whatsapp_config(verify_token=None))


def test_simulator_builds_the_documented_status() -> None:
    """The members of Meta's "Status messages webhook reference", with slashes escaped."""
    at = GATEWAY._clock()
    message = WhatsappMessage(WAMID, "6281210100055", "", "123456", "otp_code", "id", MESSAGE_ID, None)  # type: ignore[arg-type]  # its time is not read
    body = GATEWAY.status_webhook(GATEWAY.status_of(message, "failed", 131026)).body.decode()
    assert at == 1_764_000_000.0
    assert body == (
        '{"object":"whatsapp_business_account","entry":[{"id":"102290129340398","changes":[{"value":'
        '{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550783881",'
        '"phone_number_id":"106540352242922"},"statuses":[{"id":"' + WAMID + '","status":"failed",'
        '"timestamp":"1764000000","recipient_id":"6281210100055","biz_opaque_callback_data":"v1-ABC_7",'
        '"errors":[{"code":131026,"title":"Error 131026","message":"Error 131026","error_data":'
        '{"details":"Refused"},"href":"\\/documentation\\/business-messaging\\/whatsapp\\/support\\/error-codes"}]}]},'
        '"field":"messages"}]}]}'
    )
