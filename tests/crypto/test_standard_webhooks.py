"""Signatures by Standard Webhooks: the published vector, several secrets, tolerance, and forged headers."""

import base64

import pytest

from otp_service.crypto.standard_webhooks import (
    TOLERANCE_SECONDS,
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
