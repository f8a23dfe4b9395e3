"""Tokens that must be refused: forged, of another issuer or service, expired, or written to confuse a parser."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Callable

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.issuer_simulator import AUDIENCE, CLIENT, IssuerSimulator, segment

__all__ = ["FORGED_TOKENS"]


def with_secret(token: str, secret: bytes) -> str:
    """Return a token's claims, signed with HMAC under `secret`."""
    text = f"{segment({'alg': 'HS256', 'typ': 'at+jwt', 'kid': 'k1'})}.{token.split('.')[1]}"
    return f"{text}.{segment(hmac.digest(secret, text.encode(), 'sha256').hex())}"


Make = Callable[[IssuerSimulator], str]
HEAD = {"alg": "EdDSA", "typ": "at+jwt", "kid": "k1"}
GOOD_HEAD = json.dumps(HEAD)
NOW = int(time.time())
"""Other tests may run for minutes before it is used."""


def public_pem(issuer: IssuerSimulator) -> bytes:
    """Return the issuer's public key, which everybody knows."""
    return issuer.keys["k1"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def unsigned(issuer: IssuerSimulator) -> str:
    """Return a token that says that it needs no signature."""
    return f"{segment({**HEAD, 'alg': 'none'})}.{segment(issuer.claims())}.{segment('x')}"


def changed_payload(issuer: IssuerSimulator) -> str:
    """Return a token with other claims than were signed."""
    first, _, last = issuer.token().split(".")
    return f"{first}.{segment(issuer.claims(client_id='other'))}.{last}"


def raw(head: str, payload: Make) -> Make:
    """Return a correctly signed token with these texts as header and payload."""
    return lambda issuer: issuer.signed(head, payload(issuer))


def good(issuer: IssuerSimulator) -> str:
    """Return the payload of a good token."""
    return json.dumps(issuer.claims())


def with_claims(**claims: object) -> Make:
    """Return a correctly signed token with claims that PyJWT would not write."""
    return raw(GOOD_HEAD, lambda issuer: json.dumps({**issuer.claims(), **claims}))


def with_ending(text: str) -> Make:
    """Return a correctly signed token whose payload ends with `text`."""
    return raw(GOOD_HEAD, lambda issuer: good(issuer)[:-1] + text)


OTHER = IssuerSimulator()

FORGED_TOKENS: list[tuple[str, Make]] = [
    ("algorithm", unsigned),
    ("algorithm", lambda issuer: with_secret(issuer.token(), public_pem(issuer))),
    ("algorithm", raw(json.dumps({**HEAD, "alg": "ES384"}), good)),
    ("algorithm", raw(json.dumps({"typ": "at+jwt", "kid": "k1"}), good)),
    ("key_unknown", raw(json.dumps({**HEAD, "alg": "RS256"}), good)),  # the key k1 is none of RSA
    ("key_unknown", lambda issuer: issuer.token(headers={"kid": "k2"})),
    ("key_unknown", raw(json.dumps({"alg": "EdDSA", "typ": "at+jwt"}), good)),
    ("key_unknown", raw(json.dumps({**HEAD, "kid": "k" * 256}), good)),
    ("signature", lambda issuer: OTHER.token(iss=issuer.url)),
    ("signature", changed_payload),
    ("type", lambda issuer: issuer.token(headers={"typ": "JWT"})),
    ("type", lambda issuer: issuer.token(headers={"typ": "otp-verification+jwt"})),
    ("type", lambda issuer: issuer.token(headers={"typ": "id_token+jwt"})),
    ("issuer", lambda issuer: issuer.token(iss="https://login.example.com")),
    ("issuer", lambda issuer: issuer.token(iss=None)),
    ("issuer", lambda issuer: issuer.token(iss=issuer.url + "/")),
    ("audience", lambda issuer: issuer.token(aud="other-service")),
    ("audience", lambda issuer: issuer.token(aud=None)),
    ("audience", lambda issuer: issuer.token(aud=["other", "otp-service-2"])),
    ("audience", with_claims(aud={AUDIENCE: 1})),
    ("expired", lambda issuer: issuer.token(exp=NOW - 11)),
    ("not_yet_valid", lambda issuer: issuer.token(nbf=NOW + 86_400)),
    ("not_yet_valid", lambda issuer: issuer.token(iat=NOW + 86_400)),
    ("claims", lambda issuer: issuer.token(iat=None)),
    ("claims", lambda issuer: issuer.token(exp=None)),
    ("claims", with_claims(exp=str(NOW + 86_400))),
    ("claims", with_claims(exp=True)),
    ("claims", with_claims(exp=10**400)),
    ("claims", with_claims(exp=NOW * 1000)),
    ("claims", with_ending(', "nbf": 1e999}')),
    ("sender_constrained", lambda issuer: issuer.token(cnf={"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"})),
    ("client", lambda issuer: issuer.token(client_id="other")),
    ("client", lambda issuer: issuer.token(client_id=None)),
    ("client", lambda issuer: issuer.token(client_id=[CLIENT])),
    ("malformed", raw(json.dumps({**HEAD, "crit": ["exp"]}), good)),
    ("malformed", raw(json.dumps({**HEAD, "b64": True}), good)),
    ("malformed", raw(GOOD_HEAD[:-1] + ', "alg": "EdDSA"}', good)),
    ("malformed", with_ending(f', "client_id": "{CLIENT}"}}')),
    ("malformed", with_ending(', "x": {"a": 1, "a": 2}}')),
    ("malformed", with_ending(', "x": NaN}')),
    ("malformed", raw(GOOD_HEAD, lambda issuer: "[" + good(issuer) + "]")),
    ("malformed", raw(GOOD_HEAD, lambda _: '{"x":' + "[" * 3000)),
    ("malformed", with_ending(f', "x": {"1" * 5000}}}')),
    ("malformed", raw(GOOD_HEAD, IssuerSimulator.token)),  # a token in a token
    ("malformed", lambda issuer: issuer.token(padding="a" * 8000)),
    ("malformed", lambda issuer: issuer.token() + ".x"),
    ("malformed", lambda issuer: issuer.token() + "="),
    ("malformed", lambda issuer: issuer.token().replace(".", "!.", 1)),
    ("malformed", lambda _: "eyJ"),
]
"""What the log calls the fault, and what makes the token."""
