"""The views of a verification as they are stored under idempotency keys, for up to 24 hours."""

from __future__ import annotations

import msgspec

from otp_service.domain.verification import VerificationSnapshot
from otp_service.domain.views import VerificationProof, VerificationView, view_of
from tests.domain.test_verification import CREATED, record


def test_the_encoded_names_of_a_view() -> None:
    """Another version decodes them, so they stay the same when a field is renamed."""
    view = view_of(VerificationSnapshot("id", record(), CREATED), "+62812*****055")

    encoded = msgspec.msgpack.encode(view)

    delivery = ["first", "queued", CREATED, "", "", 0, 0, 0, False, ""]
    assert msgspec.msgpack.decode(encoded) == {
        "verification_id": "id",
        "status": "pending",
        "purpose": "login",
        "channel": "sms",
        "masked": "+62812*****055",
        "country": "ID",
        "code_length": 6,
        "now_ms": CREATED,
        "created_ms": CREATED,
        "expires_ms": CREATED + 300_000,
        "ended_ms": None,
        "resend_ms": CREATED + 30_000,
        "attempts_left": 5,
        "sends_left": 4,
        "deliveries": [delivery],
    }
    assert msgspec.msgpack.decode(encoded, type=VerificationView) == view


def test_the_encoded_names_of_a_proof() -> None:
    """The same holds for the answer of a success."""
    proof = VerificationProof(
        verification_id="id",
        purpose="login",
        phone="+6281210100055",
        masked_recipient="+62812*****055",
        verified_ms=CREATED,
        token="token",
        token_expires_at=CREATED // 1000 + 300,
    )

    encoded = msgspec.msgpack.encode(proof)

    assert msgspec.msgpack.decode(encoded) == {
        "verification_id": "id",
        "purpose": "login",
        "phone": "+6281210100055",
        "email": "",
        "masked": "+62812*****055",
        "verified_ms": CREATED,
        "token": "token",
        "token_ends": CREATED // 1000 + 300,
    }
    assert msgspec.msgpack.decode(encoded, type=VerificationProof) == proof
    earlier = {name: value for name, value in msgspec.msgpack.decode(encoded).items() if name != "email"}
    assert msgspec.convert(earlier, VerificationProof) == proof
