"""Captcha vendors on loopback: the siteverify endpoint of Turnstile, hCaptcha and reCAPTCHA, by their documents."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from otp_service.sandbox.simulators.http_server import Request, Simulator, SimulatorResponse

SECRET = "1x0000000000000000000000000000000AA"
MAX_TOKEN_CHARS = {"turnstile": 2048}
USED_CODES = {"turnstile": "timeout-or-duplicate", "recaptcha": "timeout-or-duplicate"}


class CaptchaSimulator(Simulator):
    """Issues tokens with `solve`, and accepts each of them once."""

    def __init__(self, kind: str = "turnstile") -> None:
        super().__init__()
        self.kind = kind
        self.forgets = False  # that a token was used
        self._unused: dict[str, dict[str, Any]] = {}
        self._used: set[str] = set()
        self._numbers = itertools.count()

    def solve(self, **members: Any) -> str:
        """Return a token, as a person gets it that solves the challenge; `members` are part of the answer to it."""
        token = f"0.{self.kind}-{next(self._numbers)}-zirphaquomlettering"
        solved = {"hostname": "login.example.com", "challenge_ts": datetime.now(UTC).isoformat()}
        if self.kind == "turnstile":
            solved |= {"action": "login", "cdata": ""}
        self._unused[token] = {**solved, **members}
        return token

    def config(self, **members: Any) -> dict[str, Any]:
        """Return a config in which the tenant `demo` uses this verifier."""
        table = {"type": self.kind, "secret": SECRET, "verify_url": f"{self.url}/siteverify", **members}
        return {"captcha": {"human": table}, "tenants": {"demo": {"policy": {"captcha": "human"}}}}

    def answer(self, request: Request) -> SimulatorResponse:
        """Verify a token."""
        assert (request.method, request.path, request.query) == ("POST", "/siteverify", "")
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        fields = parse_qs(request.body.decode("ascii"), strict_parsing=True)
        assert all(len(values) == 1 for values in fields.values())
        form = {name: values[0] for name, values in fields.items()}
        assert set(form) <= {"secret", "response", "remoteip", "sitekey", "request_hash"}
        return self._json(self._verify(form["secret"], form["response"]))

    def last_form(self) -> dict[str, str]:
        """Return the fields of the last request."""
        return {name: values[0] for name, values in parse_qs(self.requests[-1].body.decode()).items()}

    def _verify(self, secret: str, token: str) -> dict[str, Any]:
        if secret != SECRET:
            return _failure("invalid-input-secret")
        if len(token) > MAX_TOKEN_CHARS.get(self.kind, 8192):
            return _failure("invalid-input-response")
        if token in self._used:
            return _failure(USED_CODES.get(self.kind, "invalid-or-already-seen-response"))
        if token not in self._unused:
            return _failure("invalid-input-response")
        solved = self._unused[token]
        if not self.forgets:
            self._used.add(token)
        return {"success": True, "error-codes": [], **solved}

    @staticmethod
    def _json(body: Any) -> SimulatorResponse:
        return SimulatorResponse(json.dumps(body).encode(), headers={"Content-Type": "application/json"})


def _failure(code: str) -> dict[str, Any]:
    return {"success": False, "error-codes": [code]}
