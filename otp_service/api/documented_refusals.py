"""The refusals of each operation, for the OpenAPI document; `openapi_examples` makes an example of each."""

from __future__ import annotations

from typing import Final

from otp_service.domain.errors import Reason

__all__ = ["REASONS"]

_KEY: Final = (Reason.KEY_MISSING, Reason.KEY_INVALID, Reason.ISSUER_UNAVAILABLE)
_JSON: Final = (Reason.REQUEST_MALFORMED, *_KEY, Reason.BODY_TOO_LARGE, Reason.MEDIA_TYPE_UNSUPPORTED)
_IDEMPOTENT: Final = (Reason.IDEMPOTENCY_IN_FLIGHT, Reason.IDEMPOTENCY_MISMATCH)
_STORE: Final = (Reason.STORE_UNAVAILABLE, Reason.OVERLOADED)
_HOOK: Final = (Reason.REQUEST_MALFORMED, *_KEY, Reason.NOT_FOUND, Reason.BODY_TOO_LARGE, Reason.NO_ROUTE, *_STORE)
_RELAYED: Final = (
    *_HOOK,
    Reason.PURPOSE_NOT_ALLOWED,
    Reason.COUNTRY_NOT_ALLOWED,
    Reason.CHANNEL_NOT_ALLOWED,
    Reason.LINK_NOT_ALLOWED,
    Reason.RECIPIENT_OPTED_OUT,
    Reason.IDEMPOTENCY_IN_FLIGHT,
    Reason.PHONE_INVALID,
    Reason.PHONE_NOT_MOBILE,
    Reason.RESEND_TOO_SOON,
    Reason.RATE_LIMITED,
    Reason.RECIPIENT_LOCKED,
    Reason.SPEND_CAP_REACHED,
)
REASONS: Final[dict[str, tuple[Reason, ...]]] = {
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
    "introspect": (*_JSON, Reason.SCOPE_MISSING, *_STORE),
    "app_attest_challenge": (Reason.REQUEST_MALFORMED, *_KEY, Reason.SCOPE_MISSING, Reason.NOT_FOUND, *_STORE),
    "app_attest_key": (
        *_JSON,
        Reason.SCOPE_MISSING,
        Reason.NOT_FOUND,
        Reason.CAPTCHA_FAILED,
        Reason.RATE_LIMITED,
        *_STORE,
    ),
    "normalize_phone": (*_JSON, Reason.PHONE_INVALID),
    "forget": (*_JSON, Reason.SCOPE_MISSING, Reason.PHONE_INVALID, Reason.EMAIL_INVALID, *_STORE),
    "unlock": (*_JSON, Reason.SCOPE_MISSING, Reason.PHONE_INVALID, Reason.EMAIL_INVALID, *_STORE),
    "check_recipient": (*_JSON, Reason.SCOPE_MISSING, Reason.PHONE_INVALID, *_STORE),
    "count_opt_outs": (*_KEY, Reason.SCOPE_MISSING, *_STORE),
    "guard_overview": (*_KEY, Reason.SCOPE_MISSING, *_STORE),
    "guard_scope": (Reason.REQUEST_MALFORMED, *_KEY, Reason.SCOPE_MISSING, Reason.NOT_FOUND, *_STORE),
    "guard_breaker": (*_JSON, Reason.SCOPE_MISSING, Reason.NOT_FOUND, *_STORE),
    "receipt": (Reason.REQUEST_MALFORMED, Reason.KEY_INVALID, Reason.BODY_TOO_LARGE, *_STORE),
    "supabase_hook": _HOOK,
    "kratos_hook": _RELAYED,
    "keycloak_hook": _RELAYED,
    "live": (),
    "ready": (Reason.STORE_UNAVAILABLE,),
    "jwks": (),
    "metrics": (),
}
