"""A verification: one proof in progress, its states, and the record that the store keeps of it.

The record is one packed array, so that a pending verification stays small. The store's scripts know the first
twelve places by number (`store/lua/_record.lua`); the rest are facts that only this side reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from otp_service.domain.outcomes import DeliveryStatus

__all__ = [
    "MAX_CODE_LIFE_MS",
    "READABLE_AFTER_END_MS",
    "Delivery",
    "VerificationRecord",
    "VerificationSnapshot",
    "VerificationStatus",
]

READABLE_AFTER_END_MS = 600_000
"""An ended verification tells its state for 10 minutes (design.md section 3), then it is unknown."""

MAX_CODE_LIFE_MS = 600_000
"""No code lives longer than 10 minutes, also not one that is sent again (NIST SP 800-63B-4, 3.1.3.2)."""


class VerificationStatus(StrEnum):
    """The states of a verification; all but the first are ends, and the first end wins."""

    PENDING = "pending"
    VERIFIED = "verified"
    EXPIRED = "expired"
    EXHAUSTED = "exhausted"
    SUPERSEDED = "superseded"
    CANCELED = "canceled"


class Delivery(msgspec.Struct, array_like=True, frozen=True):
    """The life of the message at one provider: a status, since when, and the outcome's name when it went wrong.

    `provider_message_id` is the gateway's. `call` is the lease that the last call was begun under (0: none was),
    `again_ms` when the provider may be asked again at the earliest (0: no matter), `ambiguous_since_ms` since
    when its outcome is ambiguous. `repeats`: the last call repeats one in doubt, of which its refusal says nothing.
    """

    provider: str
    status: DeliveryStatus
    at_ms: int
    error: str = ""
    provider_message_id: str = ""
    call: int = 0
    again_ms: int = 0
    ambiguous_since_ms: int = 0
    repeats: bool = False


class VerificationRecord(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """What the store keeps. Times are milliseconds of the store's clock; `ended_ms` 0 means not ended.

    `phone` is sealed, `phc` the Argon2id hash of the code, `key_id` names the key that both derive from.
    `born_ms` is when the code was made (earlier than `created_ms` when it is sent again); `keeps_code`: it may be sent
    again, so it is kept also when it was delivered. `lease` says who works on the message: the last one who claimed it.
    """

    version: int = 1
    status: VerificationStatus = VerificationStatus.PENDING
    tenant: str
    purpose: str
    recipient: str
    created_ms: int
    expires_ms: int
    ended_ms: int = 0
    attempts_left: int
    lease: int = 1
    keeps_code: bool = False
    deliveries: tuple[Delivery, ...] = ()
    key_id: str
    phc: str
    phone: str
    channel: str
    country: str
    locale: str
    code_length: int
    resend_ms: int
    sends_left: int
    born_ms: int

    def status_at(self, now_ms: int) -> VerificationStatus:
        """Say the state: expiry and exhaustion are not stored, they come by themselves."""
        if self.status is not VerificationStatus.PENDING:
            return self.status
        if self.attempts_left == 0:
            return VerificationStatus.EXHAUSTED
        return VerificationStatus.EXPIRED if now_ms >= self.expires_ms else VerificationStatus.PENDING

    def ended_at(self, now_ms: int) -> int | None:
        """Say when it ended, in milliseconds; None while it is pending."""
        if self.status_at(now_ms) is VerificationStatus.PENDING:
            return None
        return self.ended_ms or self.expires_ms


@dataclass(frozen=True, slots=True)
class VerificationSnapshot:
    """A record as it stood at `now_ms` of the store's clock."""

    id: str
    record: VerificationRecord
    now_ms: int
