"""An OAuth 2.0 authorization server on loopback: its metadata, its key set, and the tokens that it signs."""

from __future__ import annotations

import base64
import functools
import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from otp_service.sandbox.simulators.http_server import Request, Simulator, SimulatorResponse

PrivateKey = Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

AUDIENCE = "otp-service"
CLIENT = "mobile-app"


@functools.cache
def rsa_key() -> rsa.RSAPrivateKey:
    """Return an RSA key, the same one each time: to make one takes 0.1 s."""
    return rsa.generate_private_key(65537, 2048)


def public_jwk(key_id: str, key: PrivateKey, **members: Any) -> dict[str, Any]:
    """Return the JWK of the public half of a key."""
    match key:
        case Ed25519PrivateKey():
            jwk = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
        case ec.EllipticCurvePrivateKey():
            jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        case _:
            jwk = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**jwk, "kid": key_id, **members}


def segment(value: Any) -> str:
    """Return a part of a token: JSON (or a text as it is) in base64url."""
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


class IssuerSimulator(Simulator):
    """Publishes `keys` at `/jwks.json`, and signs tokens with the newest of them."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: dict[str, PrivateKey] = {"k1": Ed25519PrivateKey.generate()}
        self.metadata: dict[str, Any] = {}

    @property
    def fetches(self) -> int:
        """How often the key set was fetched."""
        return sum(request.path == "/jwks.json" for request in self.requests)

    def config(self, **members: Any) -> dict[str, Any]:
        """Return the table of this issuer in the configuration; None takes a key out."""
        table = {
            "issuer": self.url,
            "audience": AUDIENCE,
            "jwks_url": f"{self.url}/jwks.json",
            "clients": {CLIENT: "demo"},
            **members,
        }
        return {name: value for name, value in table.items() if value is not None}

    def answer(self, request: Request) -> SimulatorResponse:
        """Answer with the key set or the metadata."""
        if request.path == "/jwks.json":
            return self._json(self.key_set())
        if request.path.startswith("/.well-known/"):
            return self._json({"issuer": self.url, "jwks_uri": f"{self.url}/jwks.json", **self.metadata})
        return SimulatorResponse(status=404)

    def key_set(self) -> dict[str, Any]:
        """Return the published key set."""
        return {"keys": [public_jwk(key_id, key) for key_id, key in self.keys.items()]}

    def claims(self, **claims: Any) -> dict[str, Any]:
        """Return the claims of a good token, with changes; None takes a claim out."""
        now = int(time.time())
        good = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "user-1",
            "client_id": CLIENT,
            "iat": now,
            "exp": now + 300,
            "scope": "otp:request otp:verify otp:read",
            **claims,
        }
        return {name: value for name, value in good.items() if value is not None}

    def token(self, *, key_id: str = "", headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """Return a signed token; `headers` and `claims` change those of a good one."""
        key_id = key_id or list(self.keys)[-1]
        key = self.keys[key_id]
        algorithms = {Ed25519PrivateKey: "EdDSA", rsa.RSAPrivateKey: "RS256"}
        algorithm = next((name for kind, name in algorithms.items() if isinstance(key, kind)), "ES256")
        head = {"typ": "at+jwt", "kid": key_id, **(headers or {})}
        return jwt.encode(self.claims(**claims), key, algorithm=algorithm, headers=head)

    def signed(self, head: str, payload: str) -> str:
        """Sign two texts as header and payload, whatever they are, with the newest key (Ed25519)."""
        text = f"{segment(head)}.{segment(payload)}"
        key = list(self.keys.values())[-1]
        assert isinstance(key, Ed25519PrivateKey)
        return f"{text}.{base64.urlsafe_b64encode(key.sign(text.encode())).rstrip(b'=').decode()}"

    @staticmethod
    def _json(body: Any) -> SimulatorResponse:
        return SimulatorResponse(json.dumps(body).encode(), headers={"Content-Type": "application/json"})
