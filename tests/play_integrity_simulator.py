"""Google's token endpoint and Play Integrity API on loopback, by their documents."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from otp_service.domain.captcha import request_hash
from otp_service.sandbox.simulators.http_server import Request, Simulator, SimulatorResponse
from tests.issuer_simulator import rsa_key
from tests.running_service import E164

PACKAGE = "com.example.app"
CERTIFICATE = "A" * 43


class PlayIntegritySimulator(Simulator):
    """Knows one app; decodes the tokens that `attest` has made."""

    def __init__(self) -> None:
        super().__init__()
        self.expires_in = 3600
        self.access_token = "ya29.first"
        self._payloads: dict[str, dict[str, Any]] = {}

    def key_file(self, **members: Any) -> str:
        """Return the key file of the service account."""
        pem = rsa_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        good = {"client_email": "otp@project.iam.gserviceaccount.com", "private_key": pem, "private_key_id": "abc"}
        return json.dumps({"type": "service_account", **good, "token_uri": f"{self.url}/token", **members})

    def config(self, **members: Any) -> dict[str, Any]:
        """Return a config in which the tenant `demo` uses this app."""
        table = {
            "type": "play_integrity",
            "package_name": PACKAGE,
            "credentials": self.key_file(),
            "verify_url": self.url,
            **members,
        }
        return {"captcha": {"app": table}, "tenants": {"demo": {"policy": {"captcha": "app"}}}}

    def attest(self, *, recipient: str = E164, purpose: str = "login", age: float = 1.0, **parts: Any) -> str:
        """Return a token as a genuine app makes it for a request; `parts` change parts of its payload (None: none)."""
        payload: dict[str, Any] = {
            "requestDetails": {
                "requestPackageName": PACKAGE,
                "requestHash": request_hash(purpose, recipient),
                "timestampMillis": str(int((time.time() - age) * 1000)),
            },
            "appIntegrity": {
                "appRecognitionVerdict": "PLAY_RECOGNIZED",
                "packageName": PACKAGE,
                "certificateSha256Digest": [CERTIFICATE],
                "versionCode": "42",
            },
            "deviceIntegrity": {"deviceRecognitionVerdict": ["MEETS_DEVICE_INTEGRITY"]},
            "accountDetails": {"appLicensingVerdict": "LICENSED"},
        }
        for name, part in parts.items():
            payload[name] = {**payload.get(name, {}), **part} if isinstance(part, dict) else part
        token = f"eyJhbGciOiJBMjU2S1ciLCJlbmMiOiJBMjU2R0NNIn0.{len(self._payloads)}.x.y.z"
        self._payloads[token] = payload
        return token

    def calls(self, path: str) -> int:
        """How often a path was called."""
        return sum(request.path == path for request in self.requests)

    def answer(self, request: Request) -> SimulatorResponse:
        """Exchange an assertion, or decode a token."""
        if request.path == "/token":
            return self._exchange(request)
        assert (request.method, request.path) == ("POST", f"/v1/{PACKAGE}:decodeIntegrityToken")
        if request.headers.get("authorization") != f"Bearer {self.access_token}":
            return _json({"error": {"code": 401, "status": "UNAUTHENTICATED"}}, 401)
        body = json.loads(request.body)
        assert set(body) == {"integrity_token"}
        payload = self._payloads.get(body["integrity_token"])
        if payload is None:
            return _json({"error": {"code": 400, "status": "INVALID_ARGUMENT"}}, 400)
        return _json({"tokenPayloadExternal": payload})

    def _exchange(self, request: Request) -> SimulatorResponse:
        form = {name: values[0] for name, values in parse_qs(request.body.decode(), strict_parsing=True).items()}
        assert form.pop("grant_type") == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        claims = jwt.decode(
            form.pop("assertion"), rsa_key().public_key(), algorithms=["RS256"], audience=f"{self.url}/token"
        )
        assert form == {}
        assert claims["iss"] == "otp@project.iam.gserviceaccount.com"
        assert claims["scope"] == "https://www.googleapis.com/auth/playintegrity"
        assert 0 < claims["exp"] - claims["iat"] <= 3600
        return _json({"access_token": self.access_token, "expires_in": self.expires_in, "token_type": "Bearer"})


def _json(body: Any, status: int = 200) -> SimulatorResponse:
    return SimulatorResponse(json.dumps(body).encode(), status, {"Content-Type": "application/json"})
