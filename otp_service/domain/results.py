"""What the store's transitions are asked and what they answer: values, matched exhaustively by whoever asked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from otp_service.domain.errors import Reason
from otp_service.domain.limits import DEFAULT_LOCKOUT, Lockout, Window
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.provider_policy import ProviderState
from otp_service.domain.verification import VerificationRecord, VerificationSnapshot, VerificationStatus

__all__ = [
    "ActiveVerification",
    "Admission",
    "Admitted",
    "AlreadyEnded",
    "AttemptReserved",
    "AttemptsExhausted",
    "CallStarted",
    "ClaimedMessage",
    "DeliveryUpdate",
    "Denied",
    "IdInUse",
    "IdempotencyClaim",
    "InFlight",
    "KeyClaimed",
    "LockKind",
    "Mismatch",
    "NotFound",
    "RateLimit",
    "ReceiptEffect",
    "RecipientLocked",
    "Replay",
    "ReservationExpired",
    "SendPolicy",
    "Started",
    "Unlocked",
    "Unreadable",
    "Verified",
]


@dataclass(frozen=True, slots=True)
class SendPolicy:
    """What one tenant allows of sends to one recipient, and of wrong codes. Times in seconds."""

    cooldown_seconds: int
    max_sends: int
    ttl_seconds: int
    recipient: tuple[Window, ...]
    recipient_failures: tuple[Window, ...]
    reuse: bool = False
    lockout: Lockout = DEFAULT_LOCKOUT


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One event of the limit named `limit` for `keyed_hash` (a keyed hash)."""

    limit: str
    keyed_hash: str
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class IdempotencyClaim:
    """A caller's idempotency key (hashed with its tenant and endpoint), what it asks for, and this call's own token."""

    keyed_hash: str
    fingerprint: str
    owner_token: str


@dataclass(frozen=True, slots=True)
class Admission:
    """Everything that must be free before a code is made. `token` tells this reservation from every other.

    What the message will cost at each provider of `route` follows from its `country` and its `segments`.
    """

    partition: int
    recipient: str
    tenant: str
    purpose: str
    policy: SendPolicy
    rate_limits: tuple[RateLimit, ...]
    route: tuple[str, ...] = ()
    country: str = ""
    segments: int = 1
    idempotency: IdempotencyClaim | None = None
    token: str = ""


@dataclass(frozen=True, slots=True)
class ActiveVerification:
    """The verification before, while it still lives: its code may be sent again (policy `reuse`); b"" of a decoy."""

    id: str
    record: VerificationRecord
    sealed_code: bytes


@dataclass(frozen=True, slots=True)
class Admitted:
    """The budgets are taken; `sends_left` counts after this send. Give it back with `release`, or `start`.

    `gateways` is how the providers of the route stand for this message, `tenant_capped_ms` for how long the tenant's
    caps have no room for any message.
    """

    admission: Admission
    now_ms: int
    sends_left: int
    active: ActiveVerification | None
    chain_before: bytes
    acquired: tuple[tuple[RateLimit, int], ...]
    gateways: tuple[tuple[str, ProviderState], ...] = ()
    tenant_capped_ms: int = 0


@dataclass(frozen=True, slots=True)
class Denied:
    """Nothing was taken. `limit` names the budget when the reason is `rate_limited`.

    `disabled`: the recipient stays locked until an operator unlocks it.
    """

    reason: Reason
    wait_ms: int
    limit: str | None = None
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class Replay:
    """The key has its answer already: here it is, sealed."""

    answer: bytes


@dataclass(frozen=True, slots=True)
class InFlight:
    """Somebody works under the key; at the latest after `wait_ms` it is given up."""

    wait_ms: int


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The key was used for another request."""


@dataclass(frozen=True, slots=True)
class KeyClaimed:
    """The work is the caller's."""


@dataclass(frozen=True, slots=True)
class Started:
    """The verification is stored, and its message is in the outbox."""


@dataclass(frozen=True, slots=True)
class ReservationExpired:
    """The reservation is too old to start, or was given back: nothing was done."""


@dataclass(frozen=True, slots=True)
class IdInUse:
    """Another verification has this id. Ids are random, so this is a defect of the caller: nothing was done."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """It was made under a key that this replica does not have: nothing was done."""


class LockKind(StrEnum):
    """How wrong codes lock a recipient at a tenant.

    `wait`: request-code waits after an exhausted verification; `failures`: the `recipient_failures` windows are full;
    `disabled`: too many wrong codes in a row, until an operator unlocks the number.
    """

    WAIT = "wait"
    FAILURES = "failures"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Unlocked:
    """Nothing locks the recipient at the tenant any more.

    `was_locked`: something did. `failures`: the wrong codes in a row that are forgotten.
    """

    was_locked: bool
    failures: int


@dataclass(frozen=True, slots=True)
class AttemptReserved:
    """The guess is paid for: compare it with `snapshot.record.phc`, then `consume` if it is right.

    `locks` is what the guess does to the recipient unless it is right; None: nothing yet.
    """

    snapshot: VerificationSnapshot
    attempts_left: int
    locks: LockKind | None = None


@dataclass(frozen=True, slots=True)
class NotFound:
    """No such verification, or another tenant's, or its end is more than ten minutes ago."""


@dataclass(frozen=True, slots=True)
class RecipientLocked:
    """The recipient's failures are at the limit for `wait_ms` more; `disabled`: until an operator unlocks it."""

    wait_ms: int
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class AttemptsExhausted:
    """No attempts are left; a new code may be requested in `wait_ms`."""

    wait_ms: int


@dataclass(frozen=True, slots=True)
class AlreadyEnded:
    """It had ended before: how."""

    status: VerificationStatus


@dataclass(frozen=True, slots=True)
class Verified:
    """This call, and no other, turned it into a success."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class ClaimedMessage:
    """One message that this replica may work on, until its lease lapses."""

    id: str
    record: VerificationRecord
    sealed_code: bytes
    now_ms: int


@dataclass(frozen=True, slots=True)
class CallStarted:
    """The gateway may be called now."""

    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryUpdate:
    """What became of a call, and when the message is due again (None: it is done).

    `provider` "": there is no news, only another moment. `call` is the lease that the call was begun under, and
    `again_in_ms` how long the provider wants to be left alone. When it is done: `unasked` says why those who were
    never asked have failed, and `forget` that nothing can bring the message back, so its code is not needed any more.
    """

    provider: str = ""
    call: int = 0
    status: DeliveryStatus = DeliveryStatus.QUEUED
    error: str = ""
    provider_message_id: str = ""
    again_in_ms: int = 0
    due_in_ms: int | None = None
    unasked: Outcome = Outcome.TRANSIENT
    forget: bool = False


class ReceiptEffect(StrEnum):
    """What a receipt changed."""

    NOTED = "noted"
    KNOWN = "known"
    UNKNOWN = "unknown"
    OTHER = "other"
