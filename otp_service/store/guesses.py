"""Guesses in Redis: paid for before they are judged, decided by one script, and answered once for each idempotency key.

What is kept under a guess' idempotency key lives beside the verification, so that the script that spends the attempt
and the one that makes the success see to it too: no attempt is spent for a repetition, and a success whose reply was
lost is told again. The caller's key itself, which may stand for any verification, is bound to one request apart from
that, in the same batch.
"""

from __future__ import annotations

from typing import Final

from otp_service.domain.transitions import (
    Ended,
    IdempotentCall,
    InFlight,
    Locked,
    Mismatch,
    Replay,
    SendPolicy,
    Spent,
    Unknown,
    Verified,
    WaitForSend,
)
from otp_service.domain.verification import Snapshot, Status
from otp_service.store.idempotency import abort_call, begin_args, bind_call, finish_call, stopped, unbind_call
from otp_service.store.keys import Partition, partition_of_id
from otp_service.store.link import Call, Reply
from otp_service.store.records import unpack
from otp_service.store.scripts import script
from otp_service.store.topology import Topology
from otp_service.store.windows import windows_text

__all__ = ["RedisGuesses"]

_NOT_KEPT: Final = (b"locked", b"exhausted")
_STOPS: Final = (b"mismatch", b"replay", b"in_flight")
_ENDS: Final = {
    b"used": Status.VERIFIED,
    b"verified": Status.VERIFIED,
    b"superseded": Status.SUPERSEDED,
    b"canceled": Status.CANCELED,
    b"expired": Status.EXPIRED,
}


class RedisGuesses:
    """`domain.ports.Guesses` on any topology."""

    def __init__(self, topology: Topology) -> None:
        """Work through `topology`."""
        self._topology = topology

    async def spend_attempt(
        self, verification_id: str, tenant: str, policies: SendPolicy, call: IdempotentCall | None = None
    ) -> Spent | Unknown | Locked | WaitForSend | Ended | Replay | InFlight | Mismatch:
        """Pay for a guess; see the port."""
        partition = partition_of_id(verification_id)
        calls = [_spend(partition, verification_id, tenant, policies, call)] if partition else []
        if call:
            calls.append(bind_call(call))
        replies = await self._topology.send(calls)
        spent = replies[0] if partition else [b"unknown"]
        if call and replies[-1][0] == b"other":
            if partition and spent[0] not in (*_STOPS, *_NOT_KEPT):
                await self._topology.send([abort_call(call, partition.answers + call.subject)])
            return Mismatch()
        if call and spent[0] in _NOT_KEPT:
            await self._topology.send([unbind_call(call)])
        return _read(verification_id, spent)

    async def consume(
        self, verification_id: str, at_ms: int | None = None, call: IdempotentCall | None = None, answer: bytes = b""
    ) -> Verified | Unknown | Ended:
        """Make the success; see the port."""
        partition = partition_of_id(verification_id)
        if partition is None:
            return Unknown()
        keys: tuple[str, ...] = partition.of(verification_id)
        args: tuple[str | bytes | int, ...] = (verification_id, partition.recipients, "" if at_ms is None else at_ms)
        if call:
            keys, args = (*keys, partition.answers + call.subject), (*args, call.fingerprint, answer)
        [reply] = await self._topology.send([Call(script("consume"), keys, args)])
        match reply[0]:
            case b"verified":
                return Verified(int(reply[1]))
            case b"unknown":
                return Unknown()
            case end:
                return Ended(_ENDS[end])

    async def keep(self, verification_id: str, call: IdempotentCall, answer: bytes) -> None:
        """Keep the answer of a guess that was no success; see the port."""
        partition = partition_of_id(verification_id)
        if partition:
            await self._topology.send([finish_call(call, answer, partition.answers + call.subject)])


def _spend(
    partition: Partition, verification_id: str, tenant: str, policies: SendPolicy, call: IdempotentCall | None
) -> Call:
    keys: tuple[str, ...] = (partition.verifications + verification_id,)
    args: tuple[str | bytes | int, ...] = (
        tenant,
        windows_text(policies.recipient_failures),
        windows_text(policies.recipient),
        policies.cooldown_seconds * 1000,
        policies.max_sends,
        partition.recipients,
    )
    if call:
        keys, args = (*keys, partition.answers + call.subject), (*args, *begin_args(call))
    return Call(script("spend_attempt"), keys, args)


def _read(
    verification_id: str, reply: Reply
) -> Spent | Unknown | Locked | WaitForSend | Ended | Replay | InFlight | Mismatch:
    match reply[0]:
        case b"spent":
            record = unpack(reply[3])
            return (
                Unknown() if record is None else Spent(Snapshot(verification_id, record, int(reply[1])), int(reply[2]))
            )
        case b"unknown":
            return Unknown()
        case b"locked":
            return Locked(int(reply[2]))
        case b"exhausted":
            return WaitForSend(int(reply[2]))
        case word if word in _STOPS:
            return stopped(reply)
        case end:
            return Ended(_ENDS[end])
