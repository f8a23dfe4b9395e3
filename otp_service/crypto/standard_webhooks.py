"""Signatures of webhooks by the Standard Webhooks specification 1.0.0: `v1` (HMAC-SHA256) and `v1a` (Ed25519).

What is sent can be signed by both schemes; what is received is verified by the symmetric one. A signature covers
`{webhook-id}.{webhook-timestamp}.{body}`. The header `webhook-signature` lists one or more of them, separated by
spaces, so that two keys can be valid while one replaces the other. GoTrue (Supabase Auth) separates them by a comma and
a space, which is accepted, too. Entries of other schemes than `v1` are ignored. Who verifies must also refuse an id
that was handled before: the timestamp alone allows a replay within the tolerance.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = [
    "TOLERANCE_SECONDS",
    "Ed25519SigningKey",
    "SignatureInvalid",
    "SigningKey",
    "parse_webhook_secret",
    "sign_webhook",
    "verify_webhook",
]

TOLERANCE_SECONDS: Final = 300
"""How old a call may be, and how far in the future its time may be, as the reference libraries allow."""

_PREFIX: Final = "whsec_"
_PUBLIC_PREFIX: Final = "whpk_"
_SCHEME: Final = "v1"
_ED25519_SCHEME: Final = "v1a"
_SEED_BYTES: Final = 32
_MIN_SECRET_BYTES: Final = 16
"""The specification asks for 24; secrets that others have made with 16 bytes (128 bits) are accepted, too."""
_MAX_SECRET_BYTES: Final = 64
_MAX_SIGNATURES: Final = 16
"""Only this many entries of the header are compared."""
_MAX_ID_CHARACTERS: Final = 256
_MAX_TIMESTAMP_DIGITS: Final = 12


class SignatureInvalid(Exception):
    """A webhook is not authentic: a header is missing, its time is too far off, or no signature matches."""


class Ed25519SigningKey:
    """A key that signs by the scheme `v1a`; receivers verify with its public key."""

    PREFIX: Final = "whsk_"

    def __init__(self, text: str) -> None:
        """Read `whsk_` and base64 of the private key (32 bytes of RFC 8032), or of it and the public key (64).

        Raises:
            ValueError: It is another text. The error describes it and contains no part of it.
        """
        key = _decode(text.removeprefix(self.PREFIX))
        seed, public = key[:_SEED_BYTES], key[_SEED_BYTES:]
        if len(key) not in (_SEED_BYTES, 2 * _SEED_BYTES):
            raise ValueError(f"{len(key)} bytes instead of 32 (private key) or 64 (private key, then public key)")
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        own_public = self._private.public_key().public_bytes_raw()
        if public and public != own_public:
            raise ValueError("a private key with the public key of another one")
        self.public_text: Final = _PUBLIC_PREFIX + base64.b64encode(own_public).decode()

    def __repr__(self) -> str:
        """Show the public key only."""
        return f"Ed25519SigningKey({self.public_text})"

    def sign(self, content: bytes) -> bytes:
        """Return the signature, 64 bytes."""
        return self._private.sign(content)


SigningKey = bytes | Ed25519SigningKey
"""What signs a webhook: bytes are a symmetric key."""


def parse_webhook_secret(text: str) -> bytes:
    """Return the key of a secret such as `whsec_<base64>`, with or without its prefixes `v1,` and `whsec_`.

    Raises:
        ValueError: It is not base64 of 16-64 bytes.
    """
    encoded = text.strip().removeprefix(f"{_SCHEME},").removeprefix(_PREFIX)
    key = _decode(encoded)
    if not _MIN_SECRET_BYTES <= len(key) <= _MAX_SECRET_BYTES:
        raise ValueError(f"not {_MIN_SECRET_BYTES}-{_MAX_SECRET_BYTES} bytes")
    return key


def _decode(encoded: str) -> bytes:
    """Decode base64, with or without padding; raises `ValueError`."""
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        raise ValueError("not base64") from None


def sign_webhook(keys: Iterable[SigningKey], webhook_id: str, timestamp: int, body: bytes) -> str:
    """Return the header `webhook-signature` with one signature for each key; `timestamp` is in Unix seconds."""
    content = _signed_content(webhook_id, str(timestamp), body)
    return " ".join(
        f"{_ED25519_SCHEME},{base64.b64encode(key.sign(content)).decode()}"
        if isinstance(key, Ed25519SigningKey)
        else f"{_SCHEME},{_hmac_signature(key, content)}"
        for key in keys
    )


def verify_webhook(
    secrets: Sequence[bytes], webhook_id: str, timestamp: str, signatures: str, body: bytes, *, now: float
) -> None:
    """Check the signature of a received webhook, in constant time for each entry.

    Args:
        secrets: The valid secrets, one or two while one replaces the other.
        webhook_id: The header `webhook-id`.
        timestamp: The header `webhook-timestamp`.
        signatures: The header `webhook-signature`.
        body: The raw body.
        now: The current time in Unix seconds.

    Raises:
        SignatureInvalid: The call is not authentic.
    """
    if not 0 < len(webhook_id) <= _MAX_ID_CHARACTERS or "." in webhook_id:
        raise SignatureInvalid("the webhook-id is missing or not valid")
    is_number = 0 < len(timestamp) <= _MAX_TIMESTAMP_DIGITS and timestamp.isascii() and timestamp.isdecimal()
    if not is_number or abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        raise SignatureInvalid("the webhook-timestamp is missing or too far from the current time")
    sent = [
        value
        for scheme, _, value in (entry.rstrip(",").partition(",") for entry in signatures.split(" ", _MAX_SIGNATURES))
        if scheme == _SCHEME and value.isascii()
    ]
    content = _signed_content(webhook_id, timestamp, body)
    expected = [_hmac_signature(secret, content) for secret in secrets]
    matches = [hmac.compare_digest(one, other) for one in expected for other in sent[:_MAX_SIGNATURES]]
    if not any(matches):
        raise SignatureInvalid("no webhook-signature matches")


def _signed_content(webhook_id: str, timestamp: str, body: bytes) -> bytes:
    return f"{webhook_id}.{timestamp}.".encode() + body


def _hmac_signature(secret: bytes, content: bytes) -> str:
    return base64.b64encode(hmac.digest(secret, content, hashlib.sha256)).decode()
