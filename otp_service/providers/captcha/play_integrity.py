"""Play Integrity: Google decodes the integrity token of an Android app, and returns verdicts on app and device.

developer.android.com/google/play/integrity/verdicts, and the reference of `playintegrity.googleapis.com` v1. POST to
`/v1/{packageName}:decodeIntegrityToken` with `{"integrity_token": ...}` and an access token of the scope
`playintegrity` responds `{"tokenPayloadExternal": {...}}` with

- `requestDetails`: `requestPackageName`, `requestHash` (what the app has bound the token to) and `timestampMillis`, a
  number in a string. Google asks to compare these first;
- `appIntegrity`: `appRecognitionVerdict` (`PLAY_RECOGNIZED`: the app as Play distributes it), `packageName` and
  `certificateSha256Digest`;
- `deviceIntegrity`: `deviceRecognitionVerdict`, a list such as `MEETS_DEVICE_INTEGRITY`;
- `accountDetails`: `appLicensingVerdict` (`LICENSED`: installed from Play);
- `testingDetails`, if the response was set up for a tester, which is not a proof.

The app computes `requestHash` as `domain.captcha.request_hash` does. The access token is got with the assertion of a
service account, and kept until it expires.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import urlencode

import msgspec

from otp_service.domain.captcha import CaptchaCheck, CaptchaCheckResult, CaptchaResult
from otp_service.providers.http_client import GatewayClient, GatewayResponse
from otp_service.providers.lenient_json import json_object, parse_integer

__all__ = ["API_URL", "AssertionSource", "PlayIntegrity", "PlayIntegrityRules"]

API_URL: Final = "https://playintegrity.googleapis.com"
SCOPE: Final = "https://www.googleapis.com/auth/playintegrity"
GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
RENEW_BEFORE_SECONDS: Final = 60.0
CLOCK_LEEWAY_SECONDS: Final = 30.0

_REQUEST_TIMEOUT: Final = 408
_TOO_MANY_REQUESTS: Final = 429
"""The daily quota (10,000 by default) is used up, which anybody can cause with enough bad tokens."""


class AssertionSource(Protocol):
    """What signs the assertions: `crypto.service_account.ServiceAccount`."""

    @property
    def token_url(self) -> str:
        """Where assertions are exchanged for access tokens."""

    def assertion(self, scope: str, now: float) -> str:
        """Return a signed assertion; `now` is in Unix seconds."""


@dataclass(frozen=True, slots=True)
class PlayIntegrityRules:
    """What a decoded token must state.

    Attributes:
        package_name: The app.
        device_verdicts: At least one of these must be said of the device.
        certificates: The signing certificate (SHA-256, base64url) must be one of these; empty: Google's word is enough.
        requires_license: Whether the app must have been installed from Play.
        binds_request: Whether the token must be made for this request.
        max_age_seconds: How old a token may be.
    """

    package_name: str
    device_verdicts: frozenset[str]
    certificates: frozenset[str]
    requires_license: bool
    binds_request: bool
    max_age_seconds: float

    def violated_by(self, payload: Mapping[str, Any], request_hash: str, now: float) -> str:
        """Return the rule that a decoded token does not keep; "" if it keeps all."""
        request, app = _table(payload, "requestDetails"), _table(payload, "appIntegrity")
        if request.get("requestPackageName") != self.package_name:
            return "request_package"
        if self.binds_request and request.get("requestHash") != request_hash:
            return "request_hash"
        age = now - (parse_integer(request.get("timestampMillis")) or 0) / 1000
        if not -CLOCK_LEEWAY_SECONDS <= age <= self.max_age_seconds:
            return "age"
        if "testingDetails" in payload:
            return "testing"
        if app.get("appRecognitionVerdict") != "PLAY_RECOGNIZED" or app.get("packageName") != self.package_name:
            return "app"
        if self.certificates and self.certificates.isdisjoint(_texts(app, "certificateSha256Digest")):
            return "certificate"
        if self.device_verdicts.isdisjoint(_texts(_table(payload, "deviceIntegrity"), "deviceRecognitionVerdict")):
            return "device"
        if self.requires_license and _table(payload, "accountDetails").get("appLicensingVerdict") != "LICENSED":
            return "license"
        return ""


class PlayIntegrity:
    """The verifier of one app."""

    def __init__(
        self,
        api_url: str,
        account: AssertionSource,
        rules: PlayIntegrityRules,
        client: GatewayClient,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Call `api_url` with access tokens for `account`; `clock` returns Unix seconds."""
        self._url = f"{api_url}/v1/{rules.package_name}:decodeIntegrityToken"
        self._account = account
        self._rules = rules
        self._client = client
        self._clock = clock
        self._renewal = asyncio.Lock()
        self._access_token, self._renew_at = "", 0.0

    async def verify(self, check: CaptchaCheck) -> CaptchaCheckResult:
        """Ask Google once, after an access token was renewed if it is due; see the port."""
        try:
            async with asyncio.timeout(self._client.timeout_seconds):
                return await self._verify(check)
        except TimeoutError:
            return CaptchaCheckResult(CaptchaResult.UNAVAILABLE, "no_answer")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _verify(self, check: CaptchaCheck) -> CaptchaCheckResult:
        if (failed := await self._renew_access_token()) is not None:
            return failed
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._access_token}"}
        body = msgspec.json.encode({"integrity_token": check.token})
        response = await self._client.call("POST", self._url, headers=headers, content=body)
        if not isinstance(response, GatewayResponse) or _is_failure(response):
            return CaptchaCheckResult(CaptchaResult.UNAVAILABLE, "no_answer")
        if response.status == _TOO_MANY_REQUESTS:
            return CaptchaCheckResult(CaptchaResult.THROTTLED, "status_429")
        if response.status in (401, 403, 404):
            self._renew_at = 0.0
            return CaptchaCheckResult(CaptchaResult.MISCONFIGURED, f"status_{response.status}")
        payload = json_object(response.body).get("tokenPayloadExternal")
        if response.status != 200 or not isinstance(payload, dict):
            return CaptchaCheckResult(CaptchaResult.REJECTED, "not_decoded")
        violated = self._rules.violated_by(payload, check.request_hash, self._clock())
        return CaptchaCheckResult(CaptchaResult.REJECTED if violated else CaptchaResult.ACCEPTED, violated)

    async def _renew_access_token(self) -> CaptchaCheckResult | None:
        """Get an access token if the last one expires soon; return why there is none. One call at a time."""
        async with self._renewal:
            now = self._clock()
            if now < self._renew_at:
                return None
            form = {"grant_type": GRANT_TYPE, "assertion": self._account.assertion(SCOPE, now)}
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            url, content = self._account.token_url, urlencode(form).encode()
            response = await self._client.call("POST", url, headers=headers, content=content)
            if not isinstance(response, GatewayResponse) or _is_failure(response):
                return CaptchaCheckResult(CaptchaResult.UNAVAILABLE, "no_access_token")
            if response.status == _TOO_MANY_REQUESTS:
                return CaptchaCheckResult(CaptchaResult.THROTTLED, "no_access_token")
            document = json_object(response.body)
            token, seconds = document.get("access_token"), parse_integer(document.get("expires_in"))
            if response.status != 200 or not isinstance(token, str) or not _is_header_text(token) or seconds is None:
                return CaptchaCheckResult(CaptchaResult.MISCONFIGURED, "no_access_token")
            self._access_token, self._renew_at = token, now + seconds - RENEW_BEFORE_SECONDS
        return None


def _is_failure(response: GatewayResponse) -> bool:
    """Return whether the server failed, rather than refused."""
    return response.status >= 500 or response.status == _REQUEST_TIMEOUT


def _is_header_text(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _table(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = payload.get(name)
    return value if isinstance(value, dict) else {}


def _texts(table: Mapping[str, Any], name: str) -> frozenset[str]:
    value = table.get(name)
    return frozenset(text for text in value if isinstance(text, str)) if isinstance(value, list) else frozenset()
