"""Map domain values, with times in milliseconds, to response bodies, with times in UTC."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import UNSET

from otp_service.api.request_mapping import recipient_field
from otp_service.api.schemas import (
    DeliveryBody,
    ForgottenRecipient,
    RecipientStatus,
    RequestedCode,
    VerificationBody,
    VerifiedCode,
)
from otp_service.domain.message import Channel
from otp_service.domain.outcomes import reported_error
from otp_service.domain.views import VerificationProof, VerificationView
from otp_service.service.forget import ForgottenRecipient as Forgotten
from otp_service.service.opt_out_directory import OptOutState

__all__ = [
    "forgotten_response",
    "recipient_status_response",
    "request_code_response",
    "rfc3339",
    "verification_response",
    "verify_code_response",
]


def request_code_response(view: VerificationView) -> RequestedCode:
    """Return the body of the 202 response of request-code."""
    return RequestedCode(**_common_members(view))


def verification_response(view: VerificationView) -> VerificationBody:
    """Return the body of the 200 responses of GET and DELETE `/v1/verifications/{id}`."""
    return VerificationBody(
        **_common_members(view),
        created_at=rfc3339(view.created_ms),
        ended_at=None if view.ended_ms is None else rfc3339(view.ended_ms),
        deliveries=[
            DeliveryBody(
                provider=delivery.provider,
                channel=delivery.channel or view.channel,
                status=delivery.status,
                at=rfc3339(delivery.at_ms),
                error=reported_error(delivery.error) or None,
            )
            for delivery in view.deliveries
        ],
    )


def verify_code_response(proof: VerificationProof) -> VerifiedCode:
    """Return the body of the 200 response of verify-code."""
    return VerifiedCode(
        verification_id=proof.verification_id,
        status="verified",
        purpose=proof.purpose,
        phone=proof.phone or UNSET,
        email=proof.email or UNSET,
        verified_at=rfc3339(proof.verified_ms),
        token=proof.token,
        token_expires_at=rfc3339(proof.token_expires_at * 1000),
    )


def recipient_status_response(state: OptOutState) -> RecipientStatus:
    """Return the body of the 200 response that says whether a number is opted out."""
    until = rfc3339(state.ends_ms) if state.ends_ms else None
    return RecipientStatus(phone=state.number.masked, opted_out=bool(state.ends_ms), opted_out_until=until)


def forgotten_response(forgotten: Forgotten) -> ForgottenRecipient:
    """Return the body of the 200 response of forget."""
    kept = [{"what": what, "until": rfc3339(ms)} for what, ms in forgotten.kept_until_ms.items()]
    masked = recipient_field(forgotten.recipient.masked)
    body = {**masked, "verifications_removed": forgotten.verifications, "kept": kept}
    return msgspec.convert(body, ForgottenRecipient)


def _common_members(view: VerificationView) -> dict[str, Any]:
    return {
        "verification_id": view.verification_id,
        "status": view.status,
        "purpose": view.purpose,
        "channel": view.channel,
        **_recipient(view),
        "code_length": view.code_length,
        "expires_at": rfc3339(view.expires_ms),
        "expires_in": _seconds_until(view.expires_ms, view.now_ms),
        "resend_at": rfc3339(_round_up_to_second(view.resend_ms)),
        "resend_in": _seconds_until(view.resend_ms, view.now_ms),
        "attempts_left": view.attempts_left,
        "sends_left": view.sends_left,
    }


def _recipient(view: VerificationView) -> dict[str, str]:
    if view.channel == Channel.EMAIL:
        return {"email": view.masked_recipient}
    return {"phone": view.masked_recipient, "country": view.country}


def _seconds_until(at_ms: int, now_ms: int) -> int:
    return max(0, -(-(at_ms - now_ms) // 1000))


def _round_up_to_second(ms: int) -> int:
    """Round up, so that a request in that second is not too early."""
    return -(-ms // 1000) * 1000


def rfc3339(ms: int) -> str:
    """Return a time in UTC, as bodies have it."""
    return _rfc3339(ms // 1000)


@functools.lru_cache(maxsize=256)  # other responses have the same times: when a code ends, now, soon
def _rfc3339(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}Z"
