"""Responses stored under callers' idempotency keys: sealed, and replayed unchanged.

Only a response whose request cost something (a message or an attempt) is stored. Other refusals, 429 and 5xx are not:
the same request may succeed later.
"""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from otp_service.crypto.keyring import DecryptionError, Keyring
from otp_service.domain.errors import Reason, Refused
from otp_service.domain.results import IdempotencyClaim, InFlight, Mismatch, Replay
from otp_service.domain.tenant import Tenant
from otp_service.domain.views import VerificationProof, VerificationView
from otp_service.service.refusals import key_unavailable

__all__ = ["StoredResponses", "idempotency_claim"]

_KIND: Final = "answer"  # part of what stored responses are sealed with, so it must not change

_NOT_STORED: Final = frozenset(
    {
        Reason.RESEND_TOO_SOON,
        Reason.RATE_LIMITED,
        Reason.ATTEMPTS_EXHAUSTED,
        Reason.RECIPIENT_LOCKED,
        Reason.SPEND_CAP_REACHED,
        Reason.STORE_UNAVAILABLE,
        Reason.OVERLOADED,
        Reason.NO_ROUTE,
        Reason.CAPTCHA_UNAVAILABLE,
        Reason.ISSUER_UNAVAILABLE,
        Reason.INTERNAL_ERROR,
    }
)


# Stored for 24 hours and read by other versions: the tags and the names of the fields must not change.
class _Requested(msgspec.Struct, tag="requested"):
    view: VerificationView


class _Verified(msgspec.Struct, tag="verified"):
    success: VerificationProof


class _Refused(msgspec.Struct, tag="refused"):
    reason: Reason
    detail: str
    attempts_left: int | None


_Response = _Requested | _Verified | _Refused
ResponseT = TypeVar("ResponseT", VerificationView, VerificationProof)
_DECODER: Final = msgspec.msgpack.Decoder(_Response)
_encode = msgspec.msgpack.Encoder().encode


def idempotency_claim(keyring: Keyring, tenant: Tenant, endpoint: str, key: str, *request: str) -> IdempotencyClaim:
    """Return the claim for a caller's key: keyed hashes of the key and of the request, without an owner token."""
    return IdempotencyClaim(
        keyed_hash=keyring.keyed_hash("idempotency", tenant.name, endpoint, key),
        fingerprint=keyring.keyed_hash("fingerprint", endpoint, *request),
        owner_token="",
    )


class StoredResponses:
    """Seals responses for the store, and replays them."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def seal(self, claim: IdempotencyClaim, response: VerificationView | VerificationProof | Refused) -> bytes | None:
        """Seal a response under the current key.

        Returns:
            The key id, a line feed and the sealed response; None for a refusal that is not stored.
        """
        match response:
            case Refused():
                if response.reason in _NOT_STORED:
                    return None
                plain = _encode(_Refused(response.reason, response.detail, response.attempts_left))
            case VerificationProof():
                plain = _encode(_Verified(response))
            case VerificationView():
                plain = _encode(_Requested(response))
        key_id = self._keyring.current
        return key_id.encode() + b"\n" + self._keyring.seal(_KIND, claim.keyed_hash, plain)

    def replay(self, claim: IdempotencyClaim, found: Replay | InFlight | Mismatch, kind: type[ResponseT]) -> ResponseT:
        """Return the stored response of a request that is repeated.

        Raises:
            Refused: The stored refusal; `idempotency_in_flight`; `idempotency_mismatch`, when the key was used for
                another request.
        """
        match found:
            case InFlight(wait_ms):
                detail = "A request with this Idempotency-Key is in progress. Repeat it after `retry_after` seconds."
                raise Refused(Reason.IDEMPOTENCY_IN_FLIGHT, detail, retry_after_ms=wait_ms)
            case Replay(sealed) if isinstance(response := self._open(claim, sealed), kind):
                return response
            case _:
                detail = "This Idempotency-Key was used for another request. Send a new key."
                raise Refused(Reason.IDEMPOTENCY_MISMATCH, detail)

    def _open(self, claim: IdempotencyClaim, sealed: bytes) -> VerificationView | VerificationProof:
        key_id, _, body = sealed.partition(b"\n")
        try:
            plain = self._keyring.open(_KIND, claim.keyed_hash, body, key_id.decode(errors="replace"))
            response: _Response = _DECODER.decode(plain)
        except (DecryptionError, msgspec.ValidationError):
            raise key_unavailable() from None
        match response:
            case _Refused():
                raise Refused(response.reason, response.detail, attempts_left=response.attempts_left)
            case _Requested():
                return response.view
            case _Verified():
                return response.success
