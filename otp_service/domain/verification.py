"""A verification: one proof in progress, its statuses, and the record that the store keeps of it.

The record is one packed array, so that a pending verification stays small. The store's scripts access the first
fourteen elements, and some of the others, by index (`store/lua/_record.lua`).
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from otp_service.domain.outcomes import DeliveryStatus

__all__ = [
    "MAX_CODE_AGE_MS",
    "Delivery",
    "VerificationRecord",
    "VerificationSnapshot",
    "VerificationStatus",
]

MAX_CODE_AGE_MS = 600_000
"""No code is valid for longer than 10 minutes, even if it is sent again (NIST SP 800-63B-4, 3.1.3.2)."""


class VerificationStatus(StrEnum):
    """The statuses of a verification. All except `pending` are final."""

    PENDING = "pending"
    VERIFIED = "verified"
    EXPIRED = "expired"
    EXHAUSTED = "exhausted"
    SUPERSEDED = "superseded"
    CANCELED = "canceled"


class Delivery(msgspec.Struct, array_like=True, frozen=True):
    """The delivery of a message by one provider. Times are milliseconds of the store's clock.

    Attributes:
        provider: The configured name of the provider.
        status: The current status.
        at_ms: When the status was set.
        error: The name of the outcome if the delivery failed, else "".
        provider_message_id: The gateway's id of the message, "" if it has given none.
        call: The lease under which the last call was started; 0: none was.
        retry_at_ms: Before this time the provider must not be called again; 0: no such time.
        ambiguous_since_ms: Since when the outcome is ambiguous; 0: it is not.
        repeats: The last call repeated one with an ambiguous outcome. If it fails, the earlier one may have succeeded.
        channel: The channel of the message; "": that of the record.
    """

    provider: str
    status: DeliveryStatus
    at_ms: int
    error: str = ""
    provider_message_id: str = ""
    call: int = 0
    retry_at_ms: int = 0
    ambiguous_since_ms: int = 0
    repeats: bool = False
    channel: str = ""

    @property
    def is_accepted(self) -> bool:
        """Whether the gateway accepted the message, and has not reported that it was not delivered."""
        return self.status in {DeliveryStatus.SENT, DeliveryStatus.DELIVERED}


class VerificationRecord(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """What the store keeps of a verification. Times are milliseconds of the store's clock.

    Attributes:
        version: The version of this layout.
        status: The stored status. `expired` and `exhausted` are never stored: see `status_at`.
        tenant: The name of the tenant.
        purpose: What the code is for.
        recipient: The keyed hash of the number or address.
        created_ms: When the verification was started.
        expires_ms: When the code expires.
        ended_ms: When a stored final status was set; 0: none was.
        attempts_left: How many codes may still be checked.
        lease: The number of the last lease of the message. Only its holder works on the message.
        keeps_code: The code may be sent again (policy `reuse`), so it is kept after it was delivered.
        deliveries: One entry for each provider tried, oldest first.
        key_id: The key under which `code_hash` and `phone` were made.
        code_hash: The Argon2id hash of the code (a PHC string); "" for a relayed code.
        phone: The number, sealed; with the channel `email` the address.
        channel: The channel that was requested: that of the message, or `auto`.
        country: The country of the number (ISO 3166 alpha-2); "" for an address.
        locale: The locale of the message, "" for none.
        code_length: The number of digits of the code.
        resend_ms: When the next code may be requested.
        sends_left: How many sends the chain has left.
        code_created_ms: When the code was made: earlier than `created_ms` if it is sent again.
        app: The tenant's app whose line ends the SMS, "" for none. Records of earlier versions have no such element.
        code_mask: The mask of the code in base64, if its hash was computed in advance; "" if not.
        events: Who gets events of the verification, as `domain.events.encode_targets` writes it; empty: nobody.
        guard: How the guard has counted the message, as `domain.guard_counts.mark_of` writes it; "": it has not.
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
    code_hash: str
    phone: str
    channel: str
    country: str
    locale: str
    code_length: int
    resend_ms: int
    sends_left: int
    code_created_ms: int
    app: str = ""
    code_mask: str = ""
    events: tuple[str, ...] = ()
    guard: str = ""

    @property
    def is_relayed(self) -> bool:
        """Whether the code was made by another service, which also verifies it: there is no hash to compare with."""
        return not self.code_hash

    def status_at(self, now_ms: int) -> VerificationStatus:
        """Return the status at `now_ms`; `expired` and `exhausted` follow from the other fields."""
        if self.status is not VerificationStatus.PENDING:
            return self.status
        if self.attempts_left == 0:
            return VerificationStatus.EXHAUSTED
        return VerificationStatus.EXPIRED if now_ms >= self.expires_ms else VerificationStatus.PENDING

    def ended_at(self, now_ms: int) -> int | None:
        """Return when the verification ended, in milliseconds; None while it is pending."""
        if self.status_at(now_ms) is VerificationStatus.PENDING:
            return None
        return self.ended_ms or self.expires_ms


class VerificationSnapshot(msgspec.Struct, frozen=True):
    """A record, and when it was read (`now_ms`, by the store's clock)."""

    id: str
    record: VerificationRecord
    now_ms: int
