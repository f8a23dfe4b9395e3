"""Signatures by Standard Webhooks: the published vectors, several secrets, tolerance, and forged headers."""

import base64

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from otp_service.crypto.standard_webhooks import (
    TOLERANCE_SECONDS,
    Ed25519SigningKey,
    SignatureInvalid,
    parse_webhook_secret,
    sign_webhook,
    verify_webhook,
)

# The vector of the reference libraries' own tests.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

# The vector of the Svix server, which wrote the scheme `v1a`; the signature is the example of the specification.
ED25519_SECRET = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
ED25519_PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
ED25519_SIGNATURE = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
# RFC 8032, 7.1, test 1.
RFC_PRIVATE = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
RFC_PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")

KEY = parse_webhook_secret(SECRET)
OTHER = parse_webhook_secret("whsec_" + base64.b64encode(b"o" * 32).decode())


def verify(
    signatures: str = SIGNATURE,
    *,
    webhook_id: str = ID,
    timestamp: str = str(TIMESTAMP),
    body: bytes = BODY,
    now: float = TIMESTAMP,
    secrets: tuple[bytes, ...] = (KEY,),
) -> None:
    """Verify the published vector, with changes."""
    verify_webhook(secrets, webhook_id, timestamp, signatures, body, now=now)


def test_the_published_vector() -> None:
    """The signature of the published vector is made and accepted."""
    assert sign_webhook([KEY], ID, TIMESTAMP, BODY) == SIGNATURE
    verify()


@pytest.mark.parametrize("text", [SECRET, SECRET.removeprefix("whsec_"), f"v1,{SECRET}", f" {SECRET}\n"])
def test_spellings_of_a_secret(text: str) -> None:
    """A secret may carry the prefixes `v1,` and `whsec_`, or none."""
    assert parse_webhook_secret(text) == KEY


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_!!!!", "whsec_c2hvcnQ=", "whsec_" + "A" * 200, "whsec_\u00e9"])
def test_a_secret_that_is_none(text: str) -> None:
    """A secret that is not base64 of 16-64 bytes is refused."""
    with pytest.raises(ValueError, match=r"not base64|not 16-64 bytes"):
        parse_webhook_secret(text)


def test_two_secrets_while_one_replaces_the_other() -> None:
    """Each of two secrets is accepted on either side; one that neither side shares is not."""
    both = sign_webhook([OTHER, KEY], ID, TIMESTAMP, BODY)
    verify(both)
    verify(both.replace(" ", ", "))  # as GoTrue joins them (supabase/auth, internal/hooks/hookshttp)
    verify(both, secrets=(OTHER,))
    verify(SIGNATURE, secrets=(OTHER, KEY))
    with pytest.raises(SignatureInvalid, match="no webhook-signature matches"):
        verify(sign_webhook([OTHER], ID, TIMESTAMP, BODY))


def test_entries_of_other_schemes_are_ignored() -> None:
    """An Ed25519 entry beside the symmetric one does no harm, and does not count for it."""
    verify(f"v1a,AAAA {SIGNATURE} v2,BBBB")
    with pytest.raises(SignatureInvalid):
        verify(SIGNATURE.replace("v1,", "v1a,"))


@pytest.mark.parametrize("text", [ED25519_SECRET, ED25519_SECRET.removesuffix("=="), ED25519_SECRET[:47] + "c="])
def test_the_published_vector_of_ed25519(text: str) -> None:
    """The key may be given with its public key, or alone; the public key is that of the vector."""
    key = Ed25519SigningKey(text)

    assert sign_webhook([key], ID, TIMESTAMP, BODY) == ED25519_SIGNATURE
    assert key.public_text == ED25519_PUBLIC
    assert repr(key) == f"Ed25519SigningKey({ED25519_PUBLIC})"


def test_a_receiver_verifies_with_the_public_key() -> None:
    """Another library accepts the signature of id, time and body, and no other content."""
    key = Ed25519SigningKey("whsk_" + base64.b64encode(RFC_PRIVATE).decode())
    assert key.public_text == "whpk_" + base64.b64encode(RFC_PUBLIC).decode()
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.public_text.removeprefix("whpk_")))
    scheme, _, encoded = sign_webhook([key], ID, TIMESTAMP, BODY).partition(",")
    assert scheme == "v1a"

    public.verify(base64.b64decode(encoded), f"{ID}.{TIMESTAMP}.".encode() + BODY)
    for other in (f"{ID}x.{TIMESTAMP}.".encode() + BODY, f"{ID}.{TIMESTAMP + 1}.".encode() + BODY, BODY):
        with pytest.raises(InvalidSignature):
            public.verify(base64.b64decode(encoded), other)


def test_both_schemes_in_one_header() -> None:
    """One entry for each key, in their order; a receiver of either scheme finds its own."""
    both = sign_webhook([KEY, Ed25519SigningKey(ED25519_SECRET)], ID, TIMESTAMP, BODY)

    assert both == f"{SIGNATURE} {ED25519_SIGNATURE}"
    verify(both)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("whsk_", "0 bytes"),
        ("whsk_" + base64.b64encode(b"k" * 31).decode(), "31 bytes instead of 32"),
        ("whsk_" + base64.b64encode(b"k" * 63).decode(), "63 bytes instead of 32"),
        ("whsk_" + base64.b64encode(b"k" * 65).decode(), "65 bytes instead of 32"),
        (ED25519_SECRET[:-3] + "A==", "the public key of another one"),
        ("whsk_!!!!", "not base64"),
        ("whsk_\u00e9", "not base64"),
        (ED25519_SECRET.replace("whsk_", "whpk_"), "not base64"),
    ],
)
def test_an_ed25519_key_that_is_none(text: str, said: str) -> None:
    """The error says what is wrong with it, and nothing of its content."""
    with pytest.raises(ValueError, match=said) as raised:
        Ed25519SigningKey(text)
    assert text.removeprefix("whsk_")[:8] not in str(raised.value) or text == "whsk_"


@pytest.mark.parametrize("seconds", [-TOLERANCE_SECONDS, TOLERANCE_SECONDS])
def test_the_tolerance_of_the_time(seconds: int) -> None:
    """A call is accepted up to the tolerance, and refused one second later."""
    verify(now=TIMESTAMP + seconds)
    with pytest.raises(SignatureInvalid, match="timestamp"):
        verify(now=TIMESTAMP + seconds + (1 if seconds > 0 else -1))


@pytest.mark.parametrize("timestamp", ["", "now", "-1", "+1614265330", "1614265330.0", "١٦١٤٢٦٥٣٣٠", "9" * 5000])
def test_a_timestamp_that_is_none(timestamp: str) -> None:
    """A timestamp is ASCII digits only, and is not parsed when it is long."""
    with pytest.raises(SignatureInvalid, match="timestamp"):
        verify(timestamp=timestamp)


@pytest.mark.parametrize("webhook_id", ["", "a.b", "x" * 257])
def test_an_id_that_is_none(webhook_id: str) -> None:
    """An id without a dot is required: with dots, id and timestamp could be shifted against each other."""
    with pytest.raises(SignatureInvalid, match="webhook-id"):
        verify(webhook_id=webhook_id)


@pytest.mark.parametrize(
    "signatures",
    [
        "",
        "v1",
        "v1,",
        "v1,\u00e9",
        SIGNATURE.removeprefix("v1,"),
        SIGNATURE[:-1],
        " ".join(["v1,AAAA"] * 20 + [SIGNATURE]),
    ],
)
def test_forged_signatures(signatures: str) -> None:
    """Nothing but a whole matching entry among the first ones is accepted."""
    with pytest.raises(SignatureInvalid, match="no webhook-signature matches"):
        verify(signatures)


def test_a_changed_body() -> None:
    """A changed body, id or time does not match."""
    for changed in ({"body": BODY + b" "}, {"webhook_id": ID + "x"}, {"timestamp": str(TIMESTAMP + 1)}):
        with pytest.raises(SignatureInvalid, match="no webhook-signature matches"):
            verify(**changed)
