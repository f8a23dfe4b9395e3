"""The key of a Google service account, and the assertions that are exchanged for access tokens (RFC 7523).

developers.google.com/identity/protocols/oauth2/service-account: a JWT signed with RS256, whose `iss` is the account's
e-mail address, `aud` the token endpoint, `scope` what is asked for, and which is valid for at most an hour.
"""

from __future__ import annotations

from typing import Any, Final

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from otp_service.domain.secret import MaskedStruct
from otp_service.domain.typed_text import join_pem_lines

__all__ = ["InvalidServiceAccount", "ServiceAccount"]

ASSERTION_SECONDS: Final = 300
MIN_KEY_BITS: Final = 2048


class InvalidServiceAccount(Exception):
    """The text is not the key file of a service account; the message of the error says why, and contains none of it."""


class _KeyFile(MaskedStruct, frozen=True):
    client_email: str
    private_key: str
    token_uri: str
    private_key_id: str = ""

    def __repr__(self) -> str:
        return "_KeyFile()"


class ServiceAccount:
    """A service account that can sign assertions."""

    def __init__(self, key_file: str) -> None:
        """Read a key file (JSON); raises `InvalidServiceAccount`."""
        try:
            self._file = msgspec.json.decode(key_file, type=_KeyFile)
        except (msgspec.DecodeError, UnicodeError):
            raise InvalidServiceAccount("is not the JSON key file of a service account") from None
        try:
            key = load_pem_private_key(join_pem_lines(self._file.private_key).encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise InvalidServiceAccount("has a private_key that cannot be read") from None
        if not isinstance(key, RSAPrivateKey) or key.key_size < MIN_KEY_BITS:
            raise InvalidServiceAccount(f"has a private_key that is not RSA of at least {MIN_KEY_BITS} bits")
        self._key = key

    def __repr__(self) -> str:
        """Hide the account and its key."""
        return "ServiceAccount(***)"

    @property
    def token_url(self) -> str:
        """Where assertions are exchanged for access tokens."""
        return self._file.token_uri

    def assertion(self, scope: str, now: float) -> str:
        """Return a signed assertion; `now` is in Unix seconds."""
        claims: dict[str, Any] = {
            "iss": self._file.client_email,
            "scope": scope,
            "aud": self._file.token_uri,
            "iat": int(now),
            "exp": int(now) + ASSERTION_SECONDS,
        }
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._file.private_key_id})
