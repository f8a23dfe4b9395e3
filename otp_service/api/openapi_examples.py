"""Every response in the OpenAPI document, each with an example."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example

from otp_service.api.app_attest_bodies import AppAttestChallenge, RegisteredKey, RegisterKeyBody
from otp_service.api.documented_refusals import REASONS
from otp_service.api.guard_bodies import GUARD_SUCCESSES, SetBreakerBody
from otp_service.api.problems import PROBLEMS, TYPE_PREFIX
from otp_service.api.proof_bodies import Introspection, IntrospectionBody
from otp_service.api.schemas import (
    CheckRecipientBody,
    ForgetBody,
    ForgottenRecipient,
    HealthStatus,
    HookAccepted,
    Jwks,
    NormalizedPhone,
    NormalizePhone,
    OptOutCount,
    Problem,
    ReceiptAccepted,
    RecipientStatus,
    RequestCodeBody,
    RequestedCode,
    UnlockBody,
    UnlockedRecipient,
    VerificationBody,
    VerifiedCode,
    VerifyCodeBody,
)
from otp_service.domain.errors import Reason

__all__ = ["BEARER", "METRICS_TYPE", "REQUEST_EXAMPLES", "responses"]

BEARER: Final = [{"bearer": list[str]()}]

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_JWT: Final = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIuLi4ifQ.c2lnbmF0dXJl"
_CHALLENGE: Final = "Zm9yIHRoZSBkb2N1bWVudCBvbmx5AABqMzVLzQ0Zk3lq5N0G2Y"
_KEY_ID: Final = "zgSY9YSD+7TaDXssY6WlOPVS1K3Lmk+pFhlcSWE+ZV0="
_TRANSACTION: Final = {"amount": "12500.00", "currency": "IDR", "payee": "Toko Budi"}

REQUEST_EXAMPLES: Final[dict[type[Any], list[dict[str, Any]]]] = {
    RequestCodeBody: [
        {"phone": "0812-1010-0055", "purpose": "login", "country": "ID", "locale": "id"},
        {"email": "ann@example.com", "purpose": "login", "locale": "id"},
        {"phone": "0812-1010-0055", "purpose": "payment", "transaction": _TRANSACTION},
    ],
    VerifyCodeBody: [
        {"verification_id": "HpLZ2c1nQ0mVb7yT5s9XkQw", "code": "123456"},
        {"verification_id": "HpLZ2c1nQ0mVb7yT5s9XkQw", "code": "123456", "transaction": _TRANSACTION},
    ],
    IntrospectionBody: [{"token": _JWT}, {"token": _JWT, "consume": True}],
    RegisterKeyBody: [{"key_id": _KEY_ID, "challenge": _CHALLENGE, "attestation": "o2NmbXRvYXBwbGUtYXBwYXR0ZXN0"}],
    NormalizePhone: [{"phone": "0812-1010-0055", "country": "ID"}],
    ForgetBody: [{"phone": "0812-1010-0055", "country": "ID"}, {"email": "ann@example.com"}],
    UnlockBody: [{"phone": "0812-1010-0055", "country": "ID"}, {"email": "ann@example.com"}],
    CheckRecipientBody: [{"phone": "0812-1010-0055", "country": "ID"}],
    SetBreakerBody: [{"state": "open", "seconds": 3600}, {"state": "closed"}],
}
"""Examples of each request body."""

_PENDING: Final[dict[str, Any]] = {
    "verification_id": "HpLZ2c1nQ0mVb7yT5s9XkQw",
    "status": "pending",
    "purpose": "login",
    "channel": "sms",
    "phone": "+62812*****055",
    "country": "ID",
    "code_length": 6,
    "expires_at": "2026-11-22T10:05:00Z",
    "expires_in": 300,
    "resend_at": "2026-11-22T10:00:30Z",
    "resend_in": 30,
    "attempts_left": 5,
    "sends_left": 4,
}
_PENDING_EMAIL: Final = {name: value for name, value in _PENDING.items() if name not in ("phone", "country")} | {
    "channel": "email",
    "email": "a***@example.com",
}
_DELIVERY: Final = {
    "provider": "jakarta",
    "channel": "sms",
    "status": "sent",
    "at": "2026-11-22T10:00:00Z",
    "error": None,
}
_SUCCESS_RESPONSES: Final[dict[str, tuple[int, type[Any], Any]]] = {
    "request_code": (202, RequestedCode, _PENDING),
    "verify_code": (
        200,
        VerifiedCode,
        {
            "verification_id": "HpLZ2c1nQ0mVb7yT5s9XkQw",
            "status": "verified",
            "purpose": "login",
            "phone": "+6281210100055",
            "verified_at": "2026-11-22T10:00:41Z",
            "token": _JWT,
            "token_expires_at": "2026-11-22T10:05:41Z",
        },
    ),
    "read": (
        200,
        VerificationBody,
        {**_PENDING, "created_at": "2026-11-22T10:00:00Z", "ended_at": None, "deliveries": [_DELIVERY]},
    ),
    "cancel": (
        200,
        VerificationBody,
        {
            **_PENDING,
            "status": "canceled",
            "created_at": "2026-11-22T10:00:00Z",
            "ended_at": "2026-11-22T10:00:20Z",
            "deliveries": [_DELIVERY],
        },
    ),
    "normalize_phone": (
        200,
        NormalizedPhone,
        {"e164": "+6281210100055", "national": "0812-1010-0055", "country": "ID", "type": "mobile", "mobile": True},
    ),
    "introspect": (
        200,
        Introspection,
        {
            "active": True,
            "iss": "https://otp.example.com",
            "aud": "acme",
            "sub": "0Zk3lq5N0G2Yy1cVJYk7xA",
            "jti": "HpLZ2c1nQ0mVb7yT5s9XkQw",
            "iat": 1795341641,
            "exp": 1795341941,
            "phone": "+6281210100055",
            "purpose": "login",
            "consumed": False,
        },
    ),
    "app_attest_challenge": (200, AppAttestChallenge, {"challenge": _CHALLENGE, "expires_in": 300}),
    "app_attest_key": (200, RegisteredKey, {"key_id": _KEY_ID, "expires_in": 7776000}),
    "forget": (
        200,
        ForgottenRecipient,
        {
            "phone": "+62812*****055",
            "verifications_removed": 1,
            "kept": [
                {"what": "limits", "until": "2026-11-23T10:00:00Z"},
                {"what": "guard_numbers", "until": "2027-01-21T10:00:00Z"},
            ],
        },
    ),
    "unlock": (200, UnlockedRecipient, {"phone": "+62812*****055", "unlocked": True, "failures_cleared": 100}),
    "check_recipient": (
        200,
        RecipientStatus,
        {"phone": "+62812*****055", "opted_out": True, "opted_out_until": "2027-12-27T10:00:00Z"},
    ),
    "count_opt_outs": (200, OptOutCount, {"count": 17}),
    **GUARD_SUCCESSES,
    "receipt": (200, ReceiptAccepted, {}),
    "supabase_hook": (200, HookAccepted, {}),
    "kratos_hook": (200, HookAccepted, {"message_id": "HpLZ2c1nQ0mVb7yT5s9XkQw"}),
    "keycloak_hook": (200, HookAccepted, {"message_id": "HpLZ2c1nQ0mVb7yT5s9XkQw"}),
    "live": (200, HealthStatus, {"status": "live"}),
    "ready": (200, HealthStatus, {"status": "ready"}),
    "metrics": (200, str, '# TYPE otp_requests_total counter\notp_requests_total{route="/livez",status="200"} 1.0\n'),
    "jwks": (
        200,
        Jwks,
        {
            "keys": [
                {
                    "kty": "OKP",
                    "crv": "Ed25519",
                    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
                    "kid": "t1",
                    "use": "sig",
                    "alg": "EdDSA",
                }
            ]
        },
    ),
}

_SUPABASE_ERROR: Final = {"error": {"http_code": 429, "message": "Request a code after `retry_after` seconds."}}
_OTHER_SUCCESSES: Final = {
    "request_code": ("by_email", "request_code, by e-mail", _PENDING_EMAIL),
    "introspect": ("not_active", "introspect, of any other token", {"active": False}),
    "supabase_hook": ("refused", "supabase_hook, refused for the user", _SUPABASE_ERROR),
}
"""A second example of a success, for the actions that have one."""

_EXTRA_MEMBERS: Final[dict[Reason, dict[str, Any]]] = {
    Reason.REQUEST_MALFORMED: {"errors": [{"pointer": "/phone", "detail": "Send this member, or `email`."}]},
    Reason.CODE_INCORRECT: {"attempts_left": 4},
    Reason.RATE_LIMITED: {"limit": "recipient", "violated-policies": ["recipient"]},
    Reason.RESEND_TOO_SOON: {"violated-policies": ["cooldown"]},
    Reason.RECIPIENT_LOCKED: {"violated-policies": ["recipient_failures"]},
}
_RETRY_STATUSES: Final = (429, 503)


@dataclass
class _Example(Example):
    """An example that is rendered unchanged: Litestar would add its id and remove null members."""

    def to_schema(self) -> dict[str, Any]:
        return {"summary": self.summary, "value": self.value}


def responses(action: str) -> dict[int, ResponseSpec]:
    """Return the documentation of all responses of an action, by status.

    Args:
        action: A key of `_SUCCESS_RESPONSES`, such as `request_code`.
    """
    status, body, example = _SUCCESS_RESPONSES[action]
    examples: list[Example] = [_Example(summary=action, value=example)]
    if action in _OTHER_SUCCESSES:
        name, summary, value = _OTHER_SUCCESSES[action]
        examples.append(_Example(id=name, summary=summary, value=value))
    specs = {
        status: ResponseSpec(
            data_container=body,
            description="Success.",
            examples=examples,
            generate_examples=False,
            media_type=METRICS_TYPE if body is str else "application/json",
        )
    }
    by_status: dict[int, list[Reason]] = {}
    for reason in REASONS[action]:
        by_status.setdefault(PROBLEMS[reason][0], []).append(reason)
    for problem_status, reasons in sorted(by_status.items()):
        specs[problem_status] = ResponseSpec(
            data_container=Problem,
            media_type="application/problem+json",
            description=" or ".join(f"`{reason.value}`" for reason in reasons),
            examples=[
                _Example(id=reason.value, summary=reason.value, value=_problem_example(reason)) for reason in reasons
            ],
            generate_examples=False,
        )
    return specs


def _problem_example(reason: Reason) -> dict[str, Any]:
    status, title = PROBLEMS[reason]
    body: dict[str, Any] = {
        "type": TYPE_PREFIX + reason.value,
        "title": title,
        "status": status,
        "detail": title + ".",
        "code": reason.value,
        "request_id": "b6Zr0mTq4vXw1yAa",
        **_EXTRA_MEMBERS.get(reason, {}),
    }
    if status in _RETRY_STATUSES:
        body["retry_after"] = 30
    return body
