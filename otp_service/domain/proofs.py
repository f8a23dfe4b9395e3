"""A proof token that is presented for introspection: its state, and the port that remembers which were consumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

__all__ = ["IntrospectedProof", "PresentedProofs", "ProofState"]


class ProofState(StrEnum):
    """The state of an authentic proof before it was presented."""

    FRESH = "fresh"
    CONSUMED = "consumed"
    EXPIRED = "expired"


class PresentedProofs(Protocol):
    """The proofs that were consumed, until they expire."""

    async def present(self, keyed_hash: str, expires_at: int, *, consume: bool) -> ProofState:
        """Return the state of a proof, and with `consume` consume it if it is fresh: of N calls one finds it fresh.

        Args:
            keyed_hash: The keyed hash of the proof's tenant and id.
            expires_at: When it expires, in Unix seconds of the store's clock.
            consume: Whether to consume it.

        Raises:
            Refused: `store_unavailable`; the proof may be consumed.
        """


@dataclass(frozen=True, slots=True)
class IntrospectedProof:
    """A valid proof: its claims, and whether an earlier call has consumed it."""

    claims: Mapping[str, Any]
    is_consumed: bool

    @property
    def verification_id(self) -> str:
        """The verification that the proof is of."""
        return str(self.claims["jti"])

    def __repr__(self) -> str:
        """Show the id only."""
        return f"IntrospectedProof({self.verification_id})"
