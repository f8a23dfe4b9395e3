"""Guesses in Redis: paid for before they are judged, decided by one script, and answered once for each idempotency key.

The answer of a success is kept by the script that makes it, so a success whose reply was lost is told again. A guess
whose verification this replica cannot read, because its key is not listed here (yet, or any more), is not paid for.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from otp_service.domain.limits import DISABLED_RETRY_MS
from otp_service.domain.results import (
    AlreadyEnded,
    AttemptReserved,
    AttemptsExhausted,
    IdempotencyClaim,
    LockKind,
    NotFound,
    RateLimit,
    RecipientLocked,
    SendPolicy,
    Unreadable,
    Verified,
)
from otp_service.domain.verification import VerificationSnapshot, VerificationStatus
from otp_service.store.idempotency_keys import answer_args
from otp_service.store.keys import limit_key, partition_of_id
from otp_service.store.pipelined_connection import ScriptCall, ScriptReply
from otp_service.store.records import pack, unpack
from otp_service.store.script_arguments import lockout_text, windows_text
from otp_service.store.scripts import script
from otp_service.store.topology import Topology

__all__ = ["RedisAttempts"]

_ENDS: Final = {
    b"used": VerificationStatus.VERIFIED,
    b"verified": VerificationStatus.VERIFIED,
    b"superseded": VerificationStatus.SUPERSEDED,
    b"canceled": VerificationStatus.CANCELED,
    b"expired": VerificationStatus.EXPIRED,
}


class RedisAttempts:
    """`domain.ports.Guesses` on any topology."""

    def __init__(self, topology: Topology, key_ids: Collection[str]) -> None:
        """Work through `topology`; compare with what was made under one of `key_ids`."""
        self._topology = topology
        self._key_ids = pack(tuple(key_ids))

    async def reserve_attempt(
        self, verification_id: str, tenant: str, policies: SendPolicy
    ) -> AttemptReserved | NotFound | RecipientLocked | AttemptsExhausted | AlreadyEnded | Unreadable:
        """Pay for a guess; see the port."""
        partition = partition_of_id(verification_id)
        if partition is None:
            return NotFound()
        args = (
            tenant,
            windows_text(policies.recipient_failures),
            windows_text(policies.recipient),
            policies.cooldown_seconds * 1000,
            policies.max_sends,
            partition.recipients,
            self._key_ids,
            partition.lockouts,
            lockout_text(policies.lockout),
        )
        keys = (partition.verifications + verification_id,)
        [reply] = await self._topology.send([ScriptCall(script("reserve_attempt"), keys, args)])
        return _read(verification_id, reply)

    async def count(self, take: RateLimit) -> int:
        """Count one event of a limit; see the port."""
        call = ScriptCall(
            script("rate_limit_acquire"), (limit_key(take.limit, take.keyed_hash),), (windows_text(take.windows),)
        )
        [reply] = await self._topology.send([call])
        return 0 if reply[0] == b"taken" else int(reply[1])

    async def consume(
        self, verification_id: str, at_ms: int | None = None, call: IdempotencyClaim | None = None, answer: bytes = b""
    ) -> Verified | NotFound | AlreadyEnded:
        """Make the success; see the port."""
        partition = partition_of_id(verification_id)
        if partition is None:
            return NotFound()
        keys: tuple[str, ...] = partition.of(verification_id)
        args: tuple[str | bytes | int, ...] = (
            verification_id,
            partition.recipients,
            partition.lockouts,
            "" if at_ms is None else at_ms,
        )
        if call:
            keys, args = (*keys, partition.answers + call.keyed_hash), (*args, *answer_args(call, answer))
        [reply] = await self._topology.send([ScriptCall(script("consume"), keys, args)])
        match reply[0]:
            case b"verified":
                return Verified(int(reply[1]))
            case b"unknown":
                return NotFound()
            case end:
                return AlreadyEnded(_ENDS[end])


def _read(
    verification_id: str, reply: ScriptReply
) -> AttemptReserved | NotFound | RecipientLocked | AttemptsExhausted | AlreadyEnded | Unreadable:
    match reply[0]:
        case b"spent":
            record = unpack(reply[3])
            if record is None:
                return NotFound()
            locks = LockKind(reply[4].decode()) if reply[4] else None
            return AttemptReserved(VerificationSnapshot(verification_id, record, int(reply[1])), int(reply[2]), locks)
        case b"unknown":
            return NotFound()
        case b"disabled":
            return RecipientLocked(DISABLED_RETRY_MS, disabled=True)
        case b"locked":
            return RecipientLocked(int(reply[2]))
        case b"exhausted":
            return AttemptsExhausted(int(reply[2]))
        case b"unreadable":
            return Unreadable()
        case end:
            return AlreadyEnded(_ENDS[end])
