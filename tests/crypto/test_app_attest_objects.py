"""Attestations and assertions of App Attest: each of Apple's checks, with an object that is wrong in one part."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA224, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from otp_service.crypto.app_attest_objects import AppAttestRules, Assertion, InvalidAttestation
from otp_service.crypto.attestation_chain import APPLE_ROOT, load_root
from tests.app_attest_device import (
    APP_ID,
    DAY,
    NONCE_OID,
    STARTED,
    Authority,
    Device,
    apple,
    cbor,
    certify,
    nonce_extension,
)

HASH = hashlib.sha256(b"challenge").digest()
DEVELOPMENT = b"appattestdevelop"
OTHER = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def device() -> Device:
    """A device with the app."""
    return Device()


@pytest.fixture(scope="module")
def rules() -> AppAttestRules:
    """The rules of the app, by the tests' root."""
    return AppAttestRules([APP_ID, "A1B2C3D4E5.com.example.other"], "production", apple()[0].certificate)


def attest(rules: AppAttestRules, device: Device, **forged: Any) -> bytes:
    """Verify an attestation of the device with these forged parts."""
    return rules.verify_attestation(device.attestation(HASH, **forged), device.raw_key_id, HASH, STARTED)


def test_genuine_attestation(rules: AppAttestRules, device: Device) -> None:
    """The public key of a genuine app is returned, compressed."""
    found = attest(rules, device)

    assert found == device.key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    assert attest(rules, device, app_id="A1B2C3D4E5.com.example.other") == found


def test_built_in_root() -> None:
    """The built-in root is the one that Apple has published, by its fingerprint and its own signature."""
    root = load_root(APPLE_ROOT)

    root.verify_directly_issued_by(root)
    assert root.fingerprint(SHA256()).hex() == "1cb9823ba28ba6ad2d33a006941de2ae4f513ef1d4e831b9f7e0fa7b6242c932"
    assert root.subject.rfc4514_string() == "ST=California,O=Apple Inc.,CN=Apple App Attestation Root CA"


CHAINS: dict[str, Callable[[], dict[str, Any]]] = {
    "other root": lambda: {"issuer": Authority.root("Root 2").intermediate()},
    "other root of the same name": lambda: {"issuer": Authority.root.__wrapped__(Authority, "Root").intermediate()},
    "leaf of another intermediate": lambda: {"sent_intermediate": apple()[0].intermediate().der},
    "self-signed intermediate": lambda: {"sent_intermediate": Authority.root("Intermediate").der},
    "intermediate that is no authority": lambda: {"issuer": apple()[0].intermediate(ca=False, can_sign=True)},
    "intermediate without constraints": lambda: {"issuer": apple()[0].intermediate(ca=None, can_sign=True)},
    "intermediate that may not sign": lambda: {"issuer": apple()[0].intermediate(can_sign=False)},
    "expired intermediate": lambda: {"issuer": apple()[0].intermediate(valid=(STARTED - 9 * DAY, STARTED - DAY))},
    "leaf that is an authority": lambda: {"leaf": {"ca": True}},
    "expired leaf": lambda: {"leaf": {"valid": (STARTED - 3 * DAY, STARTED - timedelta(seconds=2))}},
    "leaf of the future": lambda: {"leaf": {"valid": (STARTED + timedelta(seconds=2), STARTED + DAY)}},
    "leaf with an unknown critical extension": lambda: {
        "added": [(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0"), True)]
    },
    "leaf signed over another hash": lambda: {"leaf": {"hashed": SHA224()}},
    "leaf with another curve": lambda: {"key": ec.generate_private_key(ec.SECP384R1())},
    "no certificate": lambda: {"x5c": [b""]},
    "no certificates": lambda: {"members": {"attStmt": {"x5c": []}}},
    "three certificates": lambda: {"x5c": [apple()[1].der] * 3},
    "garbage": lambda: {"x5c": [b"\x30\x03\2\1\0"] * 2},
}


@pytest.mark.parametrize("name", CHAINS)
def test_step_1_chain(rules: AppAttestRules, device: Device, name: str) -> None:
    """The leaf and one intermediate lead to the root, with their constraints, times and signatures."""
    with pytest.raises(InvalidAttestation, match="chain"):
        attest(rules, device, **CHAINS[name]())


def test_expired_root(device: Device) -> None:
    """A root that has expired is trusted no more."""
    root = Authority.root("Old root", days=-1)
    rules = AppAttestRules([APP_ID], "production", root.certificate)

    with pytest.raises(InvalidAttestation, match="chain"):
        attest(rules, device, issuer=root.intermediate())


def test_unknown_extensions_of_a_leaf(rules: AppAttestRules, device: Device) -> None:
    """Apple's leaves have more extensions; one that is not critical changes nothing."""
    added = [(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.840.113635.100.8.5"), b"\5\0"), False)]

    assert attest(rules, device, added=added)


def test_leaf_signed_by_another_leaf(rules: AppAttestRules, device: Device) -> None:
    """Who has an attested key cannot issue certificates with it."""
    leaf = certify("Leaf", OTHER, apple()[1], extensions=[(nonce_extension(bytes(32)), False)])

    with pytest.raises(InvalidAttestation, match="chain"):
        attest(rules, device, issuer=Authority(leaf, OTHER))


@pytest.mark.parametrize(
    "extensions",
    [
        [],
        [(nonce_extension(bytes(32)), False)],
        [(x509.UnrecognizedExtension(NONCE_OID, b""), False)],
        [(x509.UnrecognizedExtension(NONCE_OID, bytes(38)), False)],
        [(nonce_extension(b""), False)],
    ],
)
def test_steps_2_to_4_nonce(rules: AppAttestRules, device: Device, extensions: Any) -> None:
    """The leaf contains the nonce in Apple's form, and no other."""
    with pytest.raises(InvalidAttestation, match="nonce" if extensions else "chain"):
        attest(rules, device, extensions=extensions)


def test_another_challenge(rules: AppAttestRules, device: Device) -> None:
    """An attestation is over one challenge."""
    with pytest.raises(InvalidAttestation, match="nonce"):
        rules.verify_attestation(device.attestation(bytes(32)), device.raw_key_id, HASH, STARTED)


@pytest.mark.parametrize(
    ("why", "forged"),
    [
        ("key_id", {"key": OTHER}),
        ("app_id", {"app_id": "A1B2C3D4E5.com.example.fake"}),
        ("app_id", {"app_id": ""}),
        ("counter", {"counter": 1}),
        ("counter", {"counter": 2**31}),
        ("environment", {"aaguid": DEVELOPMENT}),
        ("environment", {"aaguid": bytes(16)}),
        ("credential_id", {"credential_id": bytes(32)}),
        ("credential_id", {"credential_length": 31}),
        ("credential_id", {"credential_id": b""}),
        ("format", {"members": {"fmt": "packed"}}),
        ("format", {"members": {"fmt": 1}}),
        ("malformed", {"members": {"attStmt": []}}),
        ("malformed", {"members": {"attStmt": {"x5c": "chain"}}}),
        ("malformed", {"members": {"attStmt": {"x5c": ["leaf", "intermediate"]}}}),
        ("malformed", {"members": {"authData": "text"}}),
        ("malformed", {"members": {"authData": bytes(36)}}),
    ],
)
def test_steps_5_to_9(rules: AppAttestRules, device: Device, why: str, forged: Any) -> None:
    """Key id, app, counter, environment and credential id are those of this app on this device."""
    with pytest.raises(InvalidAttestation) as found:
        attest(rules, device, **forged)

    assert found.value.why == why


def test_short_authenticator_data(rules: AppAttestRules, device: Device) -> None:
    """Signed data that ends early has no environment and no credential id."""
    data = hashlib.sha256(APP_ID.encode()).digest() + bytes(5)
    chain = device.chain(hashlib.sha256(data + HASH).digest())
    raw = cbor({"fmt": "apple-appattest", "attStmt": {"x5c": chain}, "authData": data})

    with pytest.raises(InvalidAttestation, match="environment"):
        rules.verify_attestation(raw, device.raw_key_id, HASH, STARTED)


@pytest.mark.parametrize("raw", [b"", b"\xa0", b"\x80", b"\xff" * 40, cbor({"fmt": "apple-appattest"})])
def test_no_attestation(rules: AppAttestRules, device: Device, raw: bytes) -> None:
    """Bytes of any other kind are refused."""
    with pytest.raises(InvalidAttestation):
        rules.verify_attestation(raw, device.raw_key_id, HASH, STARTED)


def test_apps_of_xcode(device: Device) -> None:
    """In the environment `development`, apps that Xcode has installed are genuine, and those of the store are not."""
    rules = AppAttestRules([APP_ID], "development", apple()[0].certificate)

    assert attest(rules, device, aaguid=DEVELOPMENT)
    with pytest.raises(InvalidAttestation, match="environment"):
        attest(rules, device)


def check(rules: AppAttestRules, device: Device, raw: bytes, client_data_hash: bytes = HASH) -> None:
    """Verify an assertion by the key of the device."""
    point = device.key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    rules.verify_assertion(Assertion.parse(raw), point, client_data_hash)


def test_genuine_assertion(rules: AppAttestRules) -> None:
    """The assertion of a registered key is accepted, and tells its counter."""
    device = Device(counter=41)
    raw = device.assertion(HASH)

    check(rules, device, raw)
    assert Assertion.parse(raw).counter == 42


@pytest.mark.parametrize(
    ("why", "forged"),
    [
        ("signature", {"key": OTHER}),
        ("signature", {"sent_data": bytes(37)}),
        ("app_id", {"app_id": "A1B2C3D4E5.com.example.fake"}),
        ("malformed", {"sent_data": bytes(36)}),
        ("malformed", {"sent_data": "text"}),
    ],
)
def test_forged_assertions(rules: AppAttestRules, device: Device, why: str, forged: Any) -> None:
    """The signature is that of the key, over the data that was sent, of this app."""
    with pytest.raises(InvalidAttestation, match=why):
        check(rules, device, device.assertion(HASH, **forged))


def test_assertion_over_something_else(rules: AppAttestRules, device: Device) -> None:
    """An assertion is over one challenge and one request."""
    with pytest.raises(InvalidAttestation, match="signature"):
        check(rules, device, device.assertion(bytes(32)))


@pytest.mark.parametrize("signature", [b"", b"\x30\0", bytes(70), "text", None])
def test_damaged_signature(rules: AppAttestRules, device: Device, signature: Any) -> None:
    """A signature of another form is refused."""
    data = hashlib.sha256(APP_ID.encode()).digest() + bytes(5)
    members = {"authenticatorData": data} if signature is None else {"signature": signature, "authenticatorData": data}

    with pytest.raises(InvalidAttestation):
        check(rules, device, cbor(members))


@pytest.mark.parametrize(
    ("pem", "message"),
    [
        ("", "PEM"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", ""),
        (apple()[0].intermediate(ca=False).pem, "not an authority"),
    ],
)
def test_roots_that_are_none(pem: str, message: str) -> None:
    """A configured root is the certificate of an authority."""
    with pytest.raises(ValueError, match=message or None):
        load_root(pem)


@pytest.mark.parametrize(
    ("part", "replacement"),
    [
        ("06052b81040022", "06052b81040020"),  # the curve P-384 by secp224k1, which is not supported
        ("0603551d0f", "0603551d13"),  # the key usage by a second extension of constraints
        ("a003020102", "a003020105"),  # the version
    ],
)
def test_roots_that_cannot_be_read(part: str, replacement: str) -> None:
    """Each error is a `ValueError`, which the config reports: `cryptography` has others for these."""
    damaged = base64.b64encode(apple()[0].der.replace(bytes.fromhex(part), bytes.fromhex(replacement))).decode()

    with pytest.raises(ValueError, match="that can be read"):
        load_root(f"-----BEGIN CERTIFICATE-----\n{damaged}\n-----END CERTIFICATE-----\n")
