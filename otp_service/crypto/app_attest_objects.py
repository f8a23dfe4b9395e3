"""Verify the attestations and assertions of Apple's App Attest; pure: bytes in, what they prove out.

developer.apple.com/documentation/devicecheck/validating-apps-that-connect-to-your-server. Both objects are CBOR.

- An attestation is `{fmt: "apple-appattest", attStmt: {x5c: [leaf, intermediate], receipt}, authData}`. The receipt,
  with which a server may ask Apple for a risk metric, is not used.
- An assertion is `{signature, authenticatorData}`.
- The authenticator data is the SHA-256 of the app id (32 bytes), flags (1), a counter (4); in an attestation also the
  AAGUID (16), the length of the credential id (2) and the credential id, which is the key id. What follows it (the key
  as COSE, extensions) is signed, but not read. Apple sets flags as it likes, so they are not read either.
- The key id is the SHA-256 of the public key as an uncompressed point of X9.62.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Literal, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import Certificate

from otp_service.crypto.attestation_chain import InvalidChain, verify_chain
from otp_service.crypto.cbor import InvalidCbor, decode_cbor

__all__ = ["KEY_ID_BYTES", "AppAttestRules", "AppEnvironment", "Assertion", "InvalidAttestation"]

AppEnvironment = Literal["production", "development"]

_AAGUIDS: Final = MappingProxyType({"production": b"appattest" + bytes(7), "development": b"appattestdevelop"})
"""The AAGUID of each environment: of apps from the App Store and TestFlight, and of those that Xcode has installed."""

FORMAT: Final = "apple-appattest"
KEY_ID_BYTES: Final = 32

_APP_ID: Final = slice(0, 32)
_COUNTER: Final = slice(33, 37)
_AAGUID: Final = slice(37, 53)
_CREDENTIAL_LENGTH: Final = slice(53, 55)
_CREDENTIAL: Final = slice(55, 55 + KEY_ID_BYTES)


class InvalidAttestation(Exception):
    """An attestation or assertion is not accepted; `why` is one word of a fixed list, for the log."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Assertion:
    """An assertion that was read, and not verified."""

    signature: bytes
    authenticator_data: bytes

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read an assertion; raises `InvalidAttestation`."""
        members = _members(raw)
        return cls(_bytes(members, "signature"), _bytes(members, "authenticatorData"))

    @property
    def counter(self) -> int:
        """How many assertions the key has made, this one included."""
        return int.from_bytes(self.authenticator_data[_COUNTER], "big")


class AppAttestRules:
    """Which apps are genuine: their ids, their environment, and the root of their certificates."""

    def __init__(self, app_ids: Iterable[str], environment: AppEnvironment, root: Certificate) -> None:
        """Accept `app_ids` (team id, period, bundle id) of an environment, with certificates of a root.

        `authority` identifies the environment and the root's key. A key that was attested for another one is not known.
        """
        root_key = root.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.authority = f"{environment} {hashlib.sha256(root_key).hexdigest()}"
        self._app_id_hashes = frozenset(hashlib.sha256(app_id.encode()).digest() for app_id in app_ids)
        self._aaguid = _AAGUIDS[environment]
        self._root = root

    def verify_attestation(self, raw: bytes, key_id: bytes, client_data_hash: bytes, now: datetime) -> bytes:
        """Verify an attestation object by Apple's nine steps.

        Args:
            raw: The object; the caller has bounded its size.
            key_id: The key that the app says is attested.
            client_data_hash: The SHA-256 of the challenge.
            now: The time at which the certificates must be valid.

        Returns:
            The public key, as a compressed point (33 bytes).

        Raises:
            InvalidAttestation: `malformed`, `format`, `chain`, `nonce`, `key_id`, `app_id`, `counter`, `environment` or
                `credential_id`.
        """
        members = _members(raw)
        if members.get("fmt") != FORMAT:
            raise InvalidAttestation("format")
        data, chain = _bytes(members, "authData"), _chain(members.get("attStmt"))
        try:
            leaf = verify_chain(chain, self._root, now)
        except InvalidChain:
            raise InvalidAttestation("chain") from None
        if not hmac.compare_digest(leaf.nonce(), _nonce(data, client_data_hash)):
            raise InvalidAttestation("nonce")
        point = leaf.public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        if not hmac.compare_digest(hashlib.sha256(point).digest(), key_id):
            raise InvalidAttestation("key_id")
        self._check_app(data)
        if any(data[_COUNTER]):
            raise InvalidAttestation("counter")
        if data[_AAGUID] != self._aaguid:
            raise InvalidAttestation("environment")
        if (int.from_bytes(data[_CREDENTIAL_LENGTH], "big"), data[_CREDENTIAL]) != (KEY_ID_BYTES, key_id):
            raise InvalidAttestation("credential_id")
        return leaf.public_key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)

    def verify_assertion(self, assertion: Assertion, public_key: bytes, client_data_hash: bytes) -> None:
        """Verify an assertion by the key's compressed point; its counter must be compared by the caller.

        Raises:
            InvalidAttestation: `signature` or `app_id`.
        """
        key = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), public_key)
        try:
            key.verify(assertion.signature, _nonce(assertion.authenticator_data, client_data_hash), ECDSA(SHA256()))
        except InvalidSignature:
            raise InvalidAttestation("signature") from None
        self._check_app(assertion.authenticator_data)

    def _check_app(self, authenticator_data: bytes) -> None:
        if authenticator_data[_APP_ID] not in self._app_id_hashes:
            raise InvalidAttestation("app_id")


def _nonce(authenticator_data: bytes, client_data_hash: bytes) -> bytes:
    return hashlib.sha256(authenticator_data + client_data_hash).digest()


def _members(raw: bytes) -> dict[str, Any]:
    """Return the members of the map that `raw` is."""
    try:
        members = decode_cbor(raw)
    except InvalidCbor:
        raise InvalidAttestation("malformed") from None
    if not isinstance(members, dict):
        raise InvalidAttestation("malformed")
    return members


def _bytes(members: dict[str, Any], name: str) -> bytes:
    value = members.get(name)
    if not isinstance(value, bytes) or (name != "signature" and len(value) < _COUNTER.stop):
        raise InvalidAttestation("malformed")
    return value


def _chain(statement: Any) -> list[bytes]:
    """Return the certificates of an attestation statement."""
    chain = statement.get("x5c") if isinstance(statement, dict) else None
    if not isinstance(chain, list) or not all(isinstance(der, bytes) for der in chain):
        raise InvalidAttestation("malformed")
    return chain
