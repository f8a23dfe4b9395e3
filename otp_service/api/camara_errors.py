"""The errors of CAMARA OneTimePasswordSMS 1.1: `{status, code, message}` with `x-correlator`, instead of problems.

The published document lists the statuses 400, 401, 403, 404 and 429, and refers to CAMARA's common errors for the
others. So a refusal of the body that has a status of its own elsewhere (413, 415) is 400 here, and 405, 500 and 503
have the codes of `CAMARA_common.yaml`.
"""

from __future__ import annotations

import string
import uuid
from collections.abc import Mapping
from typing import Final

import msgspec

from otp_service.api.problems import PROBLEMS, ErrorResponse, problem_headers
from otp_service.domain.errors import Reason, Refused

__all__ = ["X_CORRELATOR", "camara_error", "correlator_header", "is_correlator"]

X_CORRELATOR: Final = b"x-correlator"
_CORRELATOR_CHARACTERS: Final = (string.ascii_letters + string.digits + "-_:;./<>{}").encode()
_MAX_CORRELATOR_CHARACTERS: Final = 256

_OTP: Final = "ONE_TIME_PASSWORD_SMS."
INVALID_ARGUMENT: Final = (400, "INVALID_ARGUMENT")
PERMISSION_DENIED: Final = (403, "PERMISSION_DENIED")
NOT_FOUND: Final = (404, "NOT_FOUND")
TOO_MANY_REQUESTS: Final = (429, "TOO_MANY_REQUESTS")
UNAVAILABLE: Final = (503, "UNAVAILABLE")
_EXPIRED: Final = (400, f"{_OTP}VERIFICATION_EXPIRED")
_FAILED: Final = (400, f"{_OTP}VERIFICATION_FAILED")
_BLOCKED: Final = (403, f"{_OTP}PHONE_NUMBER_BLOCKED")
_NOT_ALLOWED: Final = (403, f"{_OTP}PHONE_NUMBER_NOT_ALLOWED")
_MAX_CODES: Final = (403, f"{_OTP}MAX_OTP_CODES_EXCEEDED")

_BY_REASON: Final[Mapping[Reason, tuple[int, str]]] = {
    Reason.COUNTRY_NOT_ALLOWED: _NOT_ALLOWED,
    Reason.PHONE_NOT_MOBILE: _NOT_ALLOWED,
    Reason.PHONE_INVALID: NOT_FOUND,  # it has the form of E.164, but no operator has such numbers
    Reason.RECIPIENT_OPTED_OUT: _BLOCKED,
    Reason.VERIFICATION_USED: _EXPIRED,
    Reason.VERIFICATION_SUPERSEDED: _EXPIRED,
    Reason.VERIFICATION_CANCELED: _EXPIRED,
    Reason.VERIFICATION_EXPIRED: _EXPIRED,
    Reason.ATTEMPTS_EXHAUSTED: _FAILED,
    Reason.SPEND_CAP_REACHED: (429, "QUOTA_EXCEEDED"),
    Reason.METHOD_NOT_ALLOWED: (405, "METHOD_NOT_ALLOWED"),
}
_BY_STATUS: Final[Mapping[int, tuple[int, str]]] = {
    401: (401, "UNAUTHENTICATED"),
    403: PERMISSION_DENIED,
    404: NOT_FOUND,
    429: TOO_MANY_REQUESTS,
    500: (500, "INTERNAL"),
    503: UNAVAILABLE,
}
"""For reasons without an entry of their own; any other status is 400."""

_LIMITS_OF_NUMBER: Final = frozenset({"recipient", "max_sends"})


class ErrorInfo(msgspec.Struct, frozen=True):
    """The body of an error."""

    status: int
    code: str
    message: str


_encode: Final = msgspec.json.Encoder().encode


def camara_error(refused: Refused, headers: Mapping[bytes, bytes], _request_id: str) -> ErrorResponse:
    """Return the response of a refusal (an `ErrorFormat`)."""
    status, code = _status_and_code(refused)
    _, title = PROBLEMS[refused.reason]
    message = refused.detail or f"{title}."
    if refused.field_errors:
        message = " ".join(f"{pointer.lstrip('/')}: {detail}" for pointer, detail in refused.field_errors).lstrip(": ")
    sent = [(name, value) for name, value in problem_headers(refused) if name != b"retry-after" or status in (429, 503)]
    return ErrorResponse(
        status, "application/json", _encode(ErrorInfo(status, code, message)), [*sent, correlator_header(headers)]
    )


def _status_and_code(refused: Refused) -> tuple[int, str]:
    reason = refused.reason
    if reason is Reason.CODE_INCORRECT:
        return _FAILED if refused.attempts_left == 0 else (400, f"{_OTP}INVALID_OTP")
    if reason is Reason.RATE_LIMITED and refused.limit in _LIMITS_OF_NUMBER:
        return _MAX_CODES
    return _BY_REASON.get(reason) or _BY_STATUS.get(PROBLEMS[reason][0], INVALID_ARGUMENT)


def correlator_header(headers: Mapping[bytes, bytes]) -> tuple[bytes, bytes]:
    """Return the response's `x-correlator`: that of the request, or a new one if it has none or an invalid one."""
    sent = headers.get(X_CORRELATOR)
    return X_CORRELATOR, sent if sent is not None and is_correlator(sent) else str(uuid.uuid4()).encode()


def is_correlator(value: bytes) -> bool:
    """Return whether a value has the form of `x-correlator`."""
    return len(value) <= _MAX_CORRELATOR_CHARACTERS and not value.translate(None, _CORRELATOR_CHARACTERS)
