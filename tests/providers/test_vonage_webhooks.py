"""Delivery receipts of Vonage: their forms, statuses and error codes, and that only authentic ones are accepted."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from otp_service.domain.message import Receipt, ReceiptForged, ReceiptRequest
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.secret import Secret
from otp_service.providers.vonage.config import VonageConfig
from otp_service.providers.vonage.result_codes import RECEIPT_ERRORS
from otp_service.providers.vonage.webhook import parse_webhook
from otp_service.sandbox.simulators.receipt_sender import Webhook
from tests.providers.vonage_provider import (
    MESSAGE_ID,
    NOW,
    PART_ID,
    SIGNATURE_SECRET,
    TO,
    as_call,
    receipt,
    vonage_config,
)

DELIVERED, UNDELIVERED = DeliveryStatus.DELIVERED, DeliveryStatus.UNDELIVERED
DIGITS: Final = TO.removeprefix("+")
UNSIGNED: Final = vonage_config()


def signed_config(**account: Any) -> VonageConfig:
    """Return a config that accepts signed receipts only."""
    return vonage_config(signature_secret=Secret(SIGNATURE_SECRET), **account)


def parse_signed(webhook: Webhook, message_id: str | None = None, now: float = NOW, **account: Any) -> list[Receipt]:
    """Parse a receipt that must be signed."""
    return list(parse_webhook(as_call(webhook, message_id=message_id, now=now), signed_config(**account)))


@pytest.mark.parametrize("form", ["json", "form", "query"])
@pytest.mark.parametrize("method", ["md5hash", "md5", "sha1", "sha256", "sha512"])
def test_signed_receipts_in_every_form(form: Any, method: Any) -> None:
    """By GET, as a form and as JSON, with each method; the signature is the nonce."""
    [found] = parse_signed(receipt(form=form, method=method), signature_method=method)
    assert found.nonce
    assert found == Receipt(MESSAGE_ID, DELIVERED, None, PART_ID, DIGITS, found.nonce, PART_ID)


@pytest.mark.parametrize("form", ["json", "form", "query"])
def test_unsigned_receipts_need_the_token(form: Any) -> None:
    """Without signatures, the token in the URL gives the message; without a token the call is forged."""
    webhook = receipt(form=form, secret="")
    expected = Receipt(MESSAGE_ID, DELIVERED, None, PART_ID, DIGITS, part=PART_ID)
    assert list(parse_webhook(as_call(webhook, message_id=MESSAGE_ID), UNSIGNED)) == [expected]
    without = receipt(form=form, secret="", client_ref=None)
    assert list(parse_webhook(as_call(without, message_id=MESSAGE_ID), UNSIGNED)) == [expected]
    with pytest.raises(ReceiptForged):
        parse_webhook(as_call(webhook), UNSIGNED)


def test_a_token_may_authenticate_receipts_of_an_account_that_signs_requests() -> None:
    """With `receipts = "token"`, signed requests do not require signed receipts."""
    config = signed_config(auth="signature", receipts="token")
    [found] = parse_webhook(as_call(receipt(secret=""), message_id=MESSAGE_ID), config)
    assert (found.status, found.nonce) == (DELIVERED, "")


FORGED: Final[dict[str, tuple[Webhook, str | None, float]]] = {
    "signed with another secret": (receipt(forged=True), None, NOW),
    "not signed": (receipt(secret=""), None, NOW),
    "not signed, with a token": (receipt(secret=""), MESSAGE_ID, NOW),
    "another method": (receipt(method="sha256"), None, NOW),
    "late": (receipt(), None, NOW + 301),
    "from the future": (receipt(), None, NOW - 301),
    "without a timestamp": (receipt(timestamp=None), None, NOW),
    "timestamp in milliseconds": (receipt(timestamp=str(int(NOW * 1000))), None, NOW),
    "timestamp not a number": (receipt(timestamp="now"), None, NOW),
    "replayed at the URL of another message": (receipt(), "v1-other", NOW),
    "a body that cannot be read": (Webhook(b"[1]", "application/json"), MESSAGE_ID, NOW),
    "an empty call": (Webhook(b"", ""), MESSAGE_ID, NOW),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_receipts(name: str) -> None:
    """A receipt that is not authentic is refused before anything of it is used."""
    webhook, message_id, now = FORGED[name]
    with pytest.raises(ReceiptForged):
        parse_signed(webhook, message_id, now)


@pytest.mark.parametrize("changed", [b"failed", b"delivereD", b"delivered%26"])
def test_a_changed_receipt_is_forged(changed: bytes) -> None:
    """The signature covers every parameter, in the case in which it was sent."""
    webhook = receipt(form="form")
    with pytest.raises(ReceiptForged):
        parse_signed(Webhook(webhook.body.replace(b"delivered", changed), webhook.content_type))


@pytest.mark.parametrize("more", [b"&status=failed", b"&client-ref=v1-other", b"&x=y", b"&sig=0"])
def test_an_added_or_repeated_parameter_is_forged(more: bytes) -> None:
    """A parameter is neither added to a signed receipt nor given twice."""
    webhook = receipt(form="form")
    with pytest.raises(ReceiptForged):
        parse_signed(Webhook(webhook.body + more, webhook.content_type))


def test_merged_parameters_are_forged() -> None:
    """Parameters that are hidden in the name of another one have the same signed text, and are refused."""
    fields = json.loads(receipt().body)
    status = fields.pop("status")
    [before] = [name for name in sorted([*fields, "status"]) if name > "scts"][:1]
    assert before == "sig"  # which is not signed: `status` follows `scts` in the signed text
    fields[f"scts={fields.pop('scts')}&status"] = status
    with pytest.raises(ReceiptForged):
        parse_signed(Webhook(json.dumps(fields).encode(), "application/json"))


@pytest.mark.parametrize("off", [-300, 0, 300])
def test_the_timestamp_may_differ_by_the_window(off: int) -> None:
    """The window is 300 seconds in both directions, and can be changed."""
    assert parse_signed(receipt(at=int(NOW)), now=int(NOW) + off)
    assert parse_signed(receipt(at=int(NOW)), now=int(NOW) + 12 * off, receipt_window_seconds=3600)


def test_a_repeated_receipt_is_the_same_receipt() -> None:
    """The gateway repeats a call whose answer was lost, byte for byte: both have the same nonce."""
    webhook = receipt()
    assert parse_signed(webhook) == parse_signed(webhook, MESSAGE_ID)


def test_a_signed_receipt_without_a_reference_needs_the_token() -> None:
    """Without `client-ref`, the token names the message; without both, the receipt is about no message of ours."""
    webhook = receipt(client_ref=None)
    assert [found.message_id for found in parse_signed(webhook, MESSAGE_ID)] == [MESSAGE_ID]
    assert parse_signed(webhook) == []


@pytest.mark.parametrize("reference", ["order 17", "x" * 37, "a/b"])
def test_a_foreign_reference_is_ignored(reference: str) -> None:
    """A reference that cannot be an id of ours, of another application of the account, is not an error."""
    with pytest.raises(ReceiptForged):
        parse_signed(receipt(client_ref=reference), MESSAGE_ID)
    assert parse_signed(receipt(client_ref=reference)) == []


STATUSES: Final[list[tuple[str, int, DeliveryStatus | None, Outcome | None]]] = [
    ("accepted", 0, None, None), ("buffered", 0, None, None), ("unknown", 0, None, None), ("unknown", 1, None, None),
    ("delivered", 0, DELIVERED, None), ("Delivered ", 0, DELIVERED, None), ("delivered", 1, None, None),
    ("expired", 0, UNDELIVERED, Outcome.TRANSIENT), ("failed", 0, UNDELIVERED, Outcome.TRANSIENT),
    ("rejected", 6, UNDELIVERED, Outcome.CONTENT_REJECTED), ("expired", 2, UNDELIVERED, Outcome.TRANSIENT),
    ("other", 0, None, None), ("failed", 98, UNDELIVERED, Outcome.TRANSIENT),
]  # fmt: skip


@pytest.mark.parametrize(("status", "code", "expected", "error"), STATUSES)
def test_statuses(status: str, code: int, expected: DeliveryStatus | None, error: Outcome | None) -> None:
    """Only `delivered` without an error, and the three failures, are final."""
    [found] = parse_signed(receipt(status, error_code=code))
    assert (found.status, found.error) == (expected, error)


ERRORS: Final[dict[int, tuple[Outcome, str]]] = {
    # each row: the outcome, and what "Delivery receipts" says of the code (* a source named in `result_codes`)
    1: (Outcome.TRANSIENT, "no reason could be determined"),
    2: (Outcome.TRANSIENT, "handset temporarily unavailable: retry"),
    3: (Outcome.RECIPIENT_INVALID, "number no longer active"),
    4: (Outcome.RECIPIENT_BLOCKED, "call barred by user, permanent"),
    5: (Outcome.TRANSIENT, "portability"),
    6: (Outcome.CONTENT_REJECTED, "anti-spam filter of the carrier"),
    7: (Outcome.TRANSIENT, "handset busy: retry"),
    8: (Outcome.TRANSIENT, "network error: retry"),
    9: (Outcome.RECIPIENT_BLOCKED, "user has requested not to receive messages"),
    10: (Outcome.CONTENT_REJECTED, "illegal message"),
    11: (Outcome.DESTINATION_UNSUPPORTED, "no suitable route"),
    12: (Outcome.DESTINATION_UNSUPPORTED, "no route to the number"),
    13: (Outcome.RECIPIENT_BLOCKED, "age restriction"),
    14: (Outcome.RECIPIENT_BLOCKED, "SMS not enabled in the plan"),
    15: (Outcome.TRANSIENT, "prepaid credit of the recipient"),
    16: (Outcome.FUNDS, "* quota of the gateway"),
    50: (Outcome.CONFIG_ERROR, "* entity filter"),
    51: (Outcome.CONFIG_ERROR, "* header filter"),
    52: (Outcome.CONTENT_REJECTED, "* content filter"),
    53: (Outcome.RECIPIENT_BLOCKED, "* consent filter"),
    54: (Outcome.CONFIG_ERROR, "* regulation"),
    99: (Outcome.TRANSIENT, "general error in the route"),
}


@pytest.mark.parametrize("code", range(100))
def test_every_error_code(code: int) -> None:
    """A listed code has its outcome; with any other one, another gateway may be used."""
    [found] = parse_signed(receipt("failed", error_code=code))
    assert (found.status, found.error) == (UNDELIVERED, ERRORS.get(code, (Outcome.TRANSIENT, ""))[0])
    assert {known: outcome for known, (outcome, _) in ERRORS.items()} == RECEIPT_ERRORS


def test_each_part_has_its_own_receipt() -> None:
    """The receipts of the parts name the same message and different ids of the gateway."""
    found = [parse_signed(receipt(message_id=part))[0] for part in ("0A01", "0A02")]
    assert [(one.message_id, one.provider_message_id) for one in found] == [(MESSAGE_ID, "0A01"), (MESSAGE_ID, "0A02")]
    assert found[0].nonce != found[1].nonce


@pytest.mark.parametrize(
    "body", [b"[]", b"{", b"{}", b"\xff\xfe", b"a=\xff", b'"status"', b"<xml/>", b"a=1&a=2", b'{"status":["failed"]}']
)
def test_an_unreadable_body_changes_nothing(body: bytes) -> None:
    """With a valid token it gives no receipt, or one without a status."""
    call = ReceiptRequest("POST", "https://x", MESSAGE_ID, NOW, body=body)
    assert [found.status for found in parse_webhook(call, UNSIGNED)] in ([], [None])


def test_numbers_in_json_are_read_as_text() -> None:
    """JSON may have numbers where the reference shows strings; a recipient that is not a number is ignored."""
    body = json.dumps({"status": "failed", "err-code": 3, "msisdn": int(DIGITS), "messageId": 17}).encode()
    call = ReceiptRequest("POST", "https://x", MESSAGE_ID, NOW, content_type="application/json", body=body)
    expected = Receipt(MESSAGE_ID, UNDELIVERED, Outcome.RECIPIENT_INVALID, "17", DIGITS, part="17")
    assert list(parse_webhook(call, UNSIGNED)) == [expected]
    [found] = parse_signed(receipt(msisdn="Acme"))
    assert found.to == ""


def test_the_documented_receipt_is_read() -> None:
    """The example of the vendor's guide, with the token of its URL."""
    body = (
        b'{"err-code": "0", "message-timestamp": "2018-10-25 12:10:29", "messageId": "0B00000127FDBC63",'
        b' "msisdn": "447547232824", "network-code": "23410", "price": "0.03330000", "scts": "1810251310",'
        b' "status": "delivered", "to": "Nexmo CLI"}'
    )
    call = ReceiptRequest("POST", "https://x", MESSAGE_ID, NOW, content_type="application/json", body=body)
    expected = Receipt(MESSAGE_ID, DELIVERED, None, "0B00000127FDBC63", "447547232824", part="0B00000127FDBC63")
    assert list(parse_webhook(call, UNSIGNED)) == [expected]
