"""Attempts in Redis: reserved before the code is compared, and consumed by one script.

The script that makes the success also stores its response, so a caller that lost the reply gets it again. An attempt at
a verification that this replica cannot read, because its key is not (or no longer) in the config here, is not counted.
The proof of a success may be consumed, once.
"""

from __future__ import annotations

from collections.abc import Collection

from otp_service.domain.limits import DISABLED_RETRY_MS, LockKind, SendPolicy
from otp_service.domain.proofs import ProofState
from otp_service.domain.quotas import QuotaState, violated_states
from otp_service.domain.results import (
    AlreadyEnded,
    AttemptReserved,
    AttemptsExhausted,
    IdempotencyClaim,
    NotFound,
    RateLimit,
    RecipientLocked,
    Unlocked,
    Unreadable,
    Verified,
)
from otp_service.domain.verification import VerificationStatus
from otp_service.store.encoding import encode_lockout, encode_windows, pack, unpack_snapshot
from otp_service.store.idempotency_keys import response_args
from otp_service.store.keys import ALL_PARTITIONS, limit_key, partition_of_id, proof_key
from otp_service.store.replies import ScriptReply
from otp_service.store.scripts import ScriptCall, script
from otp_service.store.topology import Topology

__all__ = ["RedisAttempts", "RedisLockouts", "RedisPresentedProofs"]


class RedisAttempts:
    """`domain.ports.Attempts` on any topology."""

    def __init__(self, topology: Topology, key_ids: Collection[str]) -> None:
        """Use `topology`; `key_ids` are the keys that this replica can compare with."""
        self._topology = topology
        self._key_ids = pack(tuple(key_ids))

    async def reserve_attempt(
        self, verification_id: str, tenant: str, policy: SendPolicy
    ) -> AttemptReserved | NotFound | RecipientLocked | AttemptsExhausted | AlreadyEnded | Unreadable:
        """Reserve one attempt before the code is compared; see the port."""
        partition = partition_of_id(verification_id)
        if partition is None:
            return NotFound()
        args = (
            tenant,
            encode_windows(policy.recipient_failures),
            encode_windows(policy.recipient),
            policy.cooldown_seconds * 1000,
            policy.max_sends,
            partition.recipients,
            self._key_ids,
            partition.lockouts,
            encode_lockout(policy.lockout),
            verification_id,
        )
        keys = (partition.verifications + verification_id,)
        [reply] = await self._topology.send([ScriptCall(script("reserve_attempt"), keys, args)])
        return _read_reservation(verification_id, reply, policy)

    async def count(self, rate_limit: RateLimit) -> tuple[QuotaState, ...]:
        """Count one event of a limit; see the port."""
        args = (encode_windows(rate_limit.windows),)
        call = ScriptCall(script("rate_limit_acquire"), (limit_key(rate_limit.limit, rate_limit.keyed_hash),), args)
        [reply] = await self._topology.send([call])
        if reply[0] == b"acquired":
            return ()
        return violated_states(rate_limit.limit, rate_limit.windows, reply[2:])

    async def consume(
        self, verification_id: str, at_ms: int | None = None, claim: IdempotencyClaim | None = None, sealed: bytes = b""
    ) -> Verified | NotFound | AlreadyEnded:
        """Turn a correct code into the one success; see the port."""
        partition = partition_of_id(verification_id)
        if partition is None:
            return NotFound()
        keys: tuple[str, ...] = partition.keys_of(verification_id)
        args: tuple[str | bytes | int, ...] = (
            verification_id,
            partition.recipients,
            partition.lockouts,
            "" if at_ms is None else at_ms,
        )
        if claim:
            keys, args = (
                (*keys, partition.responses + claim.keyed_hash),
                (*args, *response_args(claim, sealed), partition.recipient_indexes),
            )
        [reply] = await self._topology.send([ScriptCall(script("consume"), keys, args)])
        match reply[0]:
            case b"verified":
                return Verified(int(reply[1]))
            case b"not_found":
                return NotFound()
            case b"ended":
                return AlreadyEnded(VerificationStatus(reply[1].decode()))
        raise AssertionError(f"consume returned {reply[0]!r}")


class RedisLockouts:
    """`domain.ports.Lockouts` on any topology. The scripts of attempts and requests maintain the lockouts."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology

    async def unlock(self, partition: int, recipient: str, tenant: str, policy: SendPolicy) -> Unlocked:
        """Clear the recipient's wrong codes at the tenant; see the port."""
        of = ALL_PARTITIONS[partition]
        keys = (of.recipients + recipient, of.lockout(tenant, recipient))
        args = (tenant, encode_windows(policy.recipient_failures), encode_lockout(policy.lockout))
        [reply] = await self._topology.send([ScriptCall(script("unlock"), keys, args)])
        return Unlocked(was_locked=reply[2] == b"1", failures=int(reply[1]))


class RedisPresentedProofs:
    """`domain.proofs.PresentedProofs` on any topology."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology

    async def present(self, keyed_hash: str, expires_at: int, *, consume: bool) -> ProofState:
        """Return the state of a proof, and consume it; see the port."""
        args = (expires_at * 1000, "1" if consume else "")
        [reply] = await self._topology.send([ScriptCall(script("present_proof"), (proof_key(keyed_hash),), args)])
        return ProofState(reply[0].decode())


def _read_reservation(
    verification_id: str, reply: ScriptReply, policy: SendPolicy
) -> AttemptReserved | NotFound | RecipientLocked | AttemptsExhausted | AlreadyEnded | Unreadable:
    match reply[0]:
        case b"reserved":
            snapshot = unpack_snapshot(verification_id, reply[3], int(reply[1]))
            if isinstance(snapshot, NotFound):
                return snapshot
            return AttemptReserved(snapshot, int(reply[2]), LockKind(reply[4].decode()) if reply[4] else None)
        case b"not_found":
            return NotFound()
        case b"disabled":
            return RecipientLocked(DISABLED_RETRY_MS, disabled=True)
        case b"locked":
            violated = violated_states("recipient_failures", policy.recipient_failures, reply[3:])
            return RecipientLocked(int(reply[2]), violated=violated)
        case b"exhausted":
            return AttemptsExhausted(int(reply[2]))
        case b"unreadable":
            return Unreadable()
        case b"ended":
            return AlreadyEnded(VerificationStatus(reply[1].decode()))
    raise AssertionError(f"reserve_attempt returned {reply[0]!r}")
