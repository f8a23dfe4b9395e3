"""What the use cases and the delivery ask of a store, in whole transitions.

Each verb is atomic for its recipient, whoever else calls at the same time. Every verb may raise `Refused` with
`store_unavailable` or `overloaded`; what a verb did is then unknown. The adapter is in `store/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from otp_service.domain.errors import Reason
from otp_service.domain.limits import Window
from otp_service.domain.outcomes import Delivered, DeliveryStatus, Sending
from otp_service.domain.verification import Record, Snapshot, Status

__all__ = [
    "Admission",
    "Admitted",
    "Begun",
    "Claimed",
    "Denied",
    "Ended",
    "Idempotency",
    "IdempotentCall",
    "InFlight",
    "Living",
    "Locked",
    "Mismatch",
    "New",
    "Outbox",
    "Outlet",
    "Provider",
    "Replay",
    "Resume",
    "SealBroken",
    "Sealed",
    "SendPolicy",
    "Settlement",
    "Spent",
    "Take",
    "Unknown",
    "Verifications",
    "Verified",
    "WaitForSend",
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


@dataclass(frozen=True, slots=True)
class Take:
    """One event of the limit named `limit` for `subject` (a keyed hash)."""

    limit: str
    subject: str
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class IdempotentCall:
    """A caller's idempotency key (hashed with its tenant and endpoint), what it asks for, and this call's own mark."""

    subject: str
    fingerprint: str
    mark: str


@dataclass(frozen=True, slots=True)
class Admission:
    """Everything that must be free before a code is made. `key_held`: the idempotency key is the caller's already."""

    partition: int
    recipient: str
    tenant: str
    purpose: str
    policy: SendPolicy
    takes: tuple[Take, ...]
    idempotent: IdempotentCall | None = None
    key_held: bool = False


@dataclass(frozen=True, slots=True)
class Living:
    """The verification before, while it still lives: its code may be sent again (policy `reuse`)."""

    id: str
    record: Record
    sealed_code: bytes


@dataclass(frozen=True, slots=True)
class Admitted:
    """The budgets are taken; `sends_left` counts after this send. Give it back with `release`, or `start`."""

    admission: Admission
    now_ms: int
    sends_left: int
    living: Living | None
    chain_before: bytes
    taken: tuple[tuple[Take, int], ...]


@dataclass(frozen=True, slots=True)
class Denied:
    """Nothing was taken. `limit` names the budget when the reason is `rate_limited`."""

    reason: Reason
    wait_ms: int
    limit: str | None = None


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
class New:
    """The work is the caller's."""


@dataclass(frozen=True, slots=True)
class Resume:
    """The work is the caller's, and someone who fell silent may have done it: under `mark`."""

    mark: str


@dataclass(frozen=True, slots=True)
class Spent:
    """The guess is paid for: compare it with `snapshot.record.phc`, then `consume` if it is right."""

    snapshot: Snapshot
    attempts_left: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """No such verification, or another tenant's, or its end is more than ten minutes ago."""


@dataclass(frozen=True, slots=True)
class Locked:
    """The recipient's failures are at the limit for `wait_ms` more."""

    wait_ms: int


@dataclass(frozen=True, slots=True)
class WaitForSend:
    """No attempts are left; a new code may be requested in `wait_ms`."""

    wait_ms: int


@dataclass(frozen=True, slots=True)
class Ended:
    """It had ended before: how."""

    status: Status


@dataclass(frozen=True, slots=True)
class Verified:
    """This call, and no other, turned it into a success."""

    at_ms: int


class Verifications(Protocol):
    """The life of a verification."""

    async def admit(self, admission: Admission) -> Admitted | Denied | Replay | Resume | InFlight | Mismatch:
        """Take from every budget at once; on anything but `Admitted` what was taken is given back.

        On `Resume` the idempotency key is the caller's: look at what was left, then `finish` or admit again.
        """

    async def release(self, admitted: Admitted) -> None:
        """Give everything back; the idempotency key is free again."""

    async def start(
        self, admitted: Admitted, verification_id: str, record: Record, sealed_code: bytes | None, answer: bytes | None
    ) -> None:
        """Store it, end the one before it, put the code (None: a decoy) into the outbox, and keep the answer."""

    async def spend_attempt(
        self, verification_id: str, tenant: str, policies: SendPolicy
    ) -> Spent | Unknown | Locked | WaitForSend | Ended:
        """Take one attempt and count one failure for the recipient, before anything is compared."""

    async def consume(self, verification_id: str) -> Verified | Unknown | Ended:
        """Turn a right guess into the one success; clears the recipient's failures."""

    async def cancel(self, verification_id: str, tenant: str) -> Snapshot | Unknown:
        """End it if it is pending; say how it stands now."""

    async def read(self, verification_id: str, tenant: str) -> Snapshot | Unknown:
        """Say how it stands."""


class Idempotency(Protocol):
    """Answers kept under callers' keys, for endpoints whose work needs no admission."""

    async def begin(self, call: IdempotentCall) -> New | Resume | Replay | InFlight | Mismatch:
        """Ask for the right to work under the key."""

    async def finish(self, call: IdempotentCall, answer: bytes) -> None:
        """Keep the sealed answer for those who ask again."""

    async def abort(self, call: IdempotentCall) -> None:
        """Free the key: the answer is not one to keep."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """One message that this replica may work on, until its lease lapses."""

    id: str
    record: Record
    sealed_code: bytes
    now_ms: int


@dataclass(frozen=True, slots=True)
class Begun:
    """The gateway may be called now."""

    now_ms: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a call to `provider`, and when the message is due again (None: it is done).

    `unsent`: the gateway surely has no text. `forget`: the code is not needed any more.
    """

    provider: str
    status: DeliveryStatus
    error: str = ""
    message_id: str = ""
    unsent: bool = False
    due_in_ms: int | None = None
    forget: bool = False


class Outbox(Protocol):
    """The messages that wait to be handed over, leased to whoever works on them."""

    async def claim(self) -> tuple[Sequence[Claimed], int, int]:
        """Lease what is due. Also: for how many ms the oldest due message has waited, and how many there are."""

    async def begin(self, verification_id: str, lease: int, provider: str, deadline_ms: int) -> Begun | None:
        """Look once more whether the message may be sent, and mark it as being sent. None: leave it alone."""

    async def settle(self, verification_id: str, lease: int, settlement: Settlement) -> None:
        """Write down the outcome; one that comes after its lease only adds the fact."""


class Outlet(Protocol):
    """The way out, as the use cases see it."""

    def route(self, country: str, e164: str) -> tuple[str, ...]:
        """Name the providers for a number, in order; empty: nobody serves it."""

    def deliver(self, message: Claimed) -> None:
        """Pick a message up at once, in the background; the caller has its first lease."""


class SealBroken(Exception):
    """Something sealed does not open: it was changed, moved, or its key is not listed any more."""


class Sealed(Protocol):
    """Opens what a record holds sealed. Both raise `SealBroken`."""

    def open_phone(self, verification_id: str, record: Record) -> str:
        """Read the number."""

    def open_code(self, verification_id: str, sealed: bytes, record: Record) -> str:
        """Read the code."""


class Provider(Protocol):
    """A configured gateway account."""

    name: str
    timeout_seconds: float

    async def send(self, sending: Sending) -> Delivered:
        """Hand one message over, once, within `timeout_seconds`; whatever goes wrong is an outcome, not an error."""

    async def close(self) -> None:
        """Let go of connections."""
