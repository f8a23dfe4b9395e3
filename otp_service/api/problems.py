"""Turn refusals into RFC 9457 problem responses. `PROBLEMS` gives each reason its status and title."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import UNSET

from otp_service.api.quota_headers import quota_headers, violated_policies
from otp_service.api.schemas import FieldError, Problem
from otp_service.domain.errors import Reason, Refused

__all__ = [
    "MEDIA_TYPE",
    "PROBLEMS",
    "TYPE_PREFIX",
    "ErrorFormat",
    "ErrorResponse",
    "RefusedWithHeaders",
    "problem_body",
    "problem_headers",
    "problem_response",
    "retry_after_seconds",
]

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:otp-service:problem:"
_encode: Final = msgspec.json.Encoder().encode

PROBLEMS: Final[dict[Reason, tuple[int, str]]] = {
    Reason.REQUEST_MALFORMED: (400, "The request is malformed"),
    Reason.KEY_MISSING: (401, "An API key is required"),
    Reason.KEY_INVALID: (401, "The API key is not valid"),
    Reason.SCOPE_MISSING: (403, "The API key lacks a scope"),
    Reason.PURPOSE_NOT_ALLOWED: (403, "The purpose is not allowed"),
    Reason.COUNTRY_NOT_ALLOWED: (403, "The country is not allowed"),
    Reason.CHANNEL_NOT_ALLOWED: (403, "The channel is not allowed"),
    Reason.LINK_NOT_ALLOWED: (403, "The link is not allowed"),
    Reason.CAPTCHA_REQUIRED: (403, "A captcha token is required"),
    Reason.CAPTCHA_FAILED: (403, "The captcha token was not accepted"),
    Reason.RECIPIENT_OPTED_OUT: (403, "The number has opted out"),
    Reason.NOT_FOUND: (404, "The path does not exist"),
    Reason.VERIFICATION_UNKNOWN: (404, "The verification is unknown"),
    Reason.METHOD_NOT_ALLOWED: (405, "The method is not allowed"),
    Reason.REQUEST_TIMEOUT: (408, "The request took too long to arrive"),
    Reason.VERIFICATION_USED: (409, "The verification has already been used"),
    Reason.VERIFICATION_SUPERSEDED: (409, "A newer verification has replaced this one"),
    Reason.VERIFICATION_CANCELED: (409, "The verification was canceled"),
    Reason.IDEMPOTENCY_IN_FLIGHT: (409, "A request with this idempotency key is in progress"),
    Reason.VERIFICATION_EXPIRED: (410, "The verification has expired"),
    Reason.BODY_TOO_LARGE: (413, "The body is too large"),
    Reason.MEDIA_TYPE_UNSUPPORTED: (415, "The media type is not supported"),
    Reason.PHONE_INVALID: (422, "The phone number is not valid"),
    Reason.PHONE_NOT_MOBILE: (422, "The phone number is not mobile"),
    Reason.EMAIL_INVALID: (422, "The e-mail address is not valid"),
    Reason.IDEMPOTENCY_MISMATCH: (422, "The idempotency key was used for another request"),
    Reason.CODE_INCORRECT: (422, "The code is incorrect"),
    Reason.RESEND_TOO_SOON: (429, "It is too soon for another code"),
    Reason.RATE_LIMITED: (429, "A rate limit is reached"),
    Reason.ATTEMPTS_EXHAUSTED: (429, "No attempts are left"),
    Reason.RECIPIENT_LOCKED: (429, "The number is locked"),
    Reason.SPEND_CAP_REACHED: (429, "A spending cap is reached"),
    Reason.HEADERS_TOO_LARGE: (431, "The request head is too large"),
    Reason.INTERNAL_ERROR: (500, "The service failed"),
    Reason.STORE_UNAVAILABLE: (503, "The store is unavailable"),
    Reason.OVERLOADED: (503, "The service is overloaded"),
    Reason.NO_ROUTE: (503, "No provider serves this number"),
    Reason.CAPTCHA_UNAVAILABLE: (503, "The captcha token cannot be verified now"),
    Reason.ISSUER_UNAVAILABLE: (503, "The issuer of the access token cannot be reached"),
}


class RefusedWithHeaders(Refused):
    """A refusal whose response has additional headers."""

    def __init__(self, headers: Sequence[tuple[bytes, bytes]], reason: Reason, detail: str = "") -> None:
        """Refuse for `reason`, and add `headers` to the response."""
        super().__init__(reason, detail)
        self.headers = headers


class ErrorResponse(msgspec.Struct, frozen=True):
    """The HTTP response of a refusal."""

    status: int
    media_type: str
    body: bytes
    headers: list[tuple[bytes, bytes]]


ErrorFormat = Callable[[Refused, Mapping[bytes, bytes], str], ErrorResponse]
"""Makes the response from the refusal, the headers of the request by name, and the request id."""


def problem_response(refused: Refused, _headers: Mapping[bytes, bytes], request_id: str) -> ErrorResponse:
    """Return the problem response of a refusal (the `ErrorFormat` of the API itself)."""
    status, _ = PROBLEMS[refused.reason]
    return ErrorResponse(status, MEDIA_TYPE, problem_body(refused, request_id), problem_headers(refused))


def retry_after_seconds(refused: Refused) -> int | None:
    """Return whole seconds, at least 1, for every 429 and 503; None if a retry cannot succeed."""
    status, _ = PROBLEMS[refused.reason]
    if refused.retry_after_ms is None and status not in (429, 503):
        return None
    return max(1, -(-(refused.retry_after_ms or 0) // 1000))


def problem_body(refused: Refused, request_id: str) -> bytes:
    """Return the JSON body of a refusal. It never contains the phone number, the code or a gateway's response."""
    reason = refused.reason
    status, title = PROBLEMS[reason]
    retry_after = retry_after_seconds(refused)
    problem = Problem(
        type=TYPE_PREFIX + reason,
        title=title,
        status=status,
        detail=refused.detail or title + ".",
        code=reason,
        request_id=request_id,
        retry_after=UNSET if retry_after is None else retry_after,
        attempts_left=UNSET if refused.attempts_left is None else refused.attempts_left,
        limit=UNSET if refused.limit is None else refused.limit,
        violated_policies=violated_policies(refused.quotas) or UNSET,
    )
    if reason is Reason.REQUEST_MALFORMED:
        errors = [FieldError(pointer, detail) for pointer, detail in refused.field_errors]
        problem = msgspec.structs.replace(problem, errors=errors)
    return _encode(problem)


def problem_headers(refused: Refused) -> list[tuple[bytes, bytes]]:
    """Return the headers of a refusal: `Retry-After`, quotas, `WWW-Authenticate` and those of `RefusedWithHeaders`."""
    headers = list(refused.headers) if isinstance(refused, RefusedWithHeaders) else []
    if (retry_after := retry_after_seconds(refused)) is not None:
        headers.append((b"retry-after", b"%d" % retry_after))
    headers += quota_headers(refused.quotas)
    if PROBLEMS[refused.reason][0] == 401 and all(name != b"www-authenticate" for name, _ in headers):
        headers.append((b"www-authenticate", b'Bearer realm="otp-service"'))
    return headers
