"""Proof tokens: a JWT that states which number or address was verified, for backends that check it offline by the JWKS.

EdDSA over Ed25519, in the compact form of RFC 7515. A token is read with PyJWT; it is put together here, because PyJWT
takes 30 calls of Python for each one. The `typ` distinguishes the token from every other JWT (RFC 8725, 3.11). The
`aud` is the tenant, so a proof of one tenant is not valid for another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import OKPAlgorithm

from otp_service.crypto.keyring import base64url
from otp_service.domain.code_binding import UNBOUND, CodeBinding
from otp_service.domain.recipient import is_address

__all__ = ["ProofClaims", "TokenSigner"]

TYPE: Final = "otp-verification+jwt"
ALGORITHM: Final = "EdDSA"
TTL_SECONDS: Final = 300
"""A proof token is valid for at most 5 minutes."""

MAX_TOKEN_CHARS: Final = 4096
"""A longer text is not parsed as a token: the longest that is signed here has less than half as many characters."""

_READING: Final[Any] = {
    "require": ["iss", "aud", "sub", "jti", "iat", "exp", "purpose"],
    "strict_aud": True,
    "verify_exp": False,
    "verify_iat": False,
}
"""How a token is read: its times are those of the store's clock, and are compared with it there."""


@dataclass(frozen=True, slots=True)
class ProofClaims:
    """What a token states. `subject` is the keyed hash of the recipient, `verified_at` is in Unix seconds.

    `bound` is what the code was bound to: a transaction is stated as it is, another text by its SHA-256 in base64url.
    """

    tenant: str
    verification_id: str
    subject: str
    recipient: str
    purpose: str
    verified_at: int
    bound: CodeBinding = UNBOUND


class TokenSigner:
    """Signs with the current key, and publishes the public keys of all."""

    def __init__(self, keys: Mapping[str, str], *, current: str, issuer: str) -> None:
        """Load the keys.

        Args:
            keys: Ed25519 private keys in PEM by id.
            current: The id of the key that signs.
            issuer: The `iss` of the tokens.

        Raises:
            ValueError: A key is not an Ed25519 private key.
        """
        self._keys = {key_id: _ed25519(pem) for key_id, pem in keys.items()}
        self._current = current
        self._issuer = issuer
        self._header = base64url(msgspec.json.encode({"alg": ALGORITHM, "kid": current, "typ": TYPE}))

    def __repr__(self) -> str:
        """Show the ids of the keys only."""
        return f"TokenSigner({', '.join(self._keys)})"

    def sign(self, proof: ProofClaims) -> tuple[str, int]:
        """Return the signed token, and when it expires (Unix seconds)."""
        expires_at = proof.verified_at + TTL_SECONDS
        claims = {
            "iss": self._issuer,
            "aud": proof.tenant,
            "sub": proof.subject,
            "jti": proof.verification_id,
            "iat": proof.verified_at,
            "exp": expires_at,
            "email" if is_address(proof.recipient) else "phone": proof.recipient,
            "purpose": proof.purpose,
            **_bound_claims(proof.bound),
        }
        signed = f"{self._header}.{base64url(msgspec.json.encode(claims))}"
        signature = self._keys[self._current].sign(signed.encode())
        return f"{signed}.{base64url(signature)}", expires_at

    def read(self, token: str, tenant: str) -> Mapping[str, Any] | None:
        """Return the claims of a token that was signed here for a tenant, also by an earlier key that is configured.

        Whether it has expired is left to the caller. None for any other text.
        """
        if len(token) > MAX_TOKEN_CHARS:
            return None
        try:
            header = jwt.get_unverified_header(token)
            key = self._keys.get(str(header.get("kid")))
            if key is None or header.get("typ") != TYPE:
                return None
            public = key.public_key()
            claims: Mapping[str, Any] = jwt.decode(
                token, public, algorithms=[ALGORITHM], audience=tenant, issuer=self._issuer, options=_READING
            )
        except (jwt.PyJWTError, ValueError, RecursionError):
            return None
        return claims

    def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """Return the public keys as a JWK Set (RFC 7517), including retired keys that are still configured."""
        return {"keys": [_public_jwk(key_id, key) for key_id, key in self._keys.items()]}


def _bound_claims(bound: CodeBinding) -> dict[str, Any]:
    claims: dict[str, Any] = {}
    if bound.transaction is not None:
        claims["transaction"] = bound.transaction.values
    if bound.text:
        claims["binding_sha256"] = base64url(hashlib.sha256(bound.text.encode()).digest())
    return claims


def _ed25519(pem: str) -> Ed25519PrivateKey:
    key = load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("not an Ed25519 private key")
    return key


def _public_jwk(key_id: str, key: Ed25519PrivateKey) -> dict[str, Any]:
    public: dict[str, Any] = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**public, "kid": key_id, "use": "sig", "alg": ALGORITHM}
