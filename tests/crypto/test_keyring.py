"""What is derived from a configured key is HKDF-SHA256 and HMAC-SHA256 as the library computes them in one step each.

Stored data depends on it: replicas of two versions read it side by side.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from otp_service.crypto.keyring import NONCE_BYTES, Keyring, length_prefixed

KEYS = {"k1": bytes(range(32)), "k2": bytes(range(32, 64))}
KEYRING = Keyring(KEYS, current="k2", index="k1")


def derived(key_id: str, info: bytes) -> bytes:
    """Derive a key with the library only."""
    master = HKDF(SHA256(), 32, salt=None, info=b"otp-service master").derive(KEYS[key_id])
    return HKDFExpand(SHA256(), 32, info).derive(master)


def joined(*parts: str) -> bytes:
    """Join parts, each after its length of four bytes."""
    return b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)


def test_keyed_hashes_and_peppered_codes_are_hmacs_under_derived_keys() -> None:
    """One is 16 bytes in base64url; a partition comes from 8 bytes; a pepper is that of the named key."""
    mac = hmac.digest(derived("k1", b"index"), joined("phone", "+6281210100055"), hashlib.sha256)
    assert KEYRING.keyed_hash("phone", "+6281210100055") == base64.urlsafe_b64encode(mac[:16]).rstrip(b"=").decode()
    assert KEYRING.partition_for("phone", "+6281210100055", 64) == int.from_bytes(mac[:8], "big") % 64
    for key_id in KEYS:
        context = ("acme", "é", "", "123456")
        expected = hmac.digest(derived(key_id, b"pepper"), joined(*context), hashlib.sha256)
        assert KEYRING.pepper_code(key_id, *context) == expected


def test_a_sealed_item_has_a_derived_key_of_its_own() -> None:
    """AES-256-GCM; the kind and the id are in the key and in what is authenticated."""
    sealed = KEYRING.seal("code", "id-1", b"secret", "k1")
    cipher = AESGCM(derived("k1", joined("seal", "code", "id-1")))
    assert cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], joined("code", "id-1")) == b"secret"
    nonce = bytes(NONCE_BYTES)
    own = nonce + cipher.encrypt(nonce, b"other", joined("code", "id-1"))
    assert KEYRING.open("code", "id-1", own, "k1") == b"other"


def test_parts_are_joined_each_after_its_length() -> None:
    """Two lists of parts that are joined are those of one list, and other lists give other bytes."""
    assert length_prefixed("a", "bc") == joined("a", "bc") == length_prefixed("a") + length_prefixed("bc")
    assert len({length_prefixed(*parts) for parts in (("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("",), ())}) == 6
