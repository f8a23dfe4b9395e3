"""Guesses in Redis: paid for before they are judged, decided by one script, and answered once for each idempotency key.

The answer of a success is kept by the script that makes it, so a success whose reply was lost is told again. A guess
whose verification this replica cannot read, because its key is not listed here (yet, or any more), is not paid for.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from otp_service.domain.limits import DISABLED_RETRY_MS
from otp_service.domain.results import (
    Ended,
    IdempotentCall,
    Locked,
    LockKind,
    SendPolicy,
    Spent,
    Take,
    Unknown,
    Unreadable,
    Verified,
    WaitForSend,
)
from otp_service.domain.verification import Snapshot, Status
from otp_service.store.idempotency_keys import answer_args
from otp_service.store.keys import limit_key, partition_of_id
from otp_service.store.pipelined_connection import Call, Reply
from otp_service.store.records import pack, unpack
from otp_service.store.script_arguments import lockout_text, windows_text
from otp_service.store.scripts import script
from otp_service.store.topology import Topology

__all__ = ["RedisGuesses"]

_ENDS: Final = {
    b"used": Status.VERIFIED,
    b"verified": Status.VERIFIED,
    b"superseded": Status.SUPERSEDED,
    b"canceled": Status.CANCELED,
    b"expired": Status.EXPIRED,
}


class RedisGuesses:
    """`domain.ports.Guesses` on any topology."""

    def __init__(self, topology: Topology, key_ids: Collection[str]) -> None:
        """Work through `topology`; compare with what was made under one of `key_ids`."""
        self._topology = topology
        self._key_ids = pack(tuple(key_ids))

    async def spend_attempt(
        self, verification_id: str, tenant: str, policies: SendPolicy
    ) -> Spent | Unknown | Locked | WaitForSend | Ended | Unreadable:
        """Pay for a guess; see the port."""
        partition = partition_of_id(verification_id)
        if partition is None:
            return Unknown()
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
        [reply] = await self._topology.send([Call(script("spend_attempt"), keys, args)])
        return _read(verification_id, reply)

    async def count(self, take: Take) -> int:
        """Count one event of a limit; see the port."""
        call = Call(script("take"), (limit_key(take.limit, take.subject),), (windows_text(take.windows),))
        [reply] = await self._topology.send([call])
        return 0 if reply[0] == b"taken" else int(reply[1])

    async def consume(
        self, verification_id: str, at_ms: int | None = None, call: IdempotentCall | None = None, answer: bytes = b""
    ) -> Verified | Unknown | Ended:
        """Make the success; see the port."""
        partition = partition_of_id(verification_id)
        if partition is None:
            return Unknown()
        keys: tuple[str, ...] = partition.of(verification_id)
        args: tuple[str | bytes | int, ...] = (
            verification_id,
            partition.recipients,
            partition.lockouts,
            "" if at_ms is None else at_ms,
        )
        if call:
            keys, args = (*keys, partition.answers + call.subject), (*args, *answer_args(call, answer))
        [reply] = await self._topology.send([Call(script("consume"), keys, args)])
        match reply[0]:
            case b"verified":
                return Verified(int(reply[1]))
            case b"unknown":
                return Unknown()
            case end:
                return Ended(_ENDS[end])


def _read(verification_id: str, reply: Reply) -> Spent | Unknown | Locked | WaitForSend | Ended | Unreadable:
    match reply[0]:
        case b"spent":
            record = unpack(reply[3])
            if record is None:
                return Unknown()
            locks = LockKind(reply[4].decode()) if reply[4] else None
            return Spent(Snapshot(verification_id, record, int(reply[1])), int(reply[2]), locks)
        case b"unknown":
            return Unknown()
        case b"disabled":
            return Locked(DISABLED_RETRY_MS, disabled=True)
        case b"locked":
            return Locked(int(reply[2]))
        case b"exhausted":
            return WaitForSend(int(reply[2]))
        case b"unreadable":
            return Unreadable()
        case end:
            return Ended(_ENDS[end])
