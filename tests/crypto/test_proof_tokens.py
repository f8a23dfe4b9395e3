"""Proof tokens are read back by the service that signed them; every other text is not."""

from __future__ import annotations

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otp_service.crypto.pem import new_ed25519_pem
from otp_service.crypto.tokens import MAX_TOKEN_CHARS, ProofClaims, TokenSigner
from otp_service.domain.code_binding import UNBOUND, CodeBinding, Transaction

KEY = new_ed25519_pem()
PAID = Transaction("10.00", "IDR", "Toko")


@pytest.mark.parametrize(
    ("recipient", "bound"), [("+6281210100055", UNBOUND), ("a@example.com", CodeBinding(PAID, "session \u6f22"))]
)
def test_tokens_are_those_of_a_jwt_library(recipient: str, bound: CodeBinding) -> None:
    """PyJWT makes the same token, byte by byte, of the header and the claims that it reads in one."""
    signer = TokenSigner({"k": KEY, "other": new_ed25519_pem()}, current="k", issuer="https://otp.example.com")
    token, expires_at = signer.sign(ProofClaims("demo", "v", "s", recipient, "login", 1_700_000_000, bound))
    claims = dict(signer.read(token, "demo") or {})
    assert claims["exp"] == expires_at
    assert jwt.encode(claims, KEY, algorithm="EdDSA", headers=jwt.get_unverified_header(token)) == token


def test_the_longest_proof_is_read() -> None:
    """A proof with the longest address, payee, tenant and purpose is less than half of what is read."""
    signer = TokenSigner({"k" * 32: KEY}, current="k" * 32, issuer="https://" + "i" * 247)
    paid = Transaction("9" * 15 + ".9999", "IDR", "\u6f22" * 70)
    claims = ProofClaims(
        "t" * 32, "v" * 36, "s" * 22, "a@" + "b" * 252, "p" * 32, 1_700_000_000, CodeBinding(paid, "b")
    )
    token, _ = signer.sign(claims)
    assert len(token) < MAX_TOKEN_CHARS / 2
    assert (signer.read(token, "t" * 32) or {})["transaction"] == paid.values


@given(st.one_of(st.text(max_size=300), st.from_regex(r"\A[A-Za-z0-9_.=-]{0,300}\Z")))
def test_any_text_can_be_read(text: str) -> None:
    """No text raises; none that was not signed has claims."""
    signer = TokenSigner({"k": KEY}, current="k", issuer="i")
    assert signer.read(text, "demo") is None
