r"""Ed25519 private keys in PEM, in the forms that tools and environment variables leave them.

Line ends may be spaces, doubled, or the two characters `\n`. Errors describe what was found and contain no part of it.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from otp_service.domain.typed_text import join_pem_lines

__all__ = ["InvalidPem", "ed25519_pem", "new_ed25519_pem"]

_OTHER_FORMATS: Final = (
    ("-----BEGIN OPENSSH ", "is a key of OpenSSH, not PEM of PKCS 8"),
    ("-----BEGIN PUBLIC ", "is a public key, not a private one"),
    ("-----BEGIN CERTIFICATE-", "is a certificate, not a private key"),
    ("LS0tLS1CRUdJTi", "is base64 of a PEM: decode it once"),
)


class InvalidPem(Exception):
    """The text is not a usable key; the message of the error says why."""


def ed25519_pem(text: str) -> str:
    """Return the PEM with one line end after each line.

    Raises:
        InvalidPem: The text is not the PEM of an unencrypted Ed25519 private key.
    """
    pem = join_pem_lines(text)
    for marker, reason in _OTHER_FORMATS:
        if marker in pem:
            raise InvalidPem(reason)
    if "-----BEGIN " not in pem or "-----END " not in pem:
        raise InvalidPem("is not PEM: a BEGIN or END line is missing")
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except TypeError:
        raise InvalidPem("is PEM of an encrypted key") from None
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidPem("is PEM, but not of a key that can be read") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidPem("is PEM of another kind of key, not of an Ed25519 key")
    return pem


def new_ed25519_pem() -> str:
    """Generate a private key; return it as unencrypted PKCS 8 PEM."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
