"""What the use cases and the delivery ask of a store, in whole transitions.

Each verb is atomic for its recipient, whoever else calls at the same time. Every verb may raise `Refused` with
`store_unavailable` or `overloaded`; what a verb did is then unknown. The adapter is in `store/`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from otp_service.domain.message import Receipt
from otp_service.domain.results import (
    Admission,
    Admitted,
    AlreadyEnded,
    AttemptReserved,
    AttemptsExhausted,
    CallStarted,
    ClaimedMessage,
    DeliveryUpdate,
    Denied,
    IdempotencyClaim,
    IdInUse,
    InFlight,
    KeyClaimed,
    Mismatch,
    NotFound,
    RateLimit,
    ReceiptEffect,
    RecipientLocked,
    Replay,
    ReservationExpired,
    SendPolicy,
    Started,
    Unlocked,
    Unreadable,
    Verified,
)
from otp_service.domain.verification import VerificationRecord, VerificationSnapshot

__all__ = [
    "Attempts",
    "Idempotency",
    "Lockouts",
    "MessageQueue",
    "Outbox",
    "ReceiptStore",
    "SealBroken",
    "Sealed",
    "Verifications",
]


class Verifications(Protocol):
    """The life of a verification."""

    async def admit(self, admission: Admission) -> Admitted | Denied | Replay | InFlight | Mismatch:
        """Take from every budget at once; on anything but `Admitted` what was taken is given back.

        Raises `Refused` when a part was not answered; what is known to have been taken is given back then, too, and
        `withdraw` finds the rest.
        """

    async def withdraw(self, admission: Admission) -> None:
        """Take back the reservation and the idempotency key of an `admit` whose answer was lost; may be repeated."""

    async def release(self, admitted: Admitted) -> None:
        """Give everything back; the idempotency key is free again."""

    async def start(
        self,
        admitted: Admitted,
        verification_id: str,
        record: VerificationRecord,
        sealed_code: bytes | None,
        answer: bytes | None,
    ) -> Started | ReservationExpired | IdInUse | Replay:
        """Store it, end the one before it, put the code (None: a decoy) into the outbox, and keep the answer.

        `ReservationExpired`, `IdInUse` and `Replay` (another call under the same key has started one): nothing was
        done; `release` it.
        """

    async def abandon(self, admitted: Admitted, verification_id: str) -> None:
        """Make sure that nothing comes of a `start` whose answer was lost, and give everything back; may be repeated.

        Where a gateway may have the text by now, everything stays as it is.
        """

    async def cancel(self, verification_id: str, tenant: str) -> VerificationSnapshot | NotFound | Unreadable:
        """End it if it is pending; say how it stands now."""

    async def read(self, verification_id: str, tenant: str) -> VerificationSnapshot | NotFound | Unreadable:
        """Say how it stands."""


class Attempts(Protocol):
    """Guesses at a verification's code."""

    async def reserve_attempt(
        self, verification_id: str, tenant: str, policies: SendPolicy
    ) -> AttemptReserved | NotFound | RecipientLocked | AttemptsExhausted | AlreadyEnded | Unreadable:
        """Take one attempt and count one failure for the recipient, before anything is compared.

        On anything but `AttemptReserved` nothing is taken.
        """

    async def count(self, take: RateLimit) -> int:
        """Count one event of a limit: 0, or in how many ms there is room for one (then nothing was taken)."""

    async def consume(
        self, verification_id: str, at_ms: int | None = None, call: IdempotencyClaim | None = None, answer: bytes = b""
    ) -> Verified | NotFound | AlreadyEnded:
        """Turn a right guess into the one success, at `at_ms` (None: now); clears the recipient's failures.

        With `call`, the idempotency key of the guess, `answer` is kept for who asks again, in the same step.
        """


class Lockouts(Protocol):
    """What wrong codes in a row have done to recipients."""

    async def unlock(self, partition: int, recipient: str, tenant: str, policy: SendPolicy) -> Unlocked:
        """Forget the recipient's wrong codes at the tenant, and every wait that follows from them; sends still count.

        `policy` decides only whether the recipient counts as having been locked.
        """


class Idempotency(Protocol):
    """Callers' keys of guesses; those of requests for a code are a part of `Verifications.admit` and `start`."""

    async def claim(self, call: IdempotencyClaim, verification_id: str) -> KeyClaimed | Replay | InFlight | Mismatch:
        """Claim the key for an attempt at `verification_id`, before anything is spent. `KeyClaimed`: go on."""

    async def keep(self, call: IdempotencyClaim, verification_id: str, answer: bytes) -> None:
        """Keep the sealed answer of a guess that cost an attempt and was no success; the first one stays."""

    async def release(self, call: IdempotencyClaim) -> None:
        """Free the key if it is still this caller's: the answer is not one to keep."""


class Outbox(Protocol):
    """The messages that wait to be handed over, leased to whoever works on them."""

    async def claim(self) -> tuple[Sequence[ClaimedMessage], int, int]:
        """Lease what is due. Also: for how many ms the oldest due message has waited, and how many there are."""

    async def claim_near(self, verification_ids: Collection[str]) -> Sequence[ClaimedMessage]:
        """Lease what is due where these messages are: cheaper than to look everywhere."""

    async def release_to_others(self, verification_id: str, lease: int) -> None:
        """Let other replicas have a message that this one cannot work on; it is not claimed here again."""

    async def begin(
        self, verification_id: str, lease: int, provider: str, deadline_ms: int, *, idempotent_send: bool = False
    ) -> CallStarted | None:
        """Look once more whether the message may be sent, and mark it as being sent. None: leave it alone.

        `idempotent_send`: the provider sends a message once, so it may be asked again when it may have the text.
        """

    async def record_result(self, verification_id: str, lease: int, settlement: DeliveryUpdate) -> None:
        """Write down the outcome; one that comes after its lease only adds the fact."""


class ReceiptStore(Protocol):
    """Where the gateways' own words are written down."""

    async def record_receipt(self, provider: str, receipt: Receipt, recipient: str) -> ReceiptEffect:
        """Write one down; `recipient` (a keyed hash, "" for none) is whom it speaks of."""

    async def mark_used(self, keyed_hash: str, use: str, seconds: int) -> bool:
        """Say whether `keyed_hash` may be used: for the first time within `seconds`, or again for the same `use`."""


class MessageQueue(Protocol):
    """The way out, as the use cases see it."""

    def route(self, country: str, e164: str, message_id: str) -> tuple[str, ...]:
        """Name the providers for a message to a number, in its order; empty: nobody serves it."""

    def deliver(self, message: ClaimedMessage) -> None:
        """Pick a message up at once, in the background; the caller has its first lease."""


class SealBroken(Exception):
    """Something sealed does not open: it was changed, moved, or its key is not listed any more."""


class Sealed(Protocol):
    """Opens what a record holds sealed. Both raise `SealBroken`."""

    def open_phone(self, verification_id: str, record: VerificationRecord) -> str:
        """Read the number."""

    def open_code(self, verification_id: str, sealed: bytes, record: VerificationRecord) -> str:
        """Read the code."""
