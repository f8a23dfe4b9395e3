"""Answers given under callers' idempotency keys: sealed, and given again as they were.

Kept is what cost something: a text, or an attempt. Whatever cost nothing is judged anew and leaves nothing behind, also
429 and 5xx (design.md section 3): the caller should come again, and then be served.
"""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from otp_service.crypto.keyring import Keyring
from otp_service.domain.errors import Reason, Refused
from otp_service.domain.ports import SealBroken
from otp_service.domain.results import IdempotencyClaim, InFlight, Mismatch, Replay
from otp_service.domain.views import VerificationProof, VerificationView
from otp_service.service.dependencies import key_unavailable

__all__ = ["DISABLED", "Answers"]

DISABLED: Final = "Too many wrong codes in a row: this number is disabled until an operator unlocks it."

_KIND: Final = "answer"

_PASSING: Final = frozenset(
    {
        Reason.RESEND_TOO_SOON,
        Reason.RATE_LIMITED,
        Reason.ATTEMPTS_EXHAUSTED,
        Reason.RECIPIENT_LOCKED,
        Reason.SPEND_CAP_REACHED,
        Reason.STORE_UNAVAILABLE,
        Reason.OVERLOADED,
        Reason.NO_ROUTE,
        Reason.INTERNAL_ERROR,
    }
)


class _Requested(msgspec.Struct, tag="requested"):
    view: VerificationView


class _Proved(msgspec.Struct, tag="verified"):
    success: VerificationProof


class _Refused(msgspec.Struct, tag="refused"):
    reason: str
    detail: str
    attempts_left: int | None


_Answer = _Requested | _Proved | _Refused
Kept = TypeVar("Kept", VerificationView, VerificationProof)
_DECODER: Final = msgspec.msgpack.Decoder(_Answer)
_encode = msgspec.msgpack.Encoder().encode


class Answers:
    """Seals an answer for the store and opens it for whoever asks again."""

    def __init__(self, keyring: Keyring) -> None:
        """Seal under the keys of `keyring`."""
        self._keyring = keyring

    def seal(self, call: IdempotencyClaim, answer: VerificationView | VerificationProof | Refused) -> bytes | None:
        """Seal an answer under the current key, whose id stands in front; None for one that is not kept."""
        if isinstance(answer, Refused):
            if answer.reason in _PASSING:
                return None
            plain = _encode(_Refused(answer.reason, answer.detail, answer.attempts_left))
        elif isinstance(answer, VerificationProof):
            plain = _encode(_Proved(answer))
        else:
            plain = _encode(_Requested(answer))
        key_id = self._keyring.current
        return key_id.encode() + b"\n" + self._keyring.seal(_KIND, call.keyed_hash, plain)

    def again(self, call: IdempotencyClaim, found: Replay | InFlight | Mismatch, kind: type[Kept]) -> Kept:
        """Give the kept answer again, or raise `Refused`: the kept refusal, in flight, or another request's key."""
        match found:
            case InFlight(wait_ms):
                detail = "The first request with this key is still being answered."
                raise Refused(Reason.IDEMPOTENCY_IN_FLIGHT, detail, retry_after_ms=wait_ms)
            case Replay(sealed) if isinstance(answer := self._opened(call, sealed), kind):
                return answer
            case _:
                raise Refused(Reason.IDEMPOTENCY_MISMATCH, "This key was used for another request.")

    def _opened(self, call: IdempotencyClaim, sealed: bytes) -> VerificationView | VerificationProof:
        key_id, _, body = sealed.partition(b"\n")
        try:
            answer = _DECODER.decode(self._keyring.open(_KIND, call.keyed_hash, body, key_id.decode(errors="replace")))
        except (SealBroken, msgspec.ValidationError):
            raise key_unavailable() from None
        if isinstance(answer, _Refused):
            raise Refused(Reason(answer.reason), answer.detail, attempts_left=answer.attempts_left)
        return answer.view if isinstance(answer, _Requested) else answer.success
