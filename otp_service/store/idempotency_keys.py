"""Callers' idempotency keys in Redis: one request for each key, and one answer for each request.

A key is claimed for one request, by its fingerprint: nobody else works under it while its owner may be alive, and it is
good for no other request until it is released. The claim stands alone, because a key may come with anything. The answer
stands with what it tells of, in the slot of the verification, so that the script that starts one, or makes the success
of one, keeps the answer in the same step: an answer that is there is the truth, whatever became of the claim.
"""

from __future__ import annotations

from typing import Final

from otp_service.domain.results import IdempotencyClaim, InFlight, KeyClaimed, Mismatch, Replay
from otp_service.store.keys import idempotency_key, partition_of_id
from otp_service.store.pipelined_connection import ScriptCall, ScriptReply
from otp_service.store.scripts import script
from otp_service.store.topology import Topology

__all__ = [
    "KEPT_MS",
    "RedisIdempotency",
    "answer_args",
    "claim_call",
    "claimed",
    "release_call",
]

KEPT_MS: Final = 24 * 3600 * 1000
"""How long an answer is kept (design.md section 3)."""

SILENT_MS: Final = 15_000
"""An owner of whom nothing was heard for this long has died: longer than any request may take."""


class RedisIdempotency:
    """`domain.ports.Idempotency` on any topology."""

    def __init__(self, topology: Topology) -> None:
        """Work through `topology`."""
        self._topology = topology

    async def claim(self, call: IdempotencyClaim, verification_id: str) -> KeyClaimed | Replay | InFlight | Mismatch:
        """Claim the key, and look for the answer, in one batch; see the port."""
        calls = [claim_call(call)]
        if partition := partition_of_id(verification_id):
            calls.append(ScriptCall(script("answer_read"), (partition.answers + call.keyed_hash,), (call.fingerprint,)))
        found, *answers = await self._topology.send(calls)
        claim = claimed(found)
        if answers and answers[0][0] == b"replay" and not isinstance(claim, Mismatch):
            return Replay(answers[0][1])
        return claim

    async def keep(self, call: IdempotencyClaim, verification_id: str, answer: bytes) -> None:
        """Keep an answer; see the port."""
        if partition := partition_of_id(verification_id):
            keep = ScriptCall(script("answer_keep"), (partition.answers + call.keyed_hash,), answer_args(call, answer))
            await self._topology.send([keep])

    async def release(self, call: IdempotencyClaim) -> None:
        """Free the key; see the port."""
        await self._topology.send([release_call(call)])


def claim_call(call: IdempotencyClaim) -> ScriptCall:
    """Make the call that claims a caller's key, for a batch."""
    args = (call.fingerprint, call.owner_token, SILENT_MS, KEPT_MS)
    return ScriptCall(script("idempotency_claim"), (idempotency_key(call.keyed_hash),), args)


def release_call(call: IdempotencyClaim) -> ScriptCall:
    """Make the call that frees a caller's key if it is still this owner's, for a batch."""
    return ScriptCall(script("idempotency_release"), (idempotency_key(call.keyed_hash),), (call.owner_token,))


def answer_args(call: IdempotencyClaim, answer: bytes) -> tuple[str | bytes | int, ...]:
    """Say what every script says that keeps an answer: of which request, what, and for how long."""
    return (call.fingerprint, answer, KEPT_MS)


def claimed(reply: ScriptReply) -> KeyClaimed | InFlight | Mismatch:
    """Read the answer of `idempotency_claim`."""
    match reply[0]:
        case b"claimed":
            return KeyClaimed()
        case b"in_flight":
            return InFlight(int(reply[1]))
        case _:
            return Mismatch()
