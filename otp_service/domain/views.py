"""What a caller may see of a verification. Times are milliseconds of the store's clock; `api/mapping.py` formats them.

Both views are stored under idempotency keys and read by other versions: the encoded names must not change.
"""

from __future__ import annotations

import msgspec

from otp_service.domain.quotas import NO_QUOTAS, Quotas
from otp_service.domain.verification import Delivery, VerificationSnapshot, VerificationStatus

__all__ = ["VerificationProof", "VerificationView", "view_of"]


class VerificationView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A verification at `now_ms`, with its recipient masked. `country` is "" for an e-mail address.

    `quotas` is what the caller of request-code may know of its limits; it is not stored.
    """

    verification_id: str
    status: VerificationStatus
    purpose: str
    channel: str
    masked_recipient: str = msgspec.field(name="masked")
    country: str
    code_length: int
    now_ms: int
    created_ms: int
    expires_ms: int
    ended_ms: int | None
    resend_ms: int
    attempts_left: int
    sends_left: int
    deliveries: tuple[Delivery, ...] = ()
    quotas: Quotas = NO_QUOTAS


class VerificationProof(msgspec.Struct, frozen=True, kw_only=True):
    """The proof of a success: the full number or address, and the signed token.

    One of `phone` and `email` is "". `token_expires_at` is in Unix seconds.
    """

    verification_id: str
    purpose: str
    phone: str = ""
    email: str = ""
    masked_recipient: str = msgspec.field(name="masked")
    verified_ms: int
    token: str
    token_expires_at: int = msgspec.field(name="token_ends")


def view_of(snapshot: VerificationSnapshot, masked_recipient: str) -> VerificationView:
    """Return the view of a snapshot."""
    record, now = snapshot.record, snapshot.now_ms
    return VerificationView(
        verification_id=snapshot.id,
        status=record.status_at(now),
        purpose=record.purpose,
        channel=record.channel,
        masked_recipient=masked_recipient,
        country=record.country,
        code_length=record.code_length,
        now_ms=now,
        created_ms=record.created_ms,
        expires_ms=record.expires_ms,
        ended_ms=record.ended_at(now),
        resend_ms=record.resend_ms,
        attempts_left=record.attempts_left,
        sends_left=record.sends_left,
        deliveries=record.deliveries,
    )
