"""Proof tokens: a JWT that says who proved which number, checked offline against the JWKS.

EdDSA over Ed25519 through PyJWT. `typ` tells the token apart from every other JWT (RFC 8725, 3.11); `aud` is the
tenant, so one tenant's proof is worth nothing to another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import OKPAlgorithm

__all__ = ["Proof", "TokenSigner"]

TYPE: Final = "otp-verification+jwt"
ALGORITHM: Final = "EdDSA"
LIFE_SECONDS: Final = 300
"""At most 5 minutes (design.md section 3)."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a token says; `subject` is the keyed hash of the number, `verified_at` in Unix seconds."""

    tenant: str
    verification_id: str
    subject: str
    phone: str
    purpose: str
    verified_at: int


class TokenSigner:
    """Signs with the current key, and publishes every listed one."""

    def __init__(self, keys: Mapping[str, str], *, current: str, issuer: str) -> None:
        """Take Ed25519 private `keys` in PEM by id; raises ValueError for any other kind."""
        self._keys = {key_id: _ed25519(pem) for key_id, pem in keys.items()}
        self._current = current
        self._issuer = issuer

    def __repr__(self) -> str:
        """Name the keys, not what they are."""
        return f"TokenSigner({', '.join(self._keys)})"

    def sign(self, proof: Proof) -> tuple[str, int]:
        """Make the token; also the Unix second at which it ends."""
        ends = proof.verified_at + LIFE_SECONDS
        claims = {
            "iss": self._issuer,
            "aud": proof.tenant,
            "sub": proof.subject,
            "jti": proof.verification_id,
            "iat": proof.verified_at,
            "exp": ends,
            "phone": proof.phone,
            "purpose": proof.purpose,
        }
        headers = {"typ": TYPE, "kid": self._current}
        return jwt.encode(claims, self._keys[self._current], algorithm=ALGORITHM, headers=headers), ends

    def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """The public halves (RFC 7517), those of retired keys too while they are listed."""
        return {"keys": [_public(key_id, key) for key_id, key in self._keys.items()]}


def _ed25519(pem: str) -> Ed25519PrivateKey:
    key = load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("not an Ed25519 private key")
    return key


def _public(key_id: str, key: Ed25519PrivateKey) -> dict[str, Any]:
    public: dict[str, Any] = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**public, "kid": key_id, "use": "sig", "alg": ALGORITHM}
