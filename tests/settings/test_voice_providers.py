"""The tables of providers of calls: the private key in the forms in which it is kept, numbers, voices and routes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from otp_service.domain.message import Channel
from otp_service.providers.vonage_voice.config import VonageVoiceConfig
from otp_service.sandbox.simulators.vonage_voice_key import simulated_key, simulated_key_pem
from otp_service.settings import ConfigError, Settings

FindErrors = Callable[..., tuple[ConfigError, ...]]
Loaded = Callable[..., Settings]
PEM = simulated_key_pem()


def pkcs1(key: rsa.RSAPrivateKey) -> str:
    """Return a key in the older form."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


@pytest.mark.parametrize(
    "text",
    [PEM, PEM.replace("\n", "\\n"), PEM.replace("\n", "\r\n\r\n"), f'"{PEM}"', pkcs1(simulated_key())],
    ids=["as it is", "escaped", "doubled", "quoted", "older form"],
)
def test_private_key_in_any_form(loaded: Loaded, text: str) -> None:
    """Line ends may be escaped or doubled, and quotes may be left around it; the older form of PEM is read as well."""
    provider = loaded(RSA_PEM=text).providers["vonage_calls"]
    assert isinstance(provider, VonageVoiceConfig)
    assert provider.private_key.reveal().startswith("-----BEGIN ")
    assert provider.channels == {Channel.VOICE}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("secret", "is not PEM"),
        (PEM.replace("A", "B", 99), "not of a key that can be read"),
        (
            simulated_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode(),
            "is PEM of an encrypted key",
        ),
        (pkcs1(rsa.generate_private_key(65537, 1024)), "of at least 2048 bits"),  # noqa: S505 - it is refused
        ("PEM", "is not an RSA private key of at least 2048 bits"),
    ],
    ids=["text", "damaged", "encrypted", "short", "Ed25519"],
)
def test_key_that_cannot_sign(find_errors: FindErrors, pem: str, text: str, reason: str) -> None:
    """The reason is given, and nothing of the key."""
    [error] = find_errors(RSA_PEM=pem if text == "PEM" else text)
    assert error.path == "providers.vonage_calls.private_key"
    assert reason in error.found
    assert "MII" not in str(error)


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("providers.twilio_calls.from", "Acme", "is not allowed"),
        ("providers.twilio_calls.voices", {"nl": "Google.nl-NL-Standard-A"}, "is not a language of calls"),
        ("providers.twilio_calls.ring_seconds", 121, "is not allowed"),
        ("providers.twilio_calls.account_sid", "SK1", "does not start with AC"),
        ("providers.vonage_calls.from", "Acme", "is not allowed"),
        ("providers.vonage_calls.sender_ids", {"ID": "Acme"}, "is not allowed"),
        ("providers.twilio_calls.sender_ids", {"default": "+6221500001"}, "a second sender"),
        ("providers.vonage_calls.max_call_seconds", 5, "is not allowed"),
        ("routes.1.providers", ["twilio_calls"], "serve"),
    ],
)
def test_errors_of_a_table(find_errors: FindErrors, path: str, value: object, found: str) -> None:
    """A caller id is a number, a voice has a language, and a call is no SMS."""
    errors = find_errors((path, value))
    assert [found in error.found for error in errors] == [True], errors


def test_signed_events_need_the_secret(find_errors: FindErrors) -> None:
    """`receipts = "signature"` without the secret is an error."""
    edits = (("providers.vonage_calls.signature_secret", None), ("providers.vonage_calls.receipts", "signature"))
    [error] = find_errors(*edits)
    assert error.path == "providers.vonage_calls.signature_secret"
