"""Refusals that more than one use case raises. Each text tells the caller what to do next."""

from __future__ import annotations

from typing import Final

from otp_service.domain.errors import Reason, Refused
from otp_service.domain.results import Denied

__all__ = ["key_unavailable", "recipient_locked", "request_denied", "verification_unknown"]

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


def recipient_locked(wait_ms: int, *, disabled: bool) -> Refused:
    """Return the refusal for a locked recipient; `disabled`: only an operator can unlock it."""
    detail = "There were too many wrong codes for this number. Try again after `retry_after` seconds."
    if disabled:
        detail = "There were too many wrong codes in a row for this number. Ask an operator to unlock it."
    return Refused(Reason.RECIPIENT_LOCKED, detail, retry_after_ms=wait_ms)


def request_denied(denied: Denied) -> Refused:
    """Return the refusal for a request for a code that the store denied."""
    match denied:
        case Denied(Reason.RECIPIENT_LOCKED, wait_ms, disabled=disabled):
            return recipient_locked(wait_ms, disabled=disabled)
        case Denied(Reason.RECIPIENT_OPTED_OUT):
            detail = "The owner of this number asked to get no messages. Answering START to the sender ends that."
            return Refused(Reason.RECIPIENT_OPTED_OUT, detail)
        case Denied(reason, wait_ms, limit):
            return Refused(reason, _DENIED_DETAILS[reason], retry_after_ms=wait_ms, limit=limit)
