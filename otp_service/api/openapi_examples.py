"""Every response in the OpenAPI document, each with an example."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example

from otp_service.api.problems import PROBLEMS, TYPE_PREFIX
from otp_service.api.schemas import (
    CheckRecipientBody,
    HealthStatus,
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
    NormalizePhone: [{"phone": "0812-1010-0055", "country": "ID"}],
    UnlockBody: [{"phone": "0812-1010-0055", "country": "ID"}, {"email": "ann@example.com"}],
    CheckRecipientBody: [{"phone": "0812-1010-0055", "country": "ID"}],
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
            "token": "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIuLi4ifQ.c2lnbmF0dXJl",
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
    "unlock": (200, UnlockedRecipient, {"phone": "+62812*****055", "unlocked": True, "failures_cleared": 100}),
    "check_recipient": (
        200,
        RecipientStatus,
        {"phone": "+62812*****055", "opted_out": True, "opted_out_until": "2027-12-27T10:00:00Z"},
    ),
    "count_opt_outs": (200, OptOutCount, {"count": 17}),
    "receipt": (200, ReceiptAccepted, {}),
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

_BY_EMAIL: Final = {"request_code": _PENDING_EMAIL}
"""A second example of a success, for the actions that have one."""

_KEY: Final = (Reason.KEY_MISSING, Reason.KEY_INVALID, Reason.ISSUER_UNAVAILABLE)
_JSON: Final = (Reason.REQUEST_MALFORMED, *_KEY, Reason.BODY_TOO_LARGE, Reason.MEDIA_TYPE_UNSUPPORTED)
_IDEMPOTENT: Final = (Reason.IDEMPOTENCY_IN_FLIGHT, Reason.IDEMPOTENCY_MISMATCH)
_STORE: Final = (Reason.STORE_UNAVAILABLE, Reason.OVERLOADED)
_REASONS: Final[dict[str, tuple[Reason, ...]]] = {
    "request_code": (
        *_JSON,
        *_IDEMPOTENT,
        Reason.SCOPE_MISSING,
        Reason.PURPOSE_NOT_ALLOWED,
        Reason.COUNTRY_NOT_ALLOWED,
        Reason.CHANNEL_NOT_ALLOWED,
        Reason.LINK_NOT_ALLOWED,
        Reason.CAPTCHA_REQUIRED,
        Reason.CAPTCHA_FAILED,
        Reason.RECIPIENT_OPTED_OUT,
        Reason.PHONE_INVALID,
        Reason.PHONE_NOT_MOBILE,
        Reason.EMAIL_INVALID,
        Reason.RESEND_TOO_SOON,
        Reason.RATE_LIMITED,
        Reason.RECIPIENT_LOCKED,
        Reason.SPEND_CAP_REACHED,
        Reason.NO_ROUTE,
        Reason.CAPTCHA_UNAVAILABLE,
        *_STORE,
    ),
    "verify_code": (
        *_JSON,
        *_IDEMPOTENT,
        Reason.SCOPE_MISSING,
        Reason.VERIFICATION_UNKNOWN,
        Reason.VERIFICATION_USED,
        Reason.VERIFICATION_SUPERSEDED,
        Reason.VERIFICATION_CANCELED,
        Reason.VERIFICATION_EXPIRED,
        Reason.CODE_INCORRECT,
        Reason.RATE_LIMITED,
        Reason.ATTEMPTS_EXHAUSTED,
        Reason.RECIPIENT_LOCKED,
        *_STORE,
    ),
    "read": (Reason.REQUEST_MALFORMED, *_KEY, Reason.SCOPE_MISSING, Reason.VERIFICATION_UNKNOWN, *_STORE),
    "cancel": (Reason.REQUEST_MALFORMED, *_KEY, Reason.SCOPE_MISSING, Reason.VERIFICATION_UNKNOWN, *_STORE),
    "normalize_phone": (*_JSON, Reason.PHONE_INVALID),
    "unlock": (*_JSON, Reason.SCOPE_MISSING, Reason.PHONE_INVALID, Reason.EMAIL_INVALID, *_STORE),
    "check_recipient": (*_JSON, Reason.SCOPE_MISSING, Reason.PHONE_INVALID, *_STORE),
    "count_opt_outs": (*_KEY, Reason.SCOPE_MISSING, *_STORE),
    "receipt": (Reason.REQUEST_MALFORMED, Reason.KEY_INVALID, Reason.BODY_TOO_LARGE, *_STORE),
    "live": (),
    "ready": (Reason.STORE_UNAVAILABLE,),
    "jwks": (),
    "metrics": (),
}
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
    if by_email := _BY_EMAIL.get(action):
        examples.append(_Example(id="by_email", summary=f"{action}, by e-mail", value=by_email))
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
    for reason in _REASONS[action]:
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
