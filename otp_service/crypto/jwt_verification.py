"""Verification of OAuth 2.0 access tokens: JWTs (RFC 9068) that an issuer signs with a key of its JWK Set (RFC 7517).

The rules are those of RFC 8725. The algorithm is fixed by the type of the key, and never chosen by the token; `none`
and HMAC do not exist here. A key comes only from the issuer's configured key set: `jku`, `x5u`, `x5c` and `jwk` of a
token are not read. A token with `crit`, `b64`, `zip` or a repeated member is refused, and so is one that is bound to
its sender (`cnf`, RFC 7800): presented as a plain bearer token, it may be stolen.

Untrusted text is parsed here before its signature is verified, so the size of a token is bounded first, and all parsing
takes time proportional to it.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NoReturn

import jwt
from jwt.api_jws import PyJWS

__all__ = [
    "ALGORITHMS",
    "MAX_TOKEN_BYTES",
    "InvalidToken",
    "KeySet",
    "SignedToken",
    "TokenFault",
    "TokenRules",
    "VerificationKey",
    "parse_key_set",
    "read_token",
    "verify_token",
]

ALGORITHMS: Final = ("EdDSA", "ES256", "ES384", "RS256", "PS256")
MAX_TOKEN_BYTES: Final = 8192
MAX_KEYS: Final = 64
"""Keys of a set that are read."""

MAX_NAME_CHARS: Final = 255
"""Characters of a key id or an issuer."""

MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 4096
"""Verification with a longer key takes too long for an unauthenticated request."""

RSA_EXPONENT: Final = "AQAB"
"""65537 in base64url: larger exponents make each verification slow, smaller ones are unusual."""

MAX_UNIX_SECONDS: Final = 1e11
"""The year 5138. A larger number is damaged, or milliseconds."""

_COMPACT: Final = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_REFUSED_HEADERS: Final = frozenset({"crit", "b64", "zip", "enc"})
_ACCESS_TOKEN_TYPES: Final = frozenset({"at+jwt", "application/at+jwt"})
"""RFC 9068, section 4."""

_PUBLIC_MEMBERS: Final = ("kty", "crv", "x", "y", "n", "e")
_KEY_ALGORITHMS: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("OKP", "Ed25519"): ("EdDSA",),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("RSA", ""): ("RS256", "PS256"),
}
"""The algorithms that a key may verify, by its type and curve."""

_JWS: Final = PyJWS(algorithms=list(ALGORITHMS))

VerificationKey = jwt.PyJWK
KeySet = Mapping[tuple[str, str], VerificationKey]
"""The keys of an issuer by key id and algorithm."""


class TokenFault(StrEnum):
    """Why a token is refused; for logs and metrics, not for the caller."""

    MALFORMED = "malformed"
    ISSUER = "issuer"
    TYPE = "type"
    ALGORITHM = "algorithm"
    KEY_UNKNOWN = "key_unknown"
    SIGNATURE = "signature"
    AUDIENCE = "audience"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    CLAIMS = "claims"
    SENDER_CONSTRAINED = "sender_constrained"
    CLIENT = "client"


class InvalidToken(Exception):
    """A token is refused."""

    def __init__(self, fault: TokenFault) -> None:
        super().__init__(fault.value)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What the tokens of an issuer must state.

    Attributes:
        issuer: The exact `iss`.
        audience: A value that `aud` must contain.
        algorithms: The algorithms that are accepted, of `ALGORITHMS`.
        requires_type: Whether `typ` must be `at+jwt`; otherwise it may also be `JWT` or absent.
        leeway_seconds: By how much the clocks of the issuer and of this service may differ.
    """

    issuer: str
    audience: str
    algorithms: frozenset[str]
    requires_type: bool = True
    leeway_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class SignedToken:
    """A token whose signature has not been verified: nothing in it may be trusted yet."""

    text: bytes
    algorithm: str
    key_id: str
    type: str
    issuer: str

    def __repr__(self) -> str:
        """Hide the token."""
        return "SignedToken(***)"


def read_token(text: bytes) -> SignedToken:
    """Read the header and the issuer of a token; raises `InvalidToken` if it cannot be one."""
    if len(text) > MAX_TOKEN_BYTES or not _COMPACT.fullmatch(text):
        raise InvalidToken(TokenFault.MALFORMED)
    head, payload, _ = text.split(b".")
    header, claims = _object(_decode(head)), _object(_decode(payload))
    if not _REFUSED_HEADERS.isdisjoint(header):
        raise InvalidToken(TokenFault.MALFORMED)
    return SignedToken(
        text,
        algorithm=_name(header.get("alg"), TokenFault.ALGORITHM),
        key_id=_name(header.get("kid"), TokenFault.KEY_UNKNOWN),
        type=_name(header.get("typ", "JWT"), TokenFault.TYPE).lower(),
        issuer=_name(claims.get("iss"), TokenFault.ISSUER),
    )


def verify_token(token: SignedToken, key: VerificationKey, rules: TokenRules, now: float) -> dict[str, Any]:
    """Return the claims of a token that `key` has signed and that keeps the rules; raises `InvalidToken` otherwise.

    Args:
        token: The token.
        key: The issuer's key with the token's key id and algorithm.
        rules: What the token must state.
        now: The current time in Unix seconds.
    """
    if token.algorithm not in rules.algorithms:
        raise InvalidToken(TokenFault.ALGORITHM)
    types = _ACCESS_TOKEN_TYPES if rules.requires_type else _ACCESS_TOKEN_TYPES | {"jwt"}
    if token.type not in types:
        raise InvalidToken(TokenFault.TYPE)
    try:
        payload = _JWS.decode(token.text, key, algorithms=[key.algorithm_name])
    except (jwt.InvalidTokenError, ValueError):
        raise InvalidToken(TokenFault.SIGNATURE) from None
    claims = _object(payload)
    _check_claims(claims, rules, now)
    return claims


def _check_claims(claims: Mapping[str, Any], rules: TokenRules, now: float) -> None:
    audience = claims.get("aud")
    if claims.get("iss") != rules.issuer:
        raise InvalidToken(TokenFault.ISSUER)
    if rules.audience not in (audience if isinstance(audience, list) else [audience]):
        raise InvalidToken(TokenFault.AUDIENCE)
    if now >= _time(claims, "exp") + rules.leeway_seconds:
        raise InvalidToken(TokenFault.EXPIRED)
    earliest = [_time(claims, "iat"), *([_time(claims, "nbf")] if "nbf" in claims else [])]
    if now < max(earliest) - rules.leeway_seconds:
        raise InvalidToken(TokenFault.NOT_YET_VALID)
    if "cnf" in claims:
        raise InvalidToken(TokenFault.SENDER_CONSTRAINED)


def _time(claims: Mapping[str, Any], name: str) -> float:
    """Return a claim in Unix seconds (RFC 7519, NumericDate)."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MAX_UNIX_SECONDS:
        raise InvalidToken(TokenFault.CLAIMS)
    return value


def _name(value: Any, fault: TokenFault) -> str:
    if isinstance(value, str) and 0 < len(value) <= MAX_NAME_CHARS:
        return value
    raise InvalidToken(fault)


def _decode(segment: bytes) -> bytes:
    try:
        return base64.urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
    except ValueError:
        raise InvalidToken(TokenFault.MALFORMED) from None


def _object(text: bytes) -> dict[str, Any]:
    """Decode a JSON object without repeated members, NaN or Infinity; raises `InvalidToken`."""
    try:
        decoded = json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise InvalidToken(TokenFault.MALFORMED) from None
    if not isinstance(decoded, dict):
        raise InvalidToken(TokenFault.MALFORMED)
    return decoded


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a repeated member")
    return members


def _refuse_constant(_name: str) -> NoReturn:
    raise ValueError("not JSON")


def parse_key_set(body: bytes, algorithms: Collection[str]) -> KeySet:
    """Return the keys of a JWK Set that may verify tokens with one of `algorithms`.

    Keys that are not for signatures, have no id, a type that is not known or an unusual size are left out. Of two keys
    with the same id and algorithm, the first counts.

    Raises:
        InvalidToken: The text is not a JWK Set, or has no usable key.
    """
    keys: dict[tuple[str, str], VerificationKey] = {}
    listed = _object(body).get("keys")
    for raw in listed[:MAX_KEYS] if isinstance(listed, list) else ():
        for key_id, key in _usable(raw) if isinstance(raw, dict) else ():
            if key.algorithm_name in algorithms:
                keys.setdefault((key_id, key.algorithm_name), key)
    if not keys:
        raise InvalidToken(TokenFault.KEY_UNKNOWN)
    return keys


def _usable(raw: Mapping[str, Any]) -> Iterator[tuple[str, VerificationKey]]:
    """Yield a key for each algorithm that it may verify. Only the public members are read."""
    kind, key_id = raw.get("kty"), raw.get("kid")
    curve = raw.get("crv") if kind != "RSA" else ""
    if not isinstance(kind, str) or not isinstance(curve, str) or not isinstance(key_id, str) or not key_id:
        return
    operations = raw.get("key_ops", ["verify"])
    if raw.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return
    if kind == "RSA" and not _is_usual_rsa(raw):
        return
    public = {name: raw[name] for name in _PUBLIC_MEMBERS if name in raw}
    for algorithm in _KEY_ALGORITHMS.get((kind, curve), ()):
        if raw.get("alg", algorithm) == algorithm:
            try:
                key = jwt.PyJWK(public, algorithm)
            except (jwt.PyJWTError, ValueError, TypeError, AttributeError):  # a member is damaged, or no text
                continue
            yield key_id, key


def _is_usual_rsa(raw: Mapping[str, Any]) -> bool:
    modulus = raw.get("n")
    if not isinstance(modulus, str) or raw.get("e") != RSA_EXPONENT:
        return False
    try:
        bits = int.from_bytes(_decode(modulus.encode("ascii"))).bit_length()
    except (InvalidToken, UnicodeEncodeError):
        return False
    return MIN_RSA_BITS <= bits <= MAX_RSA_BITS
