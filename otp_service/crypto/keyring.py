"""The keys of `[keys]`, and what derives from each of them by HKDF-SHA256 (RFC 5869).

From the key `index`, which never follows a rotation: the keyed hash that names a recipient, its partition, the
subjects of limits and the `sub` of tokens. From the key `current`: the pepper of code hashes and the sealing keys.
Key ids stand beside what was made under them, so a code in flight and a kept answer outlive a rotation.

Sealing is AES-256-GCM. Every sealed thing has a key of its own (HKDF, info = its kind and id), so random nonces
never meet under one key; kind and id are authenticated too, so nothing sealed can be moved to another place.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from otp_service.domain.ports import SealBroken

__all__ = ["Keyring", "length_prefixed"]

NONCE_BYTES = 12
SUBJECT_BYTES = 16
"""128 bits of a keyed hash name a recipient: no two meet, and nobody without the key can try numbers."""


def length_prefixed(*parts: str) -> bytes:
    """Join parts so that no two different lists give the same bytes."""
    encoded = [part.encode() for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


class Keyring:
    """Every listed key, and the two roles."""

    def __init__(self, keys: Mapping[str, bytes], *, current: str, index: str) -> None:
        """Take 32-byte `keys` by id; `current` makes new things, `index` names old and new ones alike."""
        self.current = current
        self._masters = {
            key_id: HKDF(SHA256(), 32, salt=None, info=b"otp-service master").derive(key)
            for key_id, key in keys.items()
        }
        self._peppers = {key_id: _derive(master, b"pepper") for key_id, master in self._masters.items()}
        self._index = _derive(self._masters[index], b"index")

    def __repr__(self) -> str:
        """Name the keys, not what they are."""
        return f"Keyring({', '.join(self._masters)})"

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all listed keys."""
        return tuple(self._masters)

    def keyed_hash(self, kind: str, *parts: str) -> str:
        """Name something private by a keyed hash: 22 characters of base64url."""
        return _text(self._index_mac(kind, *parts)[:SUBJECT_BYTES])

    def partition_for(self, kind: str, text: str, over: int) -> int:
        """Spread `text` evenly over `over` places, the same for ever."""
        return int.from_bytes(self._index_mac(kind, text)[:8], "big") % over

    def _index_mac(self, kind: str, *parts: str) -> bytes:
        return hmac.digest(self._index, length_prefixed(kind, *parts), hashlib.sha256)

    def pepper_code(self, key_id: str, *context: str) -> bytes | None:
        """Turn a code with its context into what Argon2id hashes; None when the key is not listed any more."""
        pepper = self._peppers.get(key_id)
        return None if pepper is None else hmac.digest(pepper, length_prefixed(*context), hashlib.sha256)

    def seal(self, kind: str, thing_id: str, plain: bytes, key_id: str | None = None) -> bytes:
        """Seal `plain` under a key of its own: nonce and ciphertext. The key id is kept by the caller."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher(key_id or self.current, kind, thing_id).encrypt(
            nonce, plain, length_prefixed(kind, thing_id)
        )

    def open(self, kind: str, thing_id: str, sealed: bytes, key_id: str) -> bytes:
        """Open what `seal` made; raises `SealBroken`."""
        if key_id not in self._masters:
            raise SealBroken(f"key {key_id} is not listed")
        nonce, body = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            return self._cipher(key_id, kind, thing_id).decrypt(nonce, body, length_prefixed(kind, thing_id))
        except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce
            raise SealBroken(f"a sealed {kind} does not open") from None

    def seal_text(self, kind: str, thing_id: str, plain: str) -> str:
        """Seal into base64url, for a record of text."""
        return _text(self.seal(kind, thing_id, plain.encode()))

    def open_text(self, kind: str, thing_id: str, sealed: str, key_id: str) -> str:
        """Open what `seal_text` made; raises `SealBroken`."""
        try:
            raw = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
        except ValueError:
            raise SealBroken(f"a sealed {kind} is not base64url") from None
        return self.open(kind, thing_id, raw, key_id).decode()

    def _cipher(self, key_id: str, kind: str, thing_id: str) -> AESGCM:
        return AESGCM(_derive(self._masters[key_id], length_prefixed("seal", kind, thing_id)))


def _derive(master: bytes, info: bytes) -> bytes:
    return HKDFExpand(SHA256(), 32, info).derive(master)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
