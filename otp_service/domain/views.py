"""What a caller may see of a verification, in milliseconds of the store's clock; the edge writes it down as JSON."""

from __future__ import annotations

import msgspec

from otp_service.domain.verification import Delivery, VerificationSnapshot, VerificationStatus

__all__ = ["VerificationProof", "VerificationView", "view_of"]


class VerificationView(msgspec.Struct, frozen=True, kw_only=True):
    """A verification as it stood at `now_ms`, with its number masked."""

    verification_id: str
    status: VerificationStatus
    purpose: str
    channel: str
    masked: str
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


class VerificationProof(msgspec.Struct, frozen=True, kw_only=True):
    """A proof: the number, whole, and the token that carries it home. `token_ends` in Unix seconds."""

    verification_id: str
    purpose: str
    phone: str
    masked: str
    verified_ms: int
    token: str
    token_ends: int


def view_of(snapshot: VerificationSnapshot, masked: str) -> VerificationView:
    """Show `snapshot`; `masked` is as much of the number as the caller may see."""
    record, now = snapshot.record, snapshot.now_ms
    return VerificationView(
        verification_id=snapshot.id,
        status=record.status_at(now),
        purpose=record.purpose,
        channel=record.channel,
        masked=masked,
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
