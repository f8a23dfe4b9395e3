"""The siteverify protocol, which Turnstile, hCaptcha and reCAPTCHA share: a form with the secret and the token.

Turnstile: developers.cloudflare.com/turnstile/get-started/server-side-validation. POST to
`https://challenges.cloudflare.com/turnstile/v0/siteverify`, as a form or as JSON: `secret`, `response` (at most 2048
characters, valid for 300 seconds, for one use), optional `remoteip` and `idempotency_key`. The JSON response has
`success`, `error-codes`, `challenge_ts`, `hostname`, `action` and `cdata`.

hCaptcha: docs.hcaptcha.com. POST to `https://api.hcaptcha.com/siteverify`, as a form only: `secret`, `response`,
optional `remoteip` and `sitekey`. The response has `success`, `challenge_ts`, `hostname`, `error-codes`, and for
Enterprise `score`, a risk: 0 is no risk, 1 a confirmed threat.

reCAPTCHA: developers.google.com/recaptcha/docs/verify. POST to `https://www.google.com/recaptcha/api/siteverify`, as a
form: `secret`, `response` (valid for two minutes, for one use), optional `remoteip`. The response is as above; that of
version 3 has `score` (1 is very likely a person) and `action`.

A service of the operator's own that responds in this form is the type `siteverify`: it may stand for any other vendor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlencode

from otp_service.domain.captcha import MAX_CAPTCHA_TOKEN_CHARS, CaptchaCheck, CaptchaCheckResult, CaptchaResult
from otp_service.domain.secret import Secret
from otp_service.providers.http_client import GatewayClient, GatewayResponse
from otp_service.providers.lenient_json import json_object

__all__ = ["MAX_TOKEN_CHARS", "VERIFY_URLS", "Siteverify", "SiteverifyRules"]

VERIFY_URLS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "turnstile": "https://challenges.cloudflare.com/turnstile/v0/siteverify",
        "hcaptcha": "https://api.hcaptcha.com/siteverify",
        "recaptcha": "https://www.google.com/recaptcha/api/siteverify",
    }
)

MAX_TOKEN_CHARS: Final[Mapping[str, int]] = MappingProxyType({"turnstile": 2048})
"""The longest tokens, where a vendor documents them; a longer one is rejected here."""

_RESULTS: Final[Mapping[str, CaptchaResult]] = MappingProxyType(
    {
        "missing-input-secret": CaptchaResult.MISCONFIGURED,
        "invalid-input-secret": CaptchaResult.MISCONFIGURED,
        "sitekey-secret-mismatch": CaptchaResult.MISCONFIGURED,
        "not-using-dummy-secret": CaptchaResult.MISCONFIGURED,
        "not-using-dummy-passcode": CaptchaResult.MISCONFIGURED,
        "internal-error": CaptchaResult.UNAVAILABLE,
        "missing-input-response": CaptchaResult.REJECTED,
        "invalid-input-response": CaptchaResult.REJECTED,
        "expired-input-response": CaptchaResult.REJECTED,
        "already-seen-response": CaptchaResult.REJECTED,
        "invalid-or-already-seen-response": CaptchaResult.REJECTED,
        "timeout-or-duplicate": CaptchaResult.REJECTED,
        "bad-request": CaptchaResult.REJECTED,
        "missing-remoteip": CaptchaResult.REJECTED,
        "invalid-remoteip": CaptchaResult.REJECTED,
    }
)
"""What the error codes of the vendors' pages mean. `bad-request` may follow from the token alone, so it is no failure
of the vendor. A code that is not listed rejects the token, and is logged as `other`."""

_SEVERITY: Final = (CaptchaResult.MISCONFIGURED, CaptchaResult.REJECTED, CaptchaResult.UNAVAILABLE)
"""Of several error codes, the first of these counts. `UNAVAILABLE` is last: it may be allowed to pass."""

_MAX_ERROR_CODES: Final = 16
_TOO_MANY_REQUESTS: Final = 429


@dataclass(frozen=True, slots=True)
class SiteverifyRules:
    """What a success must state to be one. Empty or None: it is not checked.

    Attributes:
        hostnames: The sites on which the challenge may have been solved.
        action: The action that the page has given to the challenge.
        min_score: The least score (reCAPTCHA: likely a person).
        max_score: The greatest score (hCaptcha Enterprise: risk).
    """

    hostnames: frozenset[str] = frozenset()
    action: str | None = None
    min_score: float | None = None
    max_score: float | None = None

    def violated_by(self, document: Mapping[str, Any]) -> str:
        """Return the rule that a success does not keep; "" if it keeps all."""
        hostname = document.get("hostname")
        if self.hostnames and not (isinstance(hostname, str) and hostname in self.hostnames):
            return "hostname"
        if self.action is not None and document.get("action") != self.action:
            return "action"
        if self.min_score is not None or self.max_score is not None:
            score = document.get("score")
            if isinstance(score, bool) or not isinstance(score, int | float):
                return "score"
            if not (self.min_score or 0.0) <= score <= (1.0 if self.max_score is None else self.max_score):
                return "score"
        return ""


@dataclass(frozen=True, slots=True)
class Siteverify:
    """A verifier that speaks the protocol.

    Attributes:
        url: The address.
        secret: What identifies us.
        rules: What a success must state.
        client: The HTTP client.
        site_key: Sent with each token, unless it is "".
        sends_client_ip: Whether the person's address is sent.
        max_token_chars: A longer token is rejected without a call.
        sends_request_hash: Whether the hash of the request is sent, which is no part of the vendors' protocol.
    """

    url: str
    secret: Secret
    rules: SiteverifyRules
    client: GatewayClient
    site_key: str = ""
    sends_client_ip: bool = False
    max_token_chars: int = MAX_CAPTCHA_TOKEN_CHARS
    sends_request_hash: bool = False

    async def verify(self, check: CaptchaCheck) -> CaptchaCheckResult:
        """Ask the vendor once; see the port."""
        if len(check.token) > self.max_token_chars:
            return CaptchaCheckResult(CaptchaResult.REJECTED, "too_long")
        form = {"secret": self.secret.reveal(), "response": check.token}
        if self.site_key:
            form["sitekey"] = self.site_key
        if self.sends_client_ip and check.client_ip:
            form["remoteip"] = check.client_ip
        if self.sends_request_hash:
            form["request_hash"] = check.request_hash
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        response = await self.client.call("POST", self.url, headers=headers, content=urlencode(form).encode())
        return self._read(response) if isinstance(response, GatewayResponse) else _unavailable("no_answer")

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()

    def _read(self, response: GatewayResponse) -> CaptchaCheckResult:
        document = json_object(response.body)
        success = document.get("success")
        if success is True and response.status == 200:
            violated = self.rules.violated_by(document)
            return CaptchaCheckResult(CaptchaResult.REJECTED if violated else CaptchaResult.ACCEPTED, violated)
        if success is False:
            return _by_error_codes(document.get("error-codes"))
        if response.status == _TOO_MANY_REQUESTS:
            # many tokens of one caller may have caused it
            return CaptchaCheckResult(CaptchaResult.THROTTLED, "status_429")
        if response.status >= 500 or response.status < 400:
            return _unavailable("undocumented")
        return CaptchaCheckResult(CaptchaResult.REJECTED, "undocumented")  # a token may have caused it


def _by_error_codes(codes: Any) -> CaptchaCheckResult:
    listed = [code for code in codes[:_MAX_ERROR_CODES] if isinstance(code, str)] if isinstance(codes, list) else []
    found = {_RESULTS.get(code, CaptchaResult.REJECTED): code if code in _RESULTS else "other" for code in listed}
    for result in _SEVERITY:
        if result in found:
            return CaptchaCheckResult(result, found[result])
    return CaptchaCheckResult(CaptchaResult.REJECTED, "other")


def _unavailable(why: str) -> CaptchaCheckResult:
    return CaptchaCheckResult(CaptchaResult.UNAVAILABLE, why)
