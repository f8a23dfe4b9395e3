"""introspect: whether a proof token is valid for a tenant, and whether it was presented before (RFC 7662)."""

from __future__ import annotations

from typing import Final

from otp_service.crypto.keyring import Keyring
from otp_service.crypto.tokens import TokenSigner
from otp_service.domain.proofs import IntrospectedProof, PresentedProofs, ProofState
from otp_service.domain.tenant import Tenant

__all__ = ["IntrospectProof"]

_KIND: Final = "proof"


class IntrospectProof:
    """The use case `introspect`; call the instance."""

    def __init__(self, signer: TokenSigner, proofs: PresentedProofs, keyring: Keyring) -> None:
        self._signer = signer
        self._proofs = proofs
        self._keyring = keyring

    async def __call__(self, tenant: Tenant, token: str, *, consume: bool) -> IntrospectedProof | None:
        """Return a proof if it is valid for `tenant`.

        Args:
            tenant: The tenant that asks. Proofs of other tenants are not valid for it.
            token: The token as it was presented; any text.
            consume: Accept the proof once: this call consumes it, and no later one with `consume` finds it valid.

        Returns:
            None if the proof is not valid: forged, of another tenant, expired, or, with `consume`, consumed before.

        Raises:
            Refused: `store_unavailable`; the proof may be consumed.
        """
        claims = self._signer.read(token, tenant.name)
        if claims is None:
            return None
        keyed_hash = self._keyring.keyed_hash(_KIND, tenant.name, claims["jti"])
        state = await self._proofs.present(keyed_hash, claims["exp"], consume=consume)
        if state is ProofState.EXPIRED or (consume and state is ProofState.CONSUMED):
            return None
        return IntrospectedProof(claims, state is ProofState.CONSUMED)
