"""What somebody with a dump of the store can find out: nothing about a code without the pepper."""

from __future__ import annotations

import base64
import secrets

import argon2
import pytest

from otp_service.crypto.hashing import HashCost, HashPool, MaskedHash, exclusive_or
from otp_service.crypto.keyring import Keyring
from otp_service.crypto.verification_cipher import VerificationCipher

CHEAP = HashCost(1, 8, 1)
CONTEXT = ("demo", "verification-1", "recipient-1", "login")
CODE = "0042"


async def stored(keyring: Keyring, prepared: int) -> tuple[str, bytes]:
    """Return the PHC string and the mask (b"" for none) that the store has for `CODE`."""
    pool = HashPool(CHEAP, threads=1, prepared=prepared)
    tenant, verification_id, recipient, purpose = CONTEXT
    cipher = VerificationCipher(keyring, pool)
    while True:
        phc, mask = await cipher.hash_code(verification_id, tenant, recipient, purpose, CODE)
        if bool(mask) == bool(prepared):
            break
    pool.close()
    return phc, base64.b64decode(mask)


def matching_codes(phc: str, mask: bytes, pepper: Keyring) -> list[str]:
    """Return every code of four digits that the hash matches, for an attacker who has `pepper`."""
    hasher = argon2.PasswordHasher()
    found = []
    for number in range(10**4):
        tenant, verification_id, recipient, purpose = CONTEXT
        secret = pepper.pepper_code("k1", tenant, verification_id, recipient, purpose, f"{number:04d}")
        assert secret is not None
        with_mask = exclusive_or(mask, secret) if mask else secret
        try:
            hasher.verify(phc, with_mask)
        except argon2.exceptions.VerifyMismatchError:
            continue
        found.append(f"{number:04d}")
    return found


@pytest.mark.parametrize("prepared", [0, 4])
async def test_every_code_is_tried_without_the_pepper(prepared: int) -> None:
    """All 10,000 codes fail under another pepper; under the right one, exactly the code matches."""
    key = secrets.token_bytes(32)
    phc, mask = await stored(Keyring({"k1": key}, current="k1", index="k1"), prepared)

    guessed = Keyring({"k1": bytes(32)}, current="k1", index="k1")
    assert matching_codes(phc, mask, guessed) == []
    assert matching_codes(phc, mask, Keyring({"k1": key}, current="k1", index="k1")) == [CODE]


async def test_a_hash_of_the_plain_code_is_not_stored() -> None:
    """The code itself, without HMAC and mask, does not match what is stored."""
    phc, mask = await stored(Keyring({"k1": bytes(32)}, current="k1", index="k1"), 4)
    hasher = argon2.PasswordHasher()

    for secret in (CODE.encode(), CODE.encode().ljust(32, b"\0"), exclusive_or(mask, CODE.encode().ljust(32, b"\0"))):
        with pytest.raises(argon2.exceptions.VerifyMismatchError):
            hasher.verify(phc, secret)


def test_the_salt_is_long_enough() -> None:
    """The salt has 16 bytes and the hash 32, with the parameters in the PHC string."""
    parameters = argon2.extract_parameters(CHEAP.hash(bytes(32)))

    assert (parameters.salt_len, parameters.hash_len, parameters.type) == (16, 32, argon2.Type.ID)
    assert MaskedHash(CHEAP.hash(bytes(32))).mask == b""
