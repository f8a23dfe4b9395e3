"""The keys of `[keys]`, and what is derived from each of them by HKDF-SHA256 (RFC 5869).

The key `index` does not follow a rotation. From it come the keyed hash and the partition of a recipient, the keyed
hashes that rate limits count, and the `sub` of proof tokens. From the key `current` come the pepper of code hashes and
the keys that seal. The id of the key is stored with everything that was made under it, so that codes and stored
responses survive a rotation.

Sealing is AES-256-GCM. Every sealed item has a key of its own (HKDF, info = its kind and id), so two random nonces are
never used under one key. The kind and the id are authenticated too, so a sealed item cannot be moved to another record.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

__all__ = ["DecryptionError", "Keyring", "base64url", "length_prefixed"]

_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")

NONCE_BYTES = 12
KEY_BYTES = 32
KEYED_HASH_BYTES = 16
"""128 bits: recipients do not collide, and without the key nobody can search for the number of a hash."""


class DecryptionError(Exception):
    """A sealed item cannot be opened: it was changed or moved, or its key is not configured."""


def length_prefixed(*parts: str) -> bytes:
    """Join parts so that different lists of parts never give the same bytes.

    What is made of two lists, joined, is what is made of both together.
    """
    joined = b""
    for part in parts:
        encoded = part.encode()
        joined += len(encoded).to_bytes(4, "big") + encoded
    return joined


_SEAL_PREFIX: Final = length_prefixed("seal")


class Keyring:
    """All configured keys, and the two roles `current` and `index`."""

    def __init__(self, keys: Mapping[str, bytes], *, current: str, index: str) -> None:
        """Derive the keys.

        Args:
            keys: 32-byte keys by id.
            current: The id of the key for new hashes and sealed items.
            index: The id of the key for keyed hashes.
        """
        self.current = current
        self._masters = {
            key_id: _keyed(HKDF(SHA256(), KEY_BYTES, salt=None, info=b"otp-service master").derive(key))
            for key_id, key in keys.items()
        }
        self._peppers = {key_id: _keyed(_derive(master, b"pepper")) for key_id, master in self._masters.items()}
        self._index = _keyed(_derive(self._masters[index], b"index"))

    def __repr__(self) -> str:
        """Show the ids of the keys only."""
        return f"Keyring({', '.join(self._masters)})"

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of all configured keys."""
        return tuple(self._masters)

    def keyed_hash(self, kind: str, *parts: str) -> str:
        """Return a pseudonym for a private value such as a phone number: 22 characters of base64url."""
        return base64url(_mac(self._index, length_prefixed(kind, *parts))[:KEYED_HASH_BYTES])

    def partition_for(self, kind: str, text: str, partitions: int) -> int:
        """Return the partition of `text`, from 0 to `partitions` - 1: uniform, and always the same."""
        return int.from_bytes(_mac(self._index, length_prefixed(kind, text))[:8], "big") % partitions

    def pepper_code(self, key_id: str, *context: str) -> bytes | None:
        """Return what Argon2id hashes for a code and its context; None if the key is not configured."""
        pepper = self._peppers.get(key_id)
        return None if pepper is None else _mac(pepper, length_prefixed(*context))

    def seal(self, kind: str, item_id: str, plain: bytes, key_id: str | None = None) -> bytes:
        """Encrypt an item.

        Args:
            kind: What the item is, such as `phone`. It is authenticated, not stored.
            item_id: The id of the record that the item belongs to. It is authenticated, not stored.
            plain: The item.
            key_id: None: the current key. The caller stores which key it was.

        Returns:
            The nonce and the ciphertext.
        """
        nonce = secrets.token_bytes(NONCE_BYTES)
        identity = length_prefixed(kind, item_id)
        return nonce + self._cipher(key_id or self.current, identity).encrypt(nonce, plain, identity)

    def open(self, kind: str, item_id: str, sealed: bytes, key_id: str) -> bytes:
        """Decrypt an item that `seal` has encrypted with the same arguments; raises `DecryptionError`."""
        if key_id not in self._masters:
            raise DecryptionError(f"key {key_id} is not configured")
        nonce, body = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        identity = length_prefixed(kind, item_id)
        try:
            return self._cipher(key_id, identity).decrypt(nonce, body, identity)
        except (InvalidTag, ValueError):  # ValueError: too short to contain a nonce
            raise DecryptionError(f"a sealed {kind} cannot be decrypted") from None

    def seal_text(self, kind: str, item_id: str, plain: str) -> str:
        """Encrypt a text under the current key, as base64url."""
        return base64url(self.seal(kind, item_id, plain.encode()))

    def open_text(self, kind: str, item_id: str, sealed: str, key_id: str) -> str:
        """Decrypt what `seal_text` has encrypted; raises `DecryptionError`."""
        try:
            raw = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
        except ValueError:
            raise DecryptionError(f"a sealed {kind} is not base64url") from None
        return self.open(kind, item_id, raw, key_id).decode()

    def _cipher(self, key_id: str, identity: bytes) -> AESGCM:
        return AESGCM(_derive(self._masters[key_id], _SEAL_PREFIX + identity))


def _keyed(key: bytes) -> HMAC:
    return HMAC(key, SHA256())


def _mac(keyed: HMAC, message: bytes) -> bytes:
    """Return the HMAC of a message: with a copy, because OpenSSL takes three times as long from the key."""
    mac = keyed.copy()
    mac.update(message)
    return mac.finalize()


def _derive(master: HMAC, info: bytes) -> bytes:
    """Return a key of `KEY_BYTES`: HKDF-Expand, of which that many bytes are the first block."""
    return _mac(master, info + b"\x01")


def base64url(raw: bytes) -> str:
    """Encode bytes as RFC 7515 does, without padding."""
    return base64.b64encode(raw).translate(_URL_SAFE, b"=").decode()
