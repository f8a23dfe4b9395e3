"""verify-code: wait for a turn and a hash slot, reserve an attempt, compare the code, and consume the verification."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping
from functools import partial
from typing import Final

from msgspec.structs import replace

from otp_service.crypto.tokens import ProofClaims
from otp_service.domain.code_binding import CodeBinding
from otp_service.domain.errors import Reason, Refused
from otp_service.domain.recipient import hashed_as, is_address, mask_recipient
from otp_service.domain.results import (
    AlreadyEnded,
    AttemptReserved,
    AttemptsExhausted,
    IdempotencyClaim,
    InFlight,
    KeyClaimed,
    Mismatch,
    NotFound,
    RateLimit,
    RecipientLocked,
    Unreadable,
    Verified,
)
from otp_service.domain.verification import VerificationSnapshot, VerificationStatus
from otp_service.domain.views import VerificationProof
from otp_service.observability import METRICS
from otp_service.service.attempt_queue import AttemptQueue
from otp_service.service.cleanup import Cleanup
from otp_service.service.code_admission import UNKNOWN_ADDRESS
from otp_service.service.dependencies import Attempt, Dependencies
from otp_service.service.idempotency import StoredResponses
from otp_service.service.refusals import (
    address_limited,
    key_unavailable,
    recipient_locked,
    uniform_refusal,
    verification_unknown,
)

__all__ = ["VerifyCode"]

_ENDED: Final[Mapping[VerificationStatus, tuple[Reason, str]]] = {
    VerificationStatus.VERIFIED: (Reason.VERIFICATION_USED, "The code was used already. Request a new code."),
    VerificationStatus.SUPERSEDED: (
        Reason.VERIFICATION_SUPERSEDED,
        "A newer code was requested for this recipient. Send that code with its `verification_id`.",
    ),
    VerificationStatus.CANCELED: (Reason.VERIFICATION_CANCELED, "The verification was canceled. Request a new code."),
    VerificationStatus.EXPIRED: (Reason.VERIFICATION_EXPIRED, "The code has expired. Request a new code."),
}

_FINAL: Final = frozenset(
    {Reason.ATTEMPTS_EXHAUSTED, Reason.VERIFICATION_UNKNOWN, *(reason for reason, _ in _ENDED.values())}
)
"""Refusals that cost no attempt, and that every later attempt at the same verification gets as well."""

_IN_FLIGHT_RETRY_MS: Final = 1_000


class VerifyCode:
    """The use case `verify-code`; call the instance."""

    def __init__(self, dependencies: Dependencies, cleanup: Cleanup) -> None:
        self._dependencies = dependencies
        self._cleanup = cleanup
        self._responses = StoredResponses(dependencies.keyring)
        self._fingerprints: dict[str, str] = {}  # of the idempotency keys in progress here, by their keyed hash
        self._queue = AttemptQueue()

    async def __call__(self, attempt: Attempt, claim: IdempotencyClaim | None = None) -> VerificationProof:
        """Check a submitted code.

        Args:
            attempt: The code, and the verification that it is for.
            claim: The caller's idempotency key. Under the same key the same response is returned, without a second
                attempt.

        Raises:
            Refused: The code is wrong or could not be checked. Only `code_incorrect` has cost an attempt, and
                `verification_used` of a correct code when another correct one succeeded first. At a tenant with
                `uniform_errors` it is `code_incorrect` in all of these cases.
        """
        if attempt.client_ip is not None or attempt.publishable:
            await self._count_address(attempt)
        if claim is None:
            return await self._in_turn(attempt, None)
        if (fingerprint := self._fingerprints.get(claim.keyed_hash)) is not None:
            found = InFlight(_IN_FLIGHT_RETRY_MS) if fingerprint == claim.fingerprint else Mismatch()
            return self._responses.replay(claim, found, VerificationProof)
        self._fingerprints[claim.keyed_hash] = claim.fingerprint
        try:
            return await self._in_turn(attempt, replace(claim, owner_token=secrets.token_urlsafe(9)))
        finally:
            del self._fingerprints[claim.keyed_hash]

    async def _in_turn(self, attempt: Attempt, claim: IdempotencyClaim | None) -> VerificationProof:
        """Check the code when it is its turn: the attempts at one verification share one hash slot."""
        async with self._queue.turn(attempt.verification_id) as turn:
            with self._dependencies.pool.slot(attempt.caller):
                try:
                    result = await (self._check(attempt, None) if claim is None else self._check_once(attempt, claim))
                except Refused as refused:
                    if refused.reason in _FINAL:
                        turn.end_order()
                    raise
            if isinstance(result, Refused):
                raise result
            turn.end_order()
            return result

    async def _count_address(self, attempt: Attempt) -> None:
        """Count the attempt for the client's address; raises `Refused` (`rate_limited`) before anything is reserved."""
        limits, address = self._dependencies.limits, attempt.client_ip
        name, windows = "verify_ip", limits.verify_ip
        if attempt.publishable:
            name, windows, address = "publishable_verify_ip", limits.publishable_verify_ip, address or UNKNOWN_ADDRESS
        if address is None or not windows:
            return
        rate_limit = RateLimit(name, self._dependencies.keyring.keyed_hash(name, address), windows)
        if violated := await self._dependencies.attempts.count(rate_limit):
            raise address_limited(rate_limit, violated)

    async def _check_once(self, attempt: Attempt, claim: IdempotencyClaim) -> VerificationProof | Refused:
        """Claim the idempotency key before an attempt is reserved; release it unless a response is stored under it."""
        try:
            found = await self._dependencies.idempotency.claim(claim, attempt.verification_id)
            if isinstance(found, KeyClaimed):
                return await self._check(attempt, claim)
        except BaseException as error:
            await self._cleanup.after(error, partial(self._dependencies.idempotency.release, claim))
            raise
        return self._responses.replay(claim, found, VerificationProof)

    async def _check(self, attempt: Attempt, claim: IdempotencyClaim | None) -> VerificationProof | Refused:
        """Reserve an attempt and compare the code.

        Returns:
            The proof, or a refusal that has cost an attempt. One that has cost nothing is raised, but at a tenant with
            `uniform_errors` it is returned like the others, after the time of a comparison.
        """
        tenant = attempt.tenant
        match await self._dependencies.attempts.reserve_attempt(
            attempt.verification_id, tenant.name, tenant.send_policy
        ):
            case AttemptReserved() as reserved:
                return await self._compare(attempt, reserved, claim)
            case RecipientLocked() as locked:
                refused = recipient_locked(locked, tenant.send_policy.recipient_failures)
            case AttemptsExhausted(wait_ms):
                detail = "No attempts are left. Request a new code after `retry_after` seconds."
                refused = Refused(Reason.ATTEMPTS_EXHAUSTED, detail, retry_after_ms=wait_ms)
            case NotFound():
                refused = verification_unknown()
            case AlreadyEnded(status):
                refused = Refused(*_ENDED[status])
            case Unreadable():
                raise key_unavailable()
        if not tenant.uniform_errors:
            raise refused
        await self._dependencies.cipher.compare_with_none(attempt.code, caller=attempt.caller)
        return await self._store_refusal(attempt, claim, refused)

    async def _compare(
        self, attempt: Attempt, reserved: AttemptReserved, claim: IdempotencyClaim | None
    ) -> VerificationProof | Refused:
        """Compare the code of a reserved attempt. The proof is made first, so that `consume` can store it as well."""
        if not await self._dependencies.cipher.code_matches(
            reserved.snapshot, attempt.code, bound=attempt.bound, caller=attempt.caller
        ):
            if reserved.locks is not None:
                METRICS.lockouts.labels(attempt.tenant.name, reserved.locks.value).inc()
            return await self._store_refusal(attempt, claim, _code_incorrect(reserved.attempts_left))
        proof = self._proof(reserved.snapshot, attempt.bound)
        response = self._responses.seal(claim, proof) if claim else None
        match await self._dependencies.attempts.consume(
            attempt.verification_id, proof.verified_ms, claim, response or b""
        ):
            case Verified():
                self._dependencies.message_queue.count_verified(proof.phone or proof.email, reserved.snapshot.record)
                self._dependencies.guard.count_verified(proof.phone, reserved.snapshot.record)
                return proof
            case AlreadyEnded(status):
                return await self._store_refusal(attempt, claim, Refused(*_ENDED[status]))
            case NotFound():
                return await self._store_refusal(attempt, claim, verification_unknown())

    async def _store_refusal(self, attempt: Attempt, claim: IdempotencyClaim | None, refused: Refused) -> Refused:
        """Store a refusal that has cost an attempt, and return it; it is valid even if the store does not answer.

        With `uniform_errors` it may have cost nothing, and callers without end may send ids that do not exist: it is
        stored for as long as the id can exist. Afterwards a repeated attempt costs none and gets the same refusal.
        """
        is_uniform = attempt.tenant.uniform_errors
        if is_uniform:
            refused = uniform_refusal(refused)
        if claim is not None and (sealed := self._responses.seal(claim, refused)):
            with contextlib.suppress(Refused):
                await self._dependencies.idempotency.keep(claim, attempt.verification_id, sealed, briefly=is_uniform)
        return refused

    def _proof(self, snapshot: VerificationSnapshot, bound: CodeBinding) -> VerificationProof:
        """Make the proof; its time is the one at which the attempt was reserved."""
        record, dependencies = snapshot.record, self._dependencies
        to = dependencies.cipher.open_recipient(snapshot.id, record)
        claims = ProofClaims(
            tenant=record.tenant,
            verification_id=snapshot.id,
            subject=dependencies.keyring.keyed_hash(*hashed_as("token", to)),
            recipient=to,
            purpose=record.purpose,
            verified_at=snapshot.now_ms // 1000,
            bound=bound,
        )
        token, expires_at = dependencies.signer.sign(claims)
        is_email = is_address(to)
        return VerificationProof(
            verification_id=snapshot.id,
            purpose=record.purpose,
            phone="" if is_email else to,
            email=to if is_email else "",
            masked_recipient=mask_recipient(to),
            verified_ms=snapshot.now_ms,
            token=token,
            token_expires_at=expires_at,
        )


def _code_incorrect(attempts_left: int) -> Refused:
    detail = "The code is wrong. Send the code from the latest message."
    if not attempts_left:
        detail = "The code is wrong, and no attempts are left. Request a new code."
    return Refused(Reason.CODE_INCORRECT, detail, attempts_left=attempts_left)
