"""Signatures of webhooks by the Standard Webhooks specification 1.0.0, symmetric scheme `v1` (HMAC-SHA256).

A signature covers `{webhook-id}.{webhook-timestamp}.{body}`. The header `webhook-signature` lists one or more of them,
separated by spaces, so that two secrets can be valid while one replaces the other. GoTrue (Supabase Auth) separates
them by a comma and a space, which is accepted, too. Entries of other schemes (such as `v1a`, Ed25519) are ignored. Who
verifies must also refuse an id that was handled before: the timestamp alone allows a replay within the tolerance.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from typing import Final

__all__ = ["TOLERANCE_SECONDS", "SignatureInvalid", "parse_webhook_secret", "sign_webhook", "verify_webhook"]

TOLERANCE_SECONDS: Final = 300
"""How old a call may be, and how far in the future its time may be, as the reference libraries allow."""

_PREFIX: Final = "whsec_"
_SCHEME: Final = "v1"
_MIN_SECRET_BYTES: Final = 16
"""The specification asks for 24; secrets that others have made with 16 bytes (128 bits) are accepted, too."""
_MAX_SECRET_BYTES: Final = 64
_MAX_SIGNATURES: Final = 16
"""Of the header, only so many entries are compared."""
_MAX_ID_CHARACTERS: Final = 256
_MAX_TIMESTAMP_DIGITS: Final = 12


class SignatureInvalid(Exception):
    """A webhook is not authentic: a header is missing, its time is too far off, or no signature matches."""


def parse_webhook_secret(text: str) -> bytes:
    """Return the key of a secret such as `whsec_<base64>`, with or without its prefixes `v1,` and `whsec_`.

    Raises:
        ValueError: It is not base64 of 16-64 bytes.
    """
    encoded = text.strip().removeprefix(f"{_SCHEME},").removeprefix(_PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        raise ValueError("not base64") from None
    if not _MIN_SECRET_BYTES <= len(key) <= _MAX_SECRET_BYTES:
        raise ValueError(f"not {_MIN_SECRET_BYTES}-{_MAX_SECRET_BYTES} bytes")
    return key


def sign_webhook(secrets: Iterable[bytes], webhook_id: str, timestamp: int, body: bytes) -> str:
    """Return the header `webhook-signature` with one signature for each secret; `timestamp` is in Unix seconds."""
    return " ".join(f"{_SCHEME},{_signature(secret, webhook_id, str(timestamp), body)}" for secret in secrets)


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
    expected = [_signature(secret, webhook_id, timestamp, body) for secret in secrets]
    matches = [hmac.compare_digest(one, other) for one in expected for other in sent[:_MAX_SIGNATURES]]
    if not any(matches):
        raise SignatureInvalid("no webhook-signature matches")


def _signature(secret: bytes, webhook_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()
