"""From the views of the domain, in milliseconds, to the bodies of the contract, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from otp_service.api.schemas import DeliveryBody, RequestedCode, VerificationBody, VerifiedCode
from otp_service.domain.verification import VerificationStatus
from otp_service.domain.views import VerificationProof, VerificationView

__all__ = ["requested", "verification", "verified"]


def requested(view: VerificationView) -> RequestedCode:
    """Write the 202 of request-code."""
    return RequestedCode(**_common(view))


def verification(view: VerificationView) -> VerificationBody:
    """Write the 200 of GET and DELETE."""
    return VerificationBody(
        **_common(view),
        created_at=_time(view.created_ms),
        ended_at=None if view.ended_ms is None else _time(view.ended_ms),
        deliveries=[
            DeliveryBody(provider=d.provider, status=cast("Any", d.status), at=_time(d.at_ms), error=d.error or None)
            for d in view.deliveries
        ],
    )


def verified(success: VerificationProof) -> VerifiedCode:
    """Write the 200 of verify-code."""
    return VerifiedCode(
        verification_id=success.verification_id,
        status="verified",
        purpose=success.purpose,
        phone=success.phone,
        verified_at=_time(success.verified_ms),
        token=success.token,
        token_expires_at=_time(success.token_ends * 1000),
    )


def _common(view: VerificationView) -> dict[str, Any]:
    return {
        "verification_id": view.verification_id,
        "status": VerificationStatus(view.status),
        "purpose": view.purpose,
        "channel": view.channel,
        "phone": view.masked,
        "country": view.country,
        "code_length": view.code_length,
        "expires_at": _time(view.expires_ms),
        "expires_in": _left(view.expires_ms, view.now_ms),
        "resend_at": _time(_whole_second(view.resend_ms)),
        "resend_in": _left(view.resend_ms, view.now_ms),
        "attempts_left": view.attempts_left,
        "sends_left": view.sends_left,
    }


def _left(at_ms: int, now_ms: int) -> int:
    return max(0, -(-(at_ms - now_ms) // 1000))


def _whole_second(ms: int) -> int:
    """Round up: who comes at that second is not too early."""
    return -(-ms // 1000) * 1000


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
