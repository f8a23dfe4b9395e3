"""The bodies of challenges and registrations of App Attest."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from otp_service.domain.app_attest import CHALLENGE_CHARS, CHALLENGE_SECONDS, MAX_ATTESTATION_CHARS

__all__ = ["AppAttestChallenge", "RegisterKeyBody", "RegisteredKey"]


class AppAttestChallenge(Struct, frozen=True, kw_only=True):
    """A challenge for one attestation or one assertion."""

    challenge: Annotated[str, Meta(description="Hash it as it is, as UTF-8.")]
    expires_in: Annotated[int, Meta(description="Seconds.")] = CHALLENGE_SECONDS


class RegisterKeyBody(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The key of an app, and Apple's attestation of it over the SHA-256 of a challenge."""

    key_id: Annotated[
        str, Meta(pattern=r"\A[A-Za-z0-9+/]{43}=\Z", description="The key id as iOS returns it: 32 bytes in base64.")
    ]
    challenge: Annotated[
        str, Meta(pattern=rf"\A[A-Za-z0-9_-]{{{CHALLENGE_CHARS}}}\Z", description="A challenge of this service.")
    ]
    attestation: Annotated[
        str,
        Meta(
            min_length=4,
            max_length=MAX_ATTESTATION_CHARS,
            pattern=r"\A[A-Za-z0-9+/]+={0,2}\Z",
            description="The attestation object as iOS returns it, in base64.",
        ),
    ]


class RegisteredKey(Struct, frozen=True, kw_only=True):
    """A registered key."""

    key_id: str
    expires_in: Annotated[int, Meta(description="For how many seconds it is kept after its last use.")]
