"""The ports of the store and of delivery, as whole transitions.

Every transition of a store port is atomic for its recipient, whatever else runs at the same time. Each may raise
`Refused` with `store_unavailable` or `overloaded`; whether it has run is then unknown. The adapters are in `store/`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from otp_service.domain.channel_route import ChannelRoute
from otp_service.domain.conversion import CountKey
from otp_service.domain.limits import SendPolicy
from otp_service.domain.message import Channel, Receipt
from otp_service.domain.opt_out import InboundClaim, OptOutAction, OptOutEffect
from otp_service.domain.quotas import QuotaState
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
    Started,
    Unlocked,
    Unreadable,
    Verified,
)
from otp_service.domain.verification import VerificationRecord, VerificationSnapshot

__all__ = [
    "Attempts",
    "ConversionCounts",
    "Idempotency",
    "InboundCursors",
    "Lockouts",
    "MessageQueue",
    "OptOuts",
    "Outbox",
    "ReceiptStore",
    "Verifications",
]


class Verifications(Protocol):
    """Starts, reads and ends verifications."""

    async def admit(self, admission: Admission) -> Admitted | Denied | Replay | InFlight | Mismatch:
        """Acquire every rate limit, the reservation of the recipient and the idempotency key.

        Returns:
            `Admitted`, or why the request is not admitted; then everything acquired is released.

        Raises:
            Refused: A part of the store did not answer. What is known to be acquired is released; `withdraw` releases
                the rest.
        """

    async def withdraw(self, admission: Admission) -> None:
        """Release the reservation and the idempotency key of an `admit` whose reply was lost. Safe to repeat."""

    async def release(self, admitted: Admitted) -> None:
        """Release everything that was acquired, also the idempotency key."""

    async def start(
        self,
        admitted: Admitted,
        verification_id: str,
        record: VerificationRecord,
        sealed_code: bytes | None,
        response: bytes | None,
    ) -> Started | ReservationExpired | IdInUse | Replay:
        """Store a verification, end the active one before it, and put its message into the outbox.

        Args:
            admitted: What `admit` has acquired.
            verification_id: The new id.
            record: The new record.
            sealed_code: The code for the outbox; None: a decoy, without a message.
            response: The sealed response to store under the idempotency key of `admitted`, if it has one.

        Returns:
            `Started`. `ReservationExpired`, `IdInUse`, or `Replay` (another request with the same key has started one):
            nothing was done, and the caller must `release`.
        """

    async def abandon(self, admitted: Admitted, verification_id: str) -> None:
        """Undo a `start` whose reply was lost, prevent a delayed one, and release everything. Safe to repeat.

        Does nothing if a gateway may have the message already.
        """

    async def cancel(self, verification_id: str, tenant: str) -> VerificationSnapshot | NotFound | Unreadable:
        """Cancel a verification if it is pending, and return it."""

    async def read(self, verification_id: str, tenant: str) -> VerificationSnapshot | NotFound | Unreadable:
        """Return a verification of `tenant`."""


class Attempts(Protocol):
    """Reserves attempts, and consumes verifications."""

    async def reserve_attempt(
        self, verification_id: str, tenant: str, policy: SendPolicy
    ) -> AttemptReserved | NotFound | RecipientLocked | AttemptsExhausted | AlreadyEnded | Unreadable:
        """Reserve one attempt, and count one failure for the recipient, before the code is compared.

        Returns:
            `AttemptReserved`, or why there is none; then nothing is reserved or counted.
        """

    async def count(self, rate_limit: RateLimit) -> tuple[QuotaState, ...]:
        """Count one event of a rate limit.

        Returns:
            Empty; or, if the limit is reached and nothing was counted, its windows that are used up.
        """

    async def consume(
        self, verification_id: str, at_ms: int | None = None, claim: IdempotencyClaim | None = None, sealed: bytes = b""
    ) -> Verified | NotFound | AlreadyEnded:
        """Record the correct code as the only success of a verification, and clear the failures of its recipient.

        Args:
            verification_id: The verification.
            at_ms: When the code was verified; None: now.
            claim: The idempotency key of the attempt.
            sealed: The sealed response, stored under `claim` in the same step.
        """


class Lockouts(Protocol):
    """The locks that wrong codes put on recipients."""

    async def unlock(self, partition: int, recipient: str, tenant: str, policy: SendPolicy) -> Unlocked:
        """Clear the recipient's wrong codes at the tenant, and every wait that follows from them; sends still count."""


class OptOuts(Protocol):
    """The numbers that get no messages, by the keyed hash of the recipient, for the whole service."""

    async def change(
        self, partition: int, recipient: str, action: OptOutAction | None, inbound: str = ""
    ) -> OptOutEffect:
        """Opt a number out or in.

        Args:
            partition: The partition of the recipient.
            recipient: The keyed hash of the number.
            action: What to do; None: only remember that the message was handled.
            inbound: The keyed hash of the inbound message, which has an effect once; "": there is none.
        """

    async def ends_ms(self, partition: int, recipient: str) -> int:
        """Return when the opt-out of a number ends, in ms; 0: it is not opted out."""

    async def count(self) -> int:
        """Count the opted-out numbers."""


class InboundCursors(Protocol):
    """How far the inbox of each provider was read. One replica reads an inbox at a time."""

    async def claim(self, provider: str, token: str, lease_ms: int) -> InboundClaim | None:
        """Lease an inbox to the holder of `token`; None: another replica has it, or it is not time yet."""

    async def advance(self, provider: str, token: str, cursor: int | None, next_ms: int) -> bool:
        """Store up to which time the inbox was read (None: unchanged), and after how many ms it may be claimed again.

        Returns:
            False if the lease has ended; then nothing is stored.
        """


class Idempotency(Protocol):
    """Idempotency keys of attempts. Those of requests for a code are handled by `Verifications.admit` and `start`."""

    async def claim(self, claim: IdempotencyClaim, verification_id: str) -> KeyClaimed | Replay | InFlight | Mismatch:
        """Claim the key for an attempt at `verification_id`, before the attempt is reserved. `KeyClaimed`: go on."""

    async def keep(self, claim: IdempotencyClaim, verification_id: str, response: bytes, *, briefly: bool) -> None:
        """Store the sealed response of an unsuccessful attempt for a day, or `briefly`: while the id can be found."""

    async def release(self, claim: IdempotencyClaim) -> None:
        """Release the key if this caller still owns it, because its response is not stored."""


class Outbox(Protocol):
    """The messages that wait to be sent. A worker leases a message while it works on it."""

    async def claim(self) -> tuple[Sequence[ClaimedMessage], int, int]:
        """Lease due messages.

        Returns:
            The leased messages; for how many ms the oldest due message has waited; how many messages are in the outbox.
        """

    async def claim_near(self, verification_ids: Collection[str]) -> Sequence[ClaimedMessage]:
        """Lease due messages in the partitions of these verifications only, which is cheaper than `claim`."""

    async def release_to_others(self, verification_id: str, lease: int, seconds: float | None = None) -> None:
        """Leave a message to other replicas because this one cannot send it.

        This replica does not claim it again, or not for `seconds`.
        """

    async def begin(
        self,
        verification_id: str,
        lease: int,
        provider: str,
        deadline_ms: int,
        *,
        idempotent_send: bool = False,
        channel: Channel = Channel.SMS,
        channel_hold_ms: int = 0,
        parts: int = 1,
    ) -> CallStarted | None:
        """Check again that the message may be sent, and set its delivery to `sending`.

        Args:
            verification_id: The message.
            lease: The lease that the worker holds.
            provider: The provider that will be called.
            deadline_ms: After how many ms the call counts as lost: its timeout plus the time to record the result.
            idempotent_send: The provider sends a message only once, so it may be called again after an
                ambiguous outcome.
            channel: The channel of this call.
            channel_hold_ms: For how long an acceptance by another channel prevents the call, if no receipt comes; 0:
                without a time limit.
            parts: How many parts the text probably has.

        Returns:
            None if the message must not be sent, or the lease is not valid any more.
        """

    async def record_result(self, verification_id: str, lease: int, update: DeliveryUpdate) -> None:
        """Record the outcome of a call. After the lease has ended, it only completes the record."""


class ReceiptStore(Protocol):
    """Records delivery receipts."""

    async def record_receipt(self, provider: str, receipt: Receipt, recipient: str) -> ReceiptEffect:
        """Record a receipt; `recipient` is the keyed hash of the number that it names, "" if it names none."""

    async def find_message(self, partition: int, recipient: str, provider: str, provider_message_id: str) -> str:
        """Return our id of the message that has this id at the gateway; "" if there is none.

        Only the current messages of the recipient (a keyed hash) are searched, one for each tenant and purpose.
        """

    async def mark_used(self, keyed_hash: str, use: str, seconds: int) -> bool:
        """Return whether `keyed_hash` is new within `seconds`, or was used for the same `use`."""

    async def remember_sent(self, keyed_hashes: Sequence[str], message_id: str, seconds: int) -> None:
        """Remember that a gateway's own ids, as keyed hashes, name a message."""

    async def find_sent(self, keyed_hashes: Sequence[str]) -> tuple[int, str] | None:
        """Return the position of the first known one of a gateway's ids, and its message; None if none is known."""


class ConversionCounts(Protocol):
    """The counts of sent and verified messages of all replicas."""

    async def add_and_read(self, added: Mapping[CountKey, int]) -> tuple[int, Mapping[CountKey, int]]:
        """Add to the counts, and return the current minute (since 1970) and all counts that still matter."""


class MessageQueue(Protocol):
    """Delivery, as the use cases see it."""

    def routes(self, country: str, e164: str, message_id: str, channels: Sequence[Channel]) -> tuple[ChannelRoute, ...]:
        """Return the providers for a message by channel, in the order in which they are tried; empty without a route.

        Each provider occurs once.
        """

    def deliver(self, message: ClaimedMessage) -> None:
        """Send a message in the background, at once; the caller holds its first lease."""

    def count_verified(self, e164: str, record: VerificationRecord) -> None:
        """Note that the code of a message to a number was verified."""
