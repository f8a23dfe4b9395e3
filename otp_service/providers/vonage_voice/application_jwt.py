"""The JSON Web Tokens of an application at Vonage: of a request, made by us, and of a signed webhook, verified by us.

A request is signed with the application's private key (RS256; Vonage, "Authentication", "JSON Web Tokens"). A webhook
is signed with the account's signature secret (HS256; Vonage, "Signed webhooks"), and names the hash of its body.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import uuid
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Final

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from msgspec import Meta

from otp_service.domain.secret import Secret
from otp_service.domain.typed_text import join_pem_lines
from otp_service.providers.config_fields import secret
from otp_service.providers.config_parsing import REFERENCE_SYNTAX, invalid_secret, unquoted
from otp_service.providers.lenient_json import json_object, json_value

__all__ = ["RsaPem", "WebhookInvalid", "request_token", "webhook_claims"]

TOKEN_SECONDS: Final = 300
"""How long a request may take to arrive, and how much our clock may be slow."""

MIN_KEY_BITS: Final = 2048
MAX_TOKEN_CHARS: Final = 4096
ISSUER: Final = "Vonage"

_BEARER: Final = re.compile(r"Bearer +([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)", re.ASCII | re.IGNORECASE)


class WebhookInvalid(Exception):
    """A webhook is not signed by the account for this body at this time."""


def _rsa_pem(text: str) -> Secret:
    """Read an unencrypted RSA private key in PEM; raises `InvalidValue`."""
    pem = join_pem_lines(unquoted(text))
    if "-----BEGIN " not in pem or "-----END " not in pem:
        raise invalid_secret("is not PEM: a BEGIN or END line is missing")
    try:
        key = _load(pem)
    except TypeError:
        raise invalid_secret("is PEM of an encrypted key") from None
    except (ValueError, UnsupportedAlgorithm):
        raise invalid_secret("is PEM, but not of a key that can be read") from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < MIN_KEY_BITS:
        raise invalid_secret(f"is not an RSA private key of at least {MIN_KEY_BITS} bits")
    return Secret(pem)


@lru_cache(maxsize=8)
def _load(pem: str) -> object:
    """Load a key once, when the configuration is read: it is checked, which takes 0.1 s."""
    return load_pem_private_key(pem.encode(), password=None)


RsaPem = Annotated[
    Secret,
    secret(_rsa_pem),
    Meta(description=f"{REFERENCE_SYNTAX}, with an unencrypted RSA private key of at least {MIN_KEY_BITS} bits in PEM"),
]


def request_token(application_id: str, private_key: Secret, now: int) -> str:
    """Return the token of one request; `now` is in Unix seconds."""
    claims = {"application_id": application_id, "iat": now, "exp": now + TOKEN_SECONDS, "jti": str(uuid.uuid4())}
    key = _load(private_key.reveal())
    assert isinstance(key, RSAPrivateKey)  # noqa: S101 - the configuration has checked it
    return jwt.encode(claims, key, algorithm="RS256")


def webhook_claims(authorization: str, body: bytes, key: Secret, *, now: float, window_seconds: int) -> dict[str, Any]:
    """Verify the token of a webhook, and return its claims.

    Args:
        authorization: The `Authorization` header.
        body: The body that the token must name.
        key: The account's signature secret.
        now: The current time in Unix seconds.
        window_seconds: By how much the time of the token may differ from it.

    Raises:
        WebhookInvalid: The signature, the issuer, the time or the hash of the body is wrong.
    """
    match = _BEARER.fullmatch(authorization) if len(authorization) <= MAX_TOKEN_CHARS else None
    if not match:
        raise WebhookInvalid
    signed, signature = match.groups()
    expected = hmac.digest(key.reveal().encode(), signed.encode(), "sha256")
    if not hmac.compare_digest(expected, _decoded(signature)):
        raise WebhookInvalid
    header, claims = (json_object(_decoded(part)) for part in signed.split("."))
    if header.get("alg") != "HS256" or claims.get("iss") != ISSUER or not _is_current(claims, now, window_seconds):
        raise WebhookInvalid
    named = str(claims.get("payload_hash")).lower().encode()
    if not any(hmac.compare_digest(named, hash_of.encode()) for hash_of in _hashes(body)):
        raise WebhookInvalid
    return claims


def _decoded(part: str) -> bytes:
    """Decode base64url without padding; b"" if it is invalid, which is neither a signature nor JSON."""
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return b""


def _is_current(claims: Mapping[str, Any], now: float, window_seconds: int) -> bool:
    issued, expires = claims.get("iat"), claims.get("exp", now)
    if not isinstance(issued, int | float) or not isinstance(expires, int | float):
        return False
    return abs(now - issued) <= window_seconds and now <= expires + window_seconds


def _hashes(body: bytes) -> tuple[str, ...]:
    """Return the hash of the body as it is, and that of its JSON without white space, which Vonage documents, too."""
    decoded = json_value(body)
    bodies = [body] if decoded is None else [body, msgspec.json.encode(decoded)]
    return tuple(hashlib.sha256(one).hexdigest() for one in bodies)
