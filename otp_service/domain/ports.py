"""What the use cases and the delivery ask of a store, in whole transitions.

Each verb is atomic for its recipient, whoever else calls at the same time. Every verb may raise `Refused` with
`store_unavailable` or `overloaded`; what a verb did is then unknown. The adapter is in `store/`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from otp_service.domain.gateways import Receipt
from otp_service.domain.transitions import (
    Admission,
    Admitted,
    Begun,
    Claimed,
    Denied,
    Ended,
    IdempotentCall,
    InFlight,
    Locked,
    Mismatch,
    Noted,
    Replay,
    Resume,
    SendPolicy,
    Settlement,
    Spent,
    Unknown,
    Verified,
    WaitForSend,
)
from otp_service.domain.verification import Record, Snapshot

__all__ = [
    "Guesses",
    "Idempotency",
    "Outbox",
    "Outlet",
    "Receiving",
    "SealBroken",
    "Sealed",
    "Verifications",
]


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

    async def cancel(self, verification_id: str, tenant: str) -> Snapshot | Unknown:
        """End it if it is pending; say how it stands now."""

    async def read(self, verification_id: str, tenant: str) -> Snapshot | Unknown:
        """Say how it stands."""


class Guesses(Protocol):
    """Guesses at a verification's code. `call` is the idempotency key of a guess that has one."""

    async def spend_attempt(
        self, verification_id: str, tenant: str, policies: SendPolicy, call: IdempotentCall | None = None
    ) -> Spent | Unknown | Locked | WaitForSend | Ended | Replay | InFlight | Mismatch:
        """Take one attempt and count one failure for the recipient, before anything is compared.

        On `Replay`, `InFlight` and `Mismatch` no attempt is taken, but by a `Mismatch` with a request for another
        verification. `Locked` and `WaitForSend` are not kept under the key; all else waits for `consume` or `keep`.
        """

    async def consume(
        self, verification_id: str, at_ms: int | None = None, call: IdempotentCall | None = None, answer: bytes = b""
    ) -> Verified | Unknown | Ended:
        """Turn a right guess into the one success, at `at_ms` (None: now); clears the recipient's failures.

        With `call`, `answer` is kept for who asks again, in the same step.
        """

    async def keep(self, verification_id: str, call: IdempotentCall, answer: bytes) -> None:
        """Keep the sealed answer of a guess that was no success."""


class Idempotency(Protocol):
    """Answers kept under callers' keys, for work that was begun by `Verifications.admit`."""

    async def finish(self, call: IdempotentCall, answer: bytes) -> None:
        """Keep the sealed answer for those who ask again."""


class Outbox(Protocol):
    """The messages that wait to be handed over, leased to whoever works on them."""

    async def claim(self) -> tuple[Sequence[Claimed], int, int]:
        """Lease what is due. Also: for how many ms the oldest due message has waited, and how many there are."""

    async def claim_near(self, verification_ids: Collection[str]) -> Sequence[Claimed]:
        """Lease what is due where these messages are: cheaper than to look everywhere."""

    async def begin(
        self, verification_id: str, lease: int, provider: str, deadline_ms: int, *, repeatable: bool = False
    ) -> Begun | None:
        """Look once more whether the message may be sent, and mark it as being sent. None: leave it alone.

        `repeatable`: the provider sends a message once, so it may be asked again when it may have the text.
        """

    async def settle(self, verification_id: str, lease: int, settlement: Settlement) -> None:
        """Write down the outcome; one that comes after its lease only adds the fact."""


class Receiving(Protocol):
    """Where the gateways' own words are written down."""

    async def note(self, provider: str, receipt: Receipt, recipient: str) -> Noted:
        """Write one down; `recipient` (a keyed hash, "" for none) is whom it speaks of."""

    async def once(self, subject: str, use: str, seconds: int) -> bool:
        """Say whether `subject` may be used: for the first time within `seconds`, or again for the same `use`."""


class Outlet(Protocol):
    """The way out, as the use cases see it."""

    def route(self, country: str, e164: str, message_id: str) -> tuple[str, ...]:
        """Name the providers for a message to a number, in its order; empty: nobody serves it."""

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
