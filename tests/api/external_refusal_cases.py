"""Refusals that follow from services of others that cannot be reached: issuers of access tokens, captcha vendors."""

from __future__ import annotations

from typing import Any, Final

from tests.api.api_requests import NORMALIZE_PHONE, REQUEST_CODE, VERIFY_CODE
from tests.api.refusal_cases import Case, plain, refused
from tests.config_parts import demo_policy
from tests.issuer_simulator import segment

NOWHERE: Final = "http://127.0.0.1:1"
_ISSUER: Final[dict[str, Any]] = {
    "issuers": {
        "corp": {"issuer": NOWHERE, "audience": "otp", "jwks_url": NOWHERE, "clients": {"app": "demo"}},
    }
}
_CAPTCHA: Final[dict[str, Any]] = {
    "captcha": {"human": {"type": "turnstile", "secret": "shared", "verify_url": NOWHERE}},
    **demo_policy(captcha="human"),
}
_TOKEN: Final = f"{segment({'alg': 'EdDSA', 'kid': 'k1'})}.{segment({'iss': NOWHERE})}.x"
_PATHS: Final = {"request-code": REQUEST_CODE, "verify-code": VERIFY_CODE, "normalize-phone": NORMALIZE_PHONE}

EXTERNAL_CASES: Final = [
    *(
        Case(name, "issuer_unavailable", plain("POST", path, {"phone": "0812"}, key=_TOKEN), _ISSUER)
        for name, path in _PATHS.items()
    ),
    refused("captcha_required", _CAPTCHA),
    refused("captcha_failed", _CAPTCHA, captcha_token="a" * 2049),  # longer than the vendor's
    refused("captcha_unavailable", _CAPTCHA, captcha_token="token"),
]
