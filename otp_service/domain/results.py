"""The arguments and the results of the ports. Callers match the results exhaustively.

They are structs of msgspec, which are made and copied in C: a struct takes 0.1 us, a frozen dataclass 0.3 us per field.
`Denied` and `RecipientLocked` are dataclasses, because they compare without one of their fields.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from otp_service.domain.channel_route import RoutedProvider
from otp_service.domain.errors import Reason
from otp_service.domain.guard import GuardDecision, GuardRequest
from otp_service.domain.guard_counts import GuardCounted
from otp_service.domain.limits import LockKind, RateLimit, SendPolicy
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.provider_policy import ProviderState
from otp_service.domain.quotas import QuotaState
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
    "Mismatch",
    "NotFound",
    "RateLimit",
    "ReceiptEffect",
    "RecipientLocked",
    "Replay",
    "ReservationExpired",
    "Started",
    "Unlocked",
    "Unreadable",
    "Verified",
]


class IdempotencyClaim(msgspec.Struct, frozen=True):
    """One use of a caller's idempotency key.

    `keyed_hash` is of the key with its tenant and endpoint, `fingerprint` of the request. `owner_token` is unique to
    this use, so that only its owner can release it.
    """

    keyed_hash: str
    fingerprint: str
    owner_token: str


class Admission(msgspec.Struct, frozen=True):
    """What must be acquired before a code is made. `token` is unique to this reservation of the recipient.

    The price of the message at each provider of `route` follows from its `country` and its number of segments there.
    `guard`: what the guard counts and checks; None: it is off.
    """

    partition: int
    recipient: str
    tenant: str
    purpose: str
    policy: SendPolicy
    rate_limits: tuple[RateLimit, ...]
    route: tuple[RoutedProvider, ...] = ()
    country: str = ""
    idempotency: IdempotencyClaim | None = None
    token: str = ""
    guard: GuardRequest | None = None


class ActiveVerification(msgspec.Struct, frozen=True):
    """The pending verification of a recipient and purpose. `sealed_code` is b"" for a decoy.

    Its code may be sent again (policy `reuse`).
    """

    id: str
    record: VerificationRecord
    sealed_code: bytes


class Admitted(msgspec.Struct, frozen=True):
    """Everything is acquired. It must be passed to `start` or to `release`.

    `sends_left` counts after this send. `providers` has the state of each provider of the route, for this message.
    `tenant_capped_ms` is for how long the tenant's caps allow no message; 0: they allow one. `country_capped_ms` is the
    same for those of the country. `own_quotas`: what is left of the caller's own limits. `guard`: what it has counted.
    """

    admission: Admission
    now_ms: int
    sends_left: int
    active: ActiveVerification | None
    chain_before: bytes
    acquired: tuple[tuple[RateLimit, int], ...]
    providers: tuple[tuple[str, ProviderState], ...] = ()
    tenant_capped_ms: int = 0
    country_capped_ms: int = 0
    own_quotas: tuple[QuotaState, ...] = ()
    guard: GuardCounted | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """Nothing is acquired. `limit` is the name of the limit if the reason is `rate_limited`.

    `disabled`: only an operator can unlock the recipient. `violated`: every quota that is used up, also those that are
    not the reason; two denials are equal whichever these are. `decision`: the guard's, if it is the reason.
    """

    reason: Reason
    wait_ms: int
    limit: str | None = None
    disabled: bool = False
    violated: tuple[QuotaState, ...] = field(default=(), compare=False)
    decision: GuardDecision | None = None


class Replay(msgspec.Struct, frozen=True):
    """A response is stored under the key; it is sealed."""

    response: bytes


class InFlight(msgspec.Struct, frozen=True):
    """A request with the key is in progress. It has ended, or can be taken over, after `wait_ms` at the latest."""

    wait_ms: int


class Mismatch(msgspec.Struct, frozen=True):
    """The key was used for another request."""


class KeyClaimed(msgspec.Struct, frozen=True):
    """The caller owns the key, and must do the work."""


class Started(msgspec.Struct, frozen=True):
    """The verification is stored, and its message is in the outbox."""


class ReservationExpired(msgspec.Struct, frozen=True):
    """The reservation is too old, or was released: nothing was done."""


class IdInUse(msgspec.Struct, frozen=True):
    """Another verification has this id: nothing was done. Ids are random, so this is not expected to happen."""


class Unreadable(msgspec.Struct, frozen=True):
    """The record was made under a key that this replica does not have: nothing was done."""


class Unlocked(msgspec.Struct, frozen=True):
    """The recipient is not locked at the tenant.

    `was_locked`: it was before. `failures`: how many wrong codes in a row were cleared.
    """

    was_locked: bool
    failures: int


class AttemptReserved(msgspec.Struct, frozen=True):
    """An attempt is reserved: compare the code with `snapshot.record.code_hash`, and `consume` if it is correct.

    `locks` is how the attempt locks the recipient if the code is wrong; None: it does not.
    """

    snapshot: VerificationSnapshot
    attempts_left: int
    locks: LockKind | None = None


class NotFound(msgspec.Struct, frozen=True):
    """The tenant has no verification with this id, or it ended more than ten minutes ago."""


@dataclass(frozen=True, slots=True)
class RecipientLocked:
    """The recipient is locked for `wait_ms`; `disabled`: until an operator unlocks it. `violated`: as in `Denied`."""

    wait_ms: int
    disabled: bool = False
    violated: tuple[QuotaState, ...] = field(default=(), compare=False)


class AttemptsExhausted(msgspec.Struct, frozen=True):
    """No attempts are left; a new code may be requested in `wait_ms`."""

    wait_ms: int


class AlreadyEnded(msgspec.Struct, frozen=True):
    """The verification ended before, with this status."""

    status: VerificationStatus


class Verified(msgspec.Struct, frozen=True):
    """This call made the one success of the verification."""

    at_ms: int


class ClaimedMessage(msgspec.Struct, frozen=True):
    """A message that this worker has leased. `id` is the verification's; `now_ms` is when it was leased."""

    id: str
    record: VerificationRecord
    sealed_code: bytes
    now_ms: int


class CallStarted(msgspec.Struct, frozen=True):
    """The provider may be called now."""

    now_ms: int


class DeliveryUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a call to a provider, and when the message is due again.

    Attributes:
        provider: The provider that was called; "": none was, only `due_in_ms` changes.
        call: The lease under which the call was started.
        status: The new status of the delivery.
        error: The name of the outcome if the delivery failed, else "".
        provider_message_id, parts: The gateway's ids, as in `SendResult`.
        retry_after_ms: For how long the provider must not be called again; 0: as the retry policy decides.
        due_in_ms: When the message is due again; None: delivery is finished.
        not_called_outcome: With a finished delivery: the outcome of the providers that were queued but never called.
        forget: With a finished delivery: nothing can continue it; its code is deleted.
    """

    provider: str = ""
    call: int = 0
    status: DeliveryStatus = DeliveryStatus.QUEUED
    error: str = ""
    provider_message_id: str = ""
    parts: tuple[str, ...] = ()
    retry_after_ms: int = 0
    due_in_ms: int | None = None
    not_called_outcome: Outcome = Outcome.TRANSIENT
    forget: bool = False


class ReceiptEffect(StrEnum):
    """What a receipt changed: the delivery (`noted`), or nothing.

    `known`: its status was final. `unknown`: there is no such message. `other`: it names another recipient. `earlier`:
    it is about an earlier call to the provider.
    """

    NOTED = "noted"
    KNOWN = "known"
    UNKNOWN = "unknown"
    OTHER = "other"
    EARLIER = "earlier"
