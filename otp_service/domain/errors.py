"""Why a request is refused, with what the caller needs to act. Nothing here depends on HTTP.

The values of `Reason` are the stable codes of the public contract, listed in README.md. `api/problems.py` maps each
to a status.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from otp_service.domain.quotas import NO_QUOTAS, Quotas

__all__ = ["FieldError", "Reason", "Refused"]


class Reason(StrEnum):
    """The stable code of a refusal, as `code` in a problem response."""

    REQUEST_MALFORMED = "request_malformed"
    KEY_MISSING = "key_missing"
    KEY_INVALID = "key_invalid"
    SCOPE_MISSING = "scope_missing"
    PURPOSE_NOT_ALLOWED = "purpose_not_allowed"
    COUNTRY_NOT_ALLOWED = "country_not_allowed"
    CHANNEL_NOT_ALLOWED = "channel_not_allowed"
    LINK_NOT_ALLOWED = "link_not_allowed"
    CAPTCHA_REQUIRED = "captcha_required"
    CAPTCHA_FAILED = "captcha_failed"
    RECIPIENT_OPTED_OUT = "recipient_opted_out"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    REQUEST_TIMEOUT = "request_timeout"
    HEADERS_TOO_LARGE = "headers_too_large"
    VERIFICATION_UNKNOWN = "verification_unknown"
    VERIFICATION_USED = "verification_used"
    VERIFICATION_SUPERSEDED = "verification_superseded"
    VERIFICATION_CANCELED = "verification_canceled"
    VERIFICATION_EXPIRED = "verification_expired"
    IDEMPOTENCY_IN_FLIGHT = "idempotency_in_flight"
    IDEMPOTENCY_MISMATCH = "idempotency_mismatch"
    BODY_TOO_LARGE = "body_too_large"
    MEDIA_TYPE_UNSUPPORTED = "media_type_unsupported"
    PHONE_INVALID = "phone_invalid"
    PHONE_NOT_MOBILE = "phone_not_mobile"
    EMAIL_INVALID = "email_invalid"
    CODE_INCORRECT = "code_incorrect"
    RESEND_TOO_SOON = "resend_too_soon"
    RATE_LIMITED = "rate_limited"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    RECIPIENT_LOCKED = "recipient_locked"
    SPEND_CAP_REACHED = "spend_cap_reached"
    STORE_UNAVAILABLE = "store_unavailable"
    OVERLOADED = "overloaded"
    NO_ROUTE = "no_route"
    CAPTCHA_UNAVAILABLE = "captcha_unavailable"
    ISSUER_UNAVAILABLE = "issuer_unavailable"
    INTERNAL_ERROR = "internal_error"


class FieldError(NamedTuple):
    """A JSON pointer (RFC 6901) into the body, and what must be sent there; never the value that was sent."""

    pointer: str
    detail: str


class Refused(Exception):
    """A use case did not do what was requested."""

    def __init__(
        self,
        reason: Reason,
        detail: str = "",
        *,
        retry_after_ms: int | None = None,
        attempts_left: int | None = None,
        limit: str | None = None,
        field_errors: tuple[FieldError, ...] = (),
        quotas: Quotas = NO_QUOTAS,
        hidden_reason: Reason | None = None,
    ) -> None:
        """Make a refusal.

        Args:
            reason: The stable code.
            detail: What the caller should do, for a person to read; without digits of a number or a code.
            retry_after_ms: When the same request may succeed.
            attempts_left: With `code_incorrect`.
            limit: The name of the limit, with `rate_limited`.
            field_errors: With `request_malformed`.
            quotas: What the caller may know of the limits that denied the request.
            hidden_reason: The real reason, for the log and the metrics only.
        """
        super().__init__(str(reason))
        self.reason = reason
        self.detail = detail
        self.retry_after_ms = retry_after_ms
        self.attempts_left = attempts_left
        self.limit = limit
        self.field_errors = field_errors
        self.quotas = quotas
        self.logged_reason = hidden_reason or reason
