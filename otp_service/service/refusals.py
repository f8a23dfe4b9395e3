"""Refusals that more than one use case raises. Each text says what the caller should do next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from otp_service.domain.errors import Reason, Refused
from otp_service.domain.limits import Window
from otp_service.domain.quotas import QuotaPolicy, Quotas, QuotaState, policies_of
from otp_service.domain.results import Denied, RateLimit, RecipientLocked

__all__ = [
    "address_limited",
    "key_unavailable",
    "recipient_locked",
    "request_denied",
    "uniform_refusal",
    "verification_unknown",
]

KEY_UNAVAILABLE_RETRY_MS: Final = 1_000

_DENIED_DETAILS: Final = {
    Reason.RESEND_TOO_SOON: "A code was requested a moment ago. Request the next one after `retry_after` seconds.",
    Reason.RATE_LIMITED: "The limit named in `limit` is reached. Request a code after `retry_after` seconds.",
}


def key_unavailable() -> Refused:
    """Return the refusal for a record made under a key that this replica does not have.

    While keys are rotated, replicas may have different keys; another one may answer the repeated request.
    """
    detail = "This replica does not have the key of this record. Send the request again."
    return Refused(Reason.STORE_UNAVAILABLE, detail, retry_after_ms=KEY_UNAVAILABLE_RETRY_MS)


def verification_unknown() -> Refused:
    """Return the refusal for an id that is unknown, another tenant's, or of a verification that ended too long ago."""
    detail = "No verification has this id, or it ended more than 10 minutes ago. Request a new code."
    return Refused(Reason.VERIFICATION_UNKNOWN, detail)


def recipient_locked(locked: RecipientLocked | Denied, failures: Sequence[Window]) -> Refused:
    """Return the refusal for a locked recipient; `failures` are the windows of its wrong codes."""
    detail = "There were too many wrong codes for this number. Try again after `retry_after` seconds."
    if locked.disabled:
        detail = "There were too many wrong codes in a row for this number. Ask an operator to unlock it."
    quotas = Quotas(policies_of("recipient_failures", failures), locked.violated)
    return Refused(Reason.RECIPIENT_LOCKED, detail, retry_after_ms=locked.wait_ms, quotas=quotas)


def uniform_refusal(refused: Refused) -> Refused:
    """Return the one refusal that a tenant with `uniform_errors` gets for a code, whatever the reason is.

    It has no attempts left, no time and no quotas: each would show that the verification exists.
    """
    detail = "The code is wrong, or is not valid any more. Send the code from the latest message, or request a new one."
    return Refused(Reason.CODE_INCORRECT, detail, hidden_reason=refused.reason)


def address_limited(rate_limit: RateLimit, violated: tuple[QuotaState, ...], what: str = "codes") -> Refused:
    """Return the refusal for a code, or a key of an app, from an address that has sent too many."""
    return Refused(
        Reason.RATE_LIMITED,
        f"Too many {what} were sent from this address. Send the request again after `retry_after` seconds.",
        retry_after_ms=max(state.wait_ms for state in violated),
        limit=rate_limit.limit,
        quotas=Quotas(policies_of(rate_limit.limit, rate_limit.windows), violated),
    )


def request_denied(denied: Denied, policies: tuple[QuotaPolicy, ...], failures: Sequence[Window]) -> Refused:
    """Return the refusal for a request for a code that the store denied.

    Args:
        denied: The reason, and how long to wait.
        policies: The advertised policies of the request.
        failures: The windows of wrong codes.
    """
    match denied:
        case Denied(Reason.RECIPIENT_LOCKED):
            return recipient_locked(denied, failures)
        case Denied(Reason.RECIPIENT_OPTED_OUT):
            detail = "The owner of this number asked to get no messages. Answering START to the sender ends that."
            return Refused(Reason.RECIPIENT_OPTED_OUT, detail)
        case Denied(reason, wait_ms, limit):
            named = (QuotaState(limit, 0, wait_ms),) if limit else ()  # of a limit without windows, such as the guard
            quotas = Quotas(policies, denied.violated or named)
            return Refused(reason, _DENIED_DETAILS[reason], retry_after_ms=wait_ms, limit=limit, quotas=quotas)
