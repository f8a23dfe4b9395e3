"""The record of a verification: its packed form, and the status that follows from it."""

from __future__ import annotations

import msgspec
import pytest

from otp_service.domain.outcomes import DeliveryStatus
from otp_service.domain.verification import Delivery, VerificationRecord, VerificationStatus

CREATED, EXPIRES = 1_000_000, 1_300_000


def record(status: VerificationStatus = VerificationStatus.PENDING, *, attempts_left: int = 5) -> VerificationRecord:
    """Make a record with one delivery."""
    return VerificationRecord(
        status=status,
        tenant="acme",
        purpose="login",
        recipient="recipient",
        created_ms=CREATED,
        expires_ms=EXPIRES,
        attempts_left=attempts_left,
        deliveries=(Delivery("first", DeliveryStatus.QUEUED, CREATED),),
        key_id="k1",
        code_hash="$argon2id$",
        phone="sealed",
        channel="sms",
        country="ID",
        locale="",
        code_length=6,
        resend_ms=CREATED + 30_000,
        sends_left=4,
        code_created_ms=CREATED,
        app="web",
        code_mask="mask",
    )


def test_the_packed_form_is_the_array_that_the_scripts_read() -> None:
    """Enums are packed as their values, and every field has its index (`store/lua/_record.lua`)."""
    packed = msgspec.msgpack.encode(record())

    delivery = ["first", "queued", CREATED, "", "", 0, 0, 0, False, ""]
    facts = ["acme", "login", "recipient", CREATED, EXPIRES, 0, 5, 1, False, [delivery]]
    rest = ["k1", "$argon2id$", "sealed", "sms", "ID", "", 6, CREATED + 30_000, 4, CREATED, "web", "mask", [], ""]
    assert msgspec.msgpack.decode(packed) == [1, "pending", *facts, *rest]


def test_a_record_of_the_previous_version_is_readable() -> None:
    """It ends before `app`, names none, and has no mask, no receivers of events and no mark of the guard."""
    elements = msgspec.msgpack.decode(msgspec.msgpack.encode(record()))
    packed = msgspec.msgpack.encode(elements[:-4])
    previous = msgspec.structs.replace(record(), app="", code_mask="")
    assert msgspec.msgpack.decode(packed, type=VerificationRecord) == previous


def test_statuses_are_enums_when_a_record_is_read() -> None:
    """Nobody has to convert them; a status that no version writes makes the record unreadable."""
    packed = msgspec.msgpack.encode(record(VerificationStatus.CANCELED))
    read = msgspec.msgpack.decode(packed, type=VerificationRecord)

    assert (type(read.status), type(read.deliveries[0].status)) == (VerificationStatus, DeliveryStatus)
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(packed.replace(b"canceled", b"cancelle"), type=VerificationRecord)


@pytest.mark.parametrize(
    ("stored", "attempts_left", "now_ms", "status"),
    [
        (VerificationStatus.PENDING, 1, EXPIRES - 1, VerificationStatus.PENDING),
        (VerificationStatus.PENDING, 1, EXPIRES, VerificationStatus.EXPIRED),
        (VerificationStatus.PENDING, 0, EXPIRES, VerificationStatus.EXHAUSTED),
        (VerificationStatus.CANCELED, 0, EXPIRES, VerificationStatus.CANCELED),
    ],
)
def test_expiry_and_exhaustion_follow_from_the_record(
    stored: VerificationStatus, attempts_left: int, now_ms: int, status: VerificationStatus
) -> None:
    """They are not stored; a stored end goes first, then exhaustion, then expiry."""
    assert record(stored, attempts_left=attempts_left).status_at(now_ms) is status
