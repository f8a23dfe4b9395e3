"""The certificate chain of an App Attest attestation: a leaf for the app's key, Apple's intermediate, and the root.

The leaf is valid for three days. Its extension 1.2.840.113635.100.8.2 contains the nonce of the attestation.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512

from otp_service.domain.typed_text import join_pem_lines

__all__ = ["APPLE_ROOT", "AttestedLeaf", "InvalidChain", "load_root", "verify_chain"]

APPLE_ROOT: Final = """-----BEGIN CERTIFICATE-----
MIICITCCAaegAwIBAgIQC/O+DvHN0uD7jG5yH2IXmDAKBggqhkjOPQQDAzBSMSYw
JAYDVQQDDB1BcHBsZSBBcHAgQXR0ZXN0YXRpb24gUm9vdCBDQTETMBEGA1UECgwK
QXBwbGUgSW5jLjETMBEGA1UECAwKQ2FsaWZvcm5pYTAeFw0yMDAzMTgxODMyNTNa
Fw00NTAzMTUwMDAwMDBaMFIxJjAkBgNVBAMMHUFwcGxlIEFwcCBBdHRlc3RhdGlv
biBSb290IENBMRMwEQYDVQQKDApBcHBsZSBJbmMuMRMwEQYDVQQIDApDYWxpZm9y
bmlhMHYwEAYHKoZIzj0CAQYFK4EEACIDYgAERTHhmLW07ATaFQIEVwTtT4dyctdh
NbJhFs/Ii2FdCgAHGbpphY3+d8qjuDngIN3WVhQUBHAoMeQ/cLiP1sOUtgjqK9au
Yen1mMEvRq9Sk3Jm5X8U62H+xTD3FE9TgS41o0IwQDAPBgNVHRMBAf8EBTADAQH/
MB0GA1UdDgQWBBSskRBTM72+aEH/pwyp5frq5eWKoTAOBgNVHQ8BAf8EBAMCAQYw
CgYIKoZIzj0EAwMDaAAwZQIwQgFGnByvsiVbpTKwSga0kP0e8EeDS4+sQmTvb7vn
53O5+FRXgeLhpJ06ysC5PrOyAjEAp5U4xDgEgllF7En3VcE3iexZZtKeYnpqtijV
oyFraWVIyd/dganmrduC1bmTBGwD
-----END CERTIFICATE-----
"""
"""Apple App Attestation Root CA, from www.apple.com/certificateauthority/Apple_App_Attestation_Root_CA.pem.

Valid from 2020-03-18 to 2045-03-15; SHA-256 1cb9823ba28ba6ad2d33a006941de2ae4f513ef1d4e831b9f7e0fa7b6242c932.
"""

CHAIN_LENGTH: Final = 2
"""The leaf and the intermediate; the root is not sent."""

_NONCE_OID: Final = x509.ObjectIdentifier("1.2.840.113635.100.8.2")
_NONCE_PREFIX: Final = bytes.fromhex("3024a1220420")
"""DER of a sequence with one element [1], which contains 32 octets."""

_HASHES: Final = (SHA256, SHA384, SHA512)
_UNREADABLE: Final = (
    ValueError,
    TypeError,
    InvalidSignature,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    x509.InvalidVersion,
)
"""What `cryptography` raises for certificates that it cannot read, or that their issuer has not signed."""


class InvalidChain(Exception):
    """The certificates are not a valid chain to the root, or the leaf lacks what an attestation needs."""


class AttestedLeaf:
    """The verified leaf: what it says of the app's key."""

    def __init__(self, certificate: x509.Certificate) -> None:
        """Read a certificate that was verified; raises `InvalidChain`."""
        key = certificate.public_key()
        if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
            raise InvalidChain("the leaf has another kind of key")
        try:
            nonce = certificate.extensions.get_extension_for_oid(_NONCE_OID).value
        except x509.ExtensionNotFound:
            raise InvalidChain("the leaf has no nonce") from None
        self.public_key = key
        self._nonce = nonce.public_bytes()

    def nonce(self) -> bytes:
        """Return the nonce; b"" if it does not have Apple's form."""
        return self._nonce.removeprefix(_NONCE_PREFIX) if self._nonce.startswith(_NONCE_PREFIX) else b""


def load_root(pem: str) -> x509.Certificate:
    """Return the root certificate of a PEM.

    Raises:
        ValueError: It is not the PEM of one certificate of an authority with a key on an elliptic curve.
    """
    try:
        root = x509.load_pem_x509_certificate(join_pem_lines(pem).encode())
        is_usable = _is_authority(root) and isinstance(root.public_key(), EllipticCurvePublicKey)
    except _UNREADABLE:
        raise ValueError("not the PEM of a certificate that can be read") from None
    if not is_usable:
        raise ValueError("not an authority with a key on an elliptic curve")
    return root


def verify_chain(chain: Sequence[bytes], root: x509.Certificate, now: datetime) -> AttestedLeaf:
    """Verify the certificates of an attestation, the leaf first, and return the leaf.

    No extension of a certificate is read before its signature was verified. Extensions that are critical and not known
    are refused (RFC 5280, 4.2).

    Raises:
        InvalidChain: A signature, an issuer, a constraint or a time is wrong.
    """
    if len(chain) != CHAIN_LENGTH:
        raise InvalidChain("another number of certificates")
    try:
        leaf, intermediate = (x509.load_der_x509_certificate(der) for der in chain)
        _check_issued(intermediate, root, now)
        if not _is_authority(intermediate):
            raise InvalidChain("the intermediate is no authority")
        _check_issued(leaf, intermediate, now)
        if _constraints(leaf).ca:
            raise InvalidChain("the leaf is an authority")
        if not root.not_valid_before_utc <= now <= root.not_valid_after_utc:
            raise InvalidChain("the root is not valid now")
        return AttestedLeaf(leaf)
    except _UNREADABLE:
        raise InvalidChain("a certificate cannot be read, or was signed by another issuer") from None


def _check_issued(certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> None:
    certificate.verify_directly_issued_by(issuer)
    if not isinstance(certificate.signature_hash_algorithm, _HASHES):
        raise InvalidChain("a signature over another hash")
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise InvalidChain("a certificate is not valid now")
    for extension in certificate.extensions:
        if extension.critical and isinstance(extension.value, x509.UnrecognizedExtension):
            raise InvalidChain("a critical extension that is not known")


def _is_authority(certificate: x509.Certificate) -> bool:
    """Return whether a certificate may sign others."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return _constraints(certificate).ca and usage.key_cert_sign


def _constraints(certificate: x509.Certificate) -> x509.BasicConstraints:
    """Return the constraints of a certificate; without any it is no authority."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return x509.BasicConstraints(ca=False, path_length=None)
