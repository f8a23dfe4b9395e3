"""Idempotency keys in Redis: one request per key, and one response per request.

A key is claimed for one request, identified by its fingerprint. No other call works under it while its owner may be
alive, and no other request can use it until it is released. The claim has a hash slot of its own, because callers
choose the keys. The response is in the slot of its verification: the script that starts or verifies one stores the
response in the same step. The stored response therefore decides, and not the claim.
"""

from __future__ import annotations

from typing import Final

from otp_service.domain.results import IdempotencyClaim, InFlight, KeyClaimed, Mismatch, Replay
from otp_service.domain.verification import MAX_CODE_AGE_MS
from otp_service.store.keys import idempotency_key, partition_of_id
from otp_service.store.replies import ScriptReply
from otp_service.store.scripts import ScriptCall, script
from otp_service.store.topology import Topology

__all__ = [
    "OWNER_TIMEOUT_MS",
    "RESPONSE_TTL_MS",
    "RedisIdempotency",
    "claim_call",
    "read_claim",
    "release_call",
    "response_args",
]

RESPONSE_TTL_MS: Final = 24 * 3600 * 1000
"""How long a response is kept: part of the public contract."""

BRIEF_TTL_MS: Final = 2 * MAX_CODE_AGE_MS
"""As long as a verification can be found: while its code is valid, and the 10 minutes after its end."""

OWNER_TIMEOUT_MS: Final = 15_000
"""An owner that has not finished for this long counts as gone: longer than any request may take."""


class RedisIdempotency:
    """`domain.ports.Idempotency` on any topology."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology

    async def claim(self, claim: IdempotencyClaim, verification_id: str) -> KeyClaimed | Replay | InFlight | Mismatch:
        """Claim the key and read the stored response, in one batch; see the port."""
        calls = [claim_call(claim)]
        if partition := partition_of_id(verification_id):
            key = partition.responses + claim.keyed_hash
            calls.append(ScriptCall(script("idempotency_read_response"), (key,), (claim.fingerprint,)))
        reply, *stored = await self._topology.send(calls)
        claimed = read_claim(reply)
        if stored and stored[0][0] == b"replay" and not isinstance(claimed, Mismatch):
            return Replay(stored[0][1])
        return claimed

    async def keep(self, claim: IdempotencyClaim, verification_id: str, response: bytes, *, briefly: bool) -> None:
        """Store a response; see the port."""
        if partition := partition_of_id(verification_id):
            key, ttl_ms = partition.responses + claim.keyed_hash, BRIEF_TTL_MS if briefly else RESPONSE_TTL_MS
            calls = [ScriptCall(script("idempotency_store_response"), (key,), (claim.fingerprint, response, ttl_ms))]
            await self._topology.send([*calls, release_call(claim, ttl_ms)] if briefly else calls)
        else:  # no response can be found under it
            await self.release(claim)

    async def release(self, claim: IdempotencyClaim) -> None:
        """Free the key; see the port."""
        await self._topology.send([release_call(claim)])


def claim_call(claim: IdempotencyClaim) -> ScriptCall:
    """Return the call that claims a key, for a batch."""
    args = (claim.fingerprint, claim.owner_token, OWNER_TIMEOUT_MS, RESPONSE_TTL_MS)
    return ScriptCall(script("idempotency_claim"), (idempotency_key(claim.keyed_hash),), args)


def release_call(claim: IdempotencyClaim, after_ms: int = 0) -> ScriptCall:
    """Return the call that frees a key if `claim` still owns it, at once or after a time, for a batch."""
    args = (claim.owner_token, after_ms)
    return ScriptCall(script("idempotency_release"), (idempotency_key(claim.keyed_hash),), args)


def response_args(claim: IdempotencyClaim, response: bytes) -> tuple[str | bytes | int, ...]:
    """Return the last arguments of every script that stores a response: fingerprint, sealed response, TTL in ms."""
    return (claim.fingerprint, response, RESPONSE_TTL_MS)


def read_claim(reply: ScriptReply) -> KeyClaimed | InFlight | Mismatch:
    """Read the reply of `idempotency_claim`."""
    match reply[0]:
        case b"claimed":
            return KeyClaimed()
        case b"in_flight":
            return InFlight(int(reply[1]))
        case b"mismatch":
            return Mismatch()
    raise AssertionError(f"idempotency_claim returned {reply[0]!r}")
