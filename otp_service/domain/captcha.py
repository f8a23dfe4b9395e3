"""Proof that a request comes from a person or a genuine app: the port of verifiers, and their values.

A verifier says whether a token is accepted: of a captcha (Turnstile, hCaptcha, reCAPTCHA), or an attestation of a
device (Play Integrity, App Attest). It makes one call and does not retry. `service/captcha_checks.py` decides when it
is called, what follows from its result, and that a token counts once.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

__all__ = [
    "MAX_CAPTCHA_TOKEN_CHARS",
    "CaptchaCheck",
    "CaptchaCheckResult",
    "CaptchaPolicy",
    "CaptchaResult",
    "CaptchaUse",
    "CaptchaUses",
    "CaptchaVerifier",
    "request_hash",
]

MAX_CAPTCHA_TOKEN_CHARS: Final = 8192
"""The longest tokens are attestations of devices, of about 6,000 characters."""


class CaptchaResult(StrEnum):
    """A verifier's result for a token. `throttled`: the vendor responds, but accepts no more tokens from us for now."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNAVAILABLE = "unavailable"
    THROTTLED = "throttled"
    MISCONFIGURED = "misconfigured"


@dataclass(frozen=True, slots=True)
class CaptchaCheckResult:
    """A result, and its reason in one word of a fixed list, for the log."""

    result: CaptchaResult
    why: str = ""


@dataclass(frozen=True, slots=True)
class CaptchaCheck:
    """A token to verify.

    Attributes:
        token: The token; the caller may have sent any visible ASCII characters.
        client_ip: The address of the person; None if it is not known.
        request_hash: What an attestation of the request must contain, see `request_hash`.
        tenant: The tenant whose request it is.
    """

    token: str = field(repr=False)
    client_ip: str | None
    request_hash: str
    tenant: str = ""


def request_hash(purpose: str, recipient: str) -> str:
    """Return the hash that binds an attestation to a request, so that it is worth nothing for another recipient.

    It is the SHA-256 of purpose, line feed and recipient (E.164 number or e-mail address) in base64url without padding.
    """
    digest = hashlib.sha256(f"{purpose}\n{recipient}".encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class CaptchaVerifier(Protocol):
    """Verifies tokens of one kind."""

    async def verify(self, check: CaptchaCheck) -> CaptchaCheckResult:
        """Return the result for a token, within the verifier's timeout; no response of the vendor raises an exception.

        `UNAVAILABLE` only if the vendor did not respond or failed: a caller must not be able to cause it, neither by a
        token nor by many of them, which use up the vendor's quota (`THROTTLED`).
        """

    async def close(self) -> None:
        """Close the connections."""


@dataclass(frozen=True, slots=True)
class CaptchaPolicy:
    """Which verifier a tenant uses, and who must send a token: `all`, `publishable` API keys, or `none`."""

    verifier: str
    required_for: str

    def requires_token(self, *, publishable: bool) -> bool:
        """Return whether a request with such an API key needs a token."""
        return self.required_for == "all" or (self.required_for == "publishable" and publishable)


class CaptchaUse(StrEnum):
    """Whether an accepted token was used before: not at all, for the same request, or for another one."""

    UNUSED = "unused"
    SAME = "same"
    OTHER = "other"


class CaptchaUses(Protocol):
    """Remembers which tokens were used, by their keyed hash. May raise `Refused`."""

    async def use_of(self, token_hash: str, request: str) -> CaptchaUse:
        """Return how a token was used; `request` identifies the request that asks."""

    async def mark_used(self, token_hash: str, request: str, seconds: int) -> CaptchaUse:
        """Use a token for a request, for `seconds`, unless it is used already; return how it was used before."""
