"""The errors of the Supabase hook: what GoTrue shows to its user must be in a 200 response, as `error`.

GoTrue (internal/hooks/hookshttp) reads the body of a 200 only. Every other status becomes an error 500 of its own; a
429 or 503 with `Retry-After` is repeated at once, two times. So a refusal that concerns the recipient (403, 422, 429)
is `{"error": {"http_code", "message"}}` under 200, and a 503 stays one, because a repeated call may succeed. GoTrue
also repeats a call that takes too long: while the first one is in progress, the repeated one is 503, and no error that
the user sees although the message is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from otp_service.api.problems import PROBLEMS, ErrorResponse, problem_response
from otp_service.api.schemas import HookAccepted, HookError
from otp_service.domain.errors import Reason, Refused

__all__ = ["supabase_error"]

_FOR_THE_USER: Final = frozenset({403, 422, 429})


def supabase_error(refused: Refused, headers: Mapping[bytes, bytes], request_id: str) -> ErrorResponse:
    """Return the response of a refusal (an `ErrorFormat`)."""
    if refused.reason is Reason.IDEMPOTENCY_IN_FLIGHT:
        detail = "The same call is in progress. Repeat it after `retry_after` seconds."
        refused = Refused(Reason.OVERLOADED, detail, retry_after_ms=refused.retry_after_ms)
    status, title = PROBLEMS[refused.reason]
    if status not in _FOR_THE_USER:
        return problem_response(refused, headers, request_id)
    error = HookAccepted(error=HookError(http_code=status, message=refused.detail or f"{title}."))
    return ErrorResponse(200, "application/json", msgspec.json.encode(error), [])
