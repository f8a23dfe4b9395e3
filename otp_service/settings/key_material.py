"""Keys as they come out of files and variables: base64 of 32 bytes, and Ed25519 private keys in PEM.

Both are read in every form in which tools write them. Each refusal gives the reason, and never a part of the value.
"""

from __future__ import annotations

import base64
import re
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from otp_service.domain.typed_text import strip_invisible
from otp_service.settings.mistakes import NotAllowed

__all__ = ["KEY_BYTES", "ed25519_pem", "key_base64", "refused", "unquoted"]

KEY_BYTES: Final = 32

_BASE64: Final = re.compile(r"([A-Za-z0-9+/_-]*)={0,2}")
_HEXADECIMAL: Final = re.compile(rf"[0-9A-Fa-f]{{{2 * KEY_BYTES}}}")
_URL_SAFE: Final = str.maketrans("-_", "+/")
_QUOTES: Final = ('"', "'")

_NO_KEY: Final = (
    ("-----BEGIN OPENSSH ", "is a key of OpenSSH, not PEM of PKCS 8"),
    ("-----BEGIN PUBLIC ", "is a public key, not a private one"),
    ("-----BEGIN CERTIFICATE-", "is a certificate, not a private key"),
    ("LS0tLS1CRUdJTi", "is base64 of a PEM: decode it once"),
)


def refused(reason: str) -> NotAllowed:
    """Make the refusal of a secret: `reason` goes on behind "the value (not shown)"."""
    return NotAllowed(f"the value (not shown) {reason}")


def unquoted(text: str) -> str:
    """Take off the quotes that some env files keep; for values that no quote can be a part of."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in _QUOTES:
        return strip_invisible(text[1:-1])
    return text


def key_base64(text: str) -> str:
    """Give the base64 of a 32-byte key that is written in base64 or base64url, with padding or without."""
    found = _BASE64.fullmatch(unquoted(text))
    if not found:
        raise refused("is not base64: it has a character outside the alphabet")
    body = found[1].translate(_URL_SAFE)
    if _HEXADECIMAL.fullmatch(body):
        raise refused("is hexadecimal, not base64")
    if len(body) % 4 == 1:
        raise refused("is not base64: it is cut off, or has a character too many")
    key = base64.b64decode(body + "=" * (-len(body) % 4))
    if len(key) != KEY_BYTES:
        raise refused(f"is {len(key)} bytes instead of {KEY_BYTES}")
    return base64.b64encode(key).decode()


def ed25519_pem(text: str) -> str:
    r"""Give the PEM of an Ed25519 key whose line ends may be spaces, doubled, or the two characters `\n`."""
    written = unquoted(text).replace("\\r", "").replace("\\n", "\n").replace("\\", "")
    pem = "\n".join(filter(None, map(str.strip, written.splitlines())))
    for mark, reason in _NO_KEY:
        if mark in pem:
            raise refused(reason)
    if "-----BEGIN " not in pem or "-----END " not in pem:
        raise refused("is not PEM: a BEGIN or END line is missing")
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except TypeError:
        raise refused("is PEM of an encrypted key") from None
    except (ValueError, UnsupportedAlgorithm):
        raise refused("is PEM, but not of a key that can be read") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise refused("is PEM of another kind of key, not of an Ed25519 key")
    return pem
