"""A device with App Attest and Apple's authority, with certificates and signatures of their own.

Every part of an attestation can be replaced, to make forged ones that are right in all other parts.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA224, SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from otp_service.domain.captcha import request_hash
from tests.running_service import E164

APP_ID: Final = "A1B2C3D4E5.com.example.app"
PRODUCTION: Final = b"appattest" + bytes(7)
NONCE_OID: Final = x509.ObjectIdentifier("1.2.840.113635.100.8.2")
STARTED: Final = datetime.now(UTC)
DAY: Final = timedelta(days=1)


def cbor(value: Any) -> bytes:
    """Encode a value as iOS does."""
    match value:
        case bytes():
            return _head(2, len(value)) + value
        case str():
            return _head(3, len(value.encode())) + value.encode()
        case int():
            return _head(0, value) if value >= 0 else _head(1, -1 - value)
        case Mapping():
            return _head(5, len(value)) + b"".join(cbor(part) for pair in value.items() for part in pair)
        case _:
            return _head(4, len(value)) + b"".join(map(cbor, value))


def _head(kind: int, argument: int) -> bytes:
    if argument < 24:
        return bytes([kind << 5 | argument])
    size = next(size for size in range(4) if argument < 1 << (8 << size))
    return bytes([kind << 5 | 24 + size]) + argument.to_bytes(1 << size, "big")


@dataclass
class Authority:
    """A certificate with its key, which issues others."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    @functools.cache
    def root(cls, name: str = "Root", *, days: int = 2) -> Authority:
        """Make a root that is valid for this many days."""
        key, valid = ec.generate_private_key(ec.SECP384R1()), (STARTED - 9 * DAY, STARTED + days * DAY)
        return cls(certify(name, key, Authority(None, key), issuer_name=name, ca=True, valid=valid), key)  # type: ignore[arg-type]  # it issues itself

    def intermediate(self, **options: Any) -> Authority:
        """Issue an intermediate."""
        key = ec.generate_private_key(ec.SECP384R1())
        return Authority(certify("Intermediate", key, self, **{"ca": True, **options}), key)

    @property
    def pem(self) -> str:
        """The certificate in PEM."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def der(self) -> bytes:
        """The certificate in DER."""
        return self.certificate.public_bytes(Encoding.DER)


def certify(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: Authority,
    *,
    ca: bool | None = False,
    can_sign: bool | None = None,
    issuer_name: str | None = None,
    hashed: SHA224 | SHA256 | SHA384 | None = None,
    valid: tuple[datetime, datetime] = (STARTED - DAY, STARTED + 2 * DAY),
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> x509.Certificate:
    """Issue a certificate; `ca` None: without constraints; `can_sign` None: as an authority can."""
    issued_by = issuer.certificate.subject if issuer_name is None else _name(issuer_name)
    builder = x509.CertificateBuilder(issued_by, _name(name), key.public_key(), x509.random_serial_number(), *valid)
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=True)
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign")
    flags = dict.fromkeys((*others, "encipher_only", "decipher_only"), False)
    flags["key_cert_sign"] = bool(ca) if can_sign is None else can_sign
    builder = builder.add_extension(x509.KeyUsage(digital_signature=True, **flags), critical=True)
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, is_critical)
    return builder.sign(issuer.key, hashed or SHA384())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@functools.cache
def apple() -> tuple[Authority, Authority]:
    """Return the root and the intermediate that all tests share."""
    root = Authority.root()
    return root, root.intermediate()


def nonce_extension(nonce: bytes) -> x509.UnrecognizedExtension:
    """Return the extension of a leaf that contains the nonce."""
    return x509.UnrecognizedExtension(NONCE_OID, bytes.fromhex("3024a1220420") + nonce)


@dataclass
class Device:
    """An installation of the app: its key in the Secure Enclave, and the counter of its assertions."""

    app_id: str = APP_ID
    aaguid: bytes = PRODUCTION
    counter: int = 0
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def point(self) -> bytes:
        """The public key, uncompressed."""
        return self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    @property
    def raw_key_id(self) -> bytes:
        """The key id."""
        return hashlib.sha256(self.point).digest()

    @property
    def key_id(self) -> str:
        """The key id as iOS returns it."""
        return base64.b64encode(self.raw_key_id).decode()

    def attestation(self, client_data_hash: bytes, **forged: Any) -> bytes:
        """Return an attestation object; `forged` replaces parts of it, by name."""
        data = b"".join(
            (
                hashlib.sha256(forged.get("app_id", self.app_id).encode()).digest(),
                b"\x40",
                forged.get("counter", 0).to_bytes(4, "big"),
                forged.get("aaguid", self.aaguid),
                forged.get("credential_length", 32).to_bytes(2, "big"),
                forged.get("credential_id", self.raw_key_id),
                cbor({1: 2, 3: -7, -1: 1, -2: self.point[1:33], -3: self.point[33:]}),
            )
        )
        nonce = hashlib.sha256(data + client_data_hash).digest()
        members: dict[str, Any] = {
            "fmt": "apple-appattest",
            "attStmt": {"x5c": forged.get("x5c") or self.chain(nonce, **forged), "receipt": bytes(3900)},
            "authData": data,
        }
        return cbor({**members, **forged.get("members", {})})

    def chain(self, nonce: bytes, **forged: Any) -> list[bytes]:
        """Return the certificates of an attestation."""
        issuer = forged.get("issuer") or apple()[1]
        extensions = [*forged.get("extensions", [(nonce_extension(nonce), False)]), *forged.get("added", [])]
        options = {"hashed": SHA256(), "extensions": extensions, **forged.get("leaf", {})}
        leaf = certify("Leaf", forged.get("key", self.key), issuer, **options)
        return [leaf.public_bytes(Encoding.DER), forged.get("sent_intermediate", issuer.der)]

    def assertion(self, client_data_hash: bytes, **forged: Any) -> bytes:
        """Return the next assertion; `forged` replaces parts of it, by name."""
        self.counter += 1
        counter = forged.get("counter", self.counter).to_bytes(4, "big")
        data = hashlib.sha256(forged.get("app_id", self.app_id).encode()).digest() + b"\x40" + counter
        nonce = hashlib.sha256(data + client_data_hash).digest()
        signature = forged.get("key", self.key).sign(nonce, ec.ECDSA(SHA256()))
        return cbor({"signature": signature, "authenticatorData": forged.get("sent_data", data)})

    def registration(self, challenge: str, **forged: Any) -> dict[str, str]:
        """Return the body that registers the key."""
        attestation = self.attestation(hashlib.sha256(challenge.encode()).digest(), **forged)
        return {
            "key_id": self.key_id,
            "challenge": challenge,
            "attestation": base64.b64encode(attestation).decode(),
        }

    def token(self, challenge: str, *, recipient: str = E164, purpose: str = "login", **forged: Any) -> str:
        """Return the captcha token of a request for a code."""
        client_data = f"{challenge}\n{request_hash(purpose, recipient)}".encode()
        assertion = self.assertion(hashlib.sha256(client_data).digest(), **forged)
        return f"{self.key_id}.{challenge}.{base64.b64encode(assertion).decode()}"
