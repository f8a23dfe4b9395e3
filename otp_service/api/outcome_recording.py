"""Count the outcome of a use case, and add what is known of it to the log line of the request."""

from __future__ import annotations

import functools
from collections.abc import Awaitable
from typing import Final, TypeVar

from prometheus_client import Counter

from otp_service.api.request_context import ApiRequest
from otp_service.api.request_mapping import recipient_field
from otp_service.domain.errors import Reason, Refused
from otp_service.domain.views import VerificationProof, VerificationView
from otp_service.observability import METRICS

__all__ = ["count_outcome", "recorded"]

Result = TypeVar("Result", VerificationView, VerificationProof)

_REASONS_FOR_KNOWN_VERIFICATIONS: Final = frozenset(
    {
        Reason.VERIFICATION_USED,
        Reason.VERIFICATION_SUPERSEDED,
        Reason.VERIFICATION_CANCELED,
        Reason.VERIFICATION_EXPIRED,
        Reason.CODE_INCORRECT,
        Reason.ATTEMPTS_EXHAUSTED,
        Reason.RECIPIENT_LOCKED,
    }
)
"""The reasons that are given only if the verification exists."""


async def recorded(action: str, request: ApiRequest, call: Awaitable[Result], **fields: str | None) -> Result:
    """Await a use case, count its outcome, and add what is known of it to the log line of the request.

    Args:
        action: The value of the metric's label `action`.
        request: The request that is answered.
        call: The use case.
        fields: More fields for the log line; None is left out. `verification_id` is logged only if it exists,
            because a caller may send anything in its place, even a phone number.
    """
    outcome = str(Reason.INTERNAL_ERROR)
    sent_id = fields.pop("verification_id", None)
    log_fields = request.context.log_fields
    for name, value in fields.items():
        if value is not None:
            log_fields[name] = value
    try:
        result = await call
        outcome = "ok"
        log_fields.update(verification_id=result.verification_id, **recipient_field(result.masked_recipient))
        return result
    except Refused as refused:
        outcome = str(refused.logged_reason)
        if sent_id is not None and refused.logged_reason in _REASONS_FOR_KNOWN_VERIFICATIONS:
            log_fields["verification_id"] = sent_id
        raise
    finally:
        _outcomes(request.principal.tenant.name, action, outcome).inc()


def count_outcome(tenant: str, action: str, outcome: str) -> None:
    """Count the outcome of a use case, by its labels."""
    _outcomes(tenant, action, outcome).inc()


@functools.cache  # `labels` takes two microseconds
def _outcomes(tenant: str, action: str, outcome: str) -> Counter:
    return METRICS.outcomes.labels(tenant, action, outcome)
