"""verify-code: wait for a turn, take a place, pay for the guess, compare, and let the second script decide."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from otp_service.crypto.tokens import Proof
from otp_service.domain.errors import Reason, Refused
from otp_service.domain.phone import parse
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
from otp_service.service.attempt_queue import Turns
from otp_service.service.cleanup import Cleanup
from otp_service.service.dependencies import Attempt, Dependencies, key_unavailable
from otp_service.service.idempotency import DISABLED, Answers

__all__ = ["VerifyCode"]

_ENDS: Final[Mapping[VerificationStatus, tuple[Reason, str]]] = {
    VerificationStatus.VERIFIED: (Reason.VERIFICATION_USED, "The code was used already."),
    VerificationStatus.SUPERSEDED: (Reason.VERIFICATION_SUPERSEDED, "A newer code was requested for this number."),
    VerificationStatus.CANCELED: (Reason.VERIFICATION_CANCELED, "The verification was canceled."),
    VerificationStatus.EXPIRED: (Reason.VERIFICATION_EXPIRED, "The code has expired."),
}

_LOOK_AGAIN_MS: Final = 1_000


class VerifyCode:
    """The use case; call it."""

    def __init__(self, dependencies: Dependencies, cleanup: Cleanup) -> None:
        """Work with `dependencies`; a key that was claimed for nothing is freed by `cleanup`."""
        self._dependencies = dependencies
        self._cleanup = cleanup
        self._answers = Answers(dependencies.keyring)
        self._working: dict[str, str] = {}  # keys that are worked under here: they need not wait for their turn
        self._turns = Turns()

    async def __call__(self, attempt: Attempt, key: IdempotencyClaim | None = None) -> VerificationProof:
        """Judge a guess. Under `key`, ask again for the same answer without another attempt.

        Guesses at one verification are judged one after the other, as far as they meet in this process. The store alone
        keeps the promises, whoever guesses where. But of guesses that are paid for at the same time and not yet judged,
        all attempts may be gone, and a right one that comes then would be told `exhausted` where it lost to another
        right one.
        """
        await self._count_address(attempt)
        if key is None:
            return await self._in_turn(attempt, None)
        if (fingerprint := self._working.get(key.keyed_hash)) is not None:
            found = InFlight(_LOOK_AGAIN_MS) if fingerprint == key.fingerprint else Mismatch()
            return self._answers.again(key, found, VerificationProof)
        self._working[key.keyed_hash] = key.fingerprint
        try:
            return await self._in_turn(attempt, replace(key, owner_token=secrets.token_urlsafe(9)))
        finally:
            del self._working[key.keyed_hash]

    async def _in_turn(self, attempt: Attempt, key: IdempotencyClaim | None) -> VerificationProof:
        """Wait without a place, which is only for who is about to hash: guesses at one verification hold one in all."""
        async with self._turns.turn(attempt.verification_id):
            with self._dependencies.pool.place(attempt.caller):
                return await self._judge(attempt, key)

    async def _count_address(self, attempt: Attempt) -> None:
        """Count the guess for the address that it comes from; raises `Refused` before anything is spent."""
        windows = self._dependencies.limits.verify_ip
        if attempt.client is None or not windows:
            return
        keyed_hash = self._dependencies.keyring.keyed_hash("verify_ip", attempt.client)
        if wait_ms := await self._dependencies.attempts.count(RateLimit("verify_ip", keyed_hash, windows)):
            detail = "Too many codes were checked from this address."
            raise Refused(Reason.RATE_LIMITED, detail, retry_after_ms=wait_ms, limit="verify_ip")

    async def _judge(self, attempt: Attempt, key: IdempotencyClaim | None) -> VerificationProof:
        judged = await (self._spend(attempt, None) if key is None else self._claim(attempt, key))
        if isinstance(judged, Refused):
            raise judged
        return judged

    async def _claim(self, attempt: Attempt, key: IdempotencyClaim) -> VerificationProof | Refused:
        """Bind the caller's key to this guess before anything is spent; free it unless the answer is kept under it."""
        try:
            found = await self._dependencies.idempotency.claim(key, attempt.verification_id)
            if isinstance(found, KeyClaimed):
                return await self._spend(attempt, key)
        except BaseException as problem:
            await self._cleanup.after(problem, partial(self._dependencies.idempotency.release, key))
            raise
        return self._answers.again(key, found, VerificationProof)

    async def _spend(self, attempt: Attempt, key: IdempotencyClaim | None) -> VerificationProof | Refused:
        """Pay for the guess and judge it; a refusal that cost nothing is raised."""
        tenant = attempt.tenant
        match await self._dependencies.attempts.reserve_attempt(attempt.verification_id, tenant.name, tenant.sends):
            case AttemptReserved() as spent:
                return await self._compare(attempt, spent, key)
            case RecipientLocked(wait_ms, disabled):
                detail = DISABLED if disabled else "Too many wrong codes for this number."
                raise Refused(Reason.RECIPIENT_LOCKED, detail, retry_after_ms=wait_ms)
            case AttemptsExhausted(wait_ms):
                raise Refused(Reason.ATTEMPTS_EXHAUSTED, "No attempts are left.", retry_after_ms=wait_ms)
            case NotFound():
                raise _unknown()
            case AlreadyEnded(status):
                raise Refused(*_ENDS[status])
            case Unreadable():
                raise key_unavailable()

    async def _compare(
        self, attempt: Attempt, spent: AttemptReserved, key: IdempotencyClaim | None
    ) -> VerificationProof | Refused:
        """Judge a guess that is paid for. The answer of a success is made before it, so that it is kept with it."""
        if not await self._dependencies.cipher.is_code(spent.snapshot, attempt.code, caller=attempt.caller):
            if spent.locks is not None:
                METRICS.lockouts.labels(attempt.tenant.name, spent.locks.value).inc()
            wrong = Refused(Reason.CODE_INCORRECT, "The code is wrong.", attempts_left=spent.attempts_left)
            return await self._kept(attempt, key, wrong)
        success = self._success(spent.snapshot)
        answer = self._answers.seal(key, success) if key else None
        match await self._dependencies.attempts.consume(
            attempt.verification_id, success.verified_ms, key, answer or b""
        ):
            case Verified():
                return success
            case AlreadyEnded(status):
                return await self._kept(attempt, key, Refused(*_ENDS[status]))
            case NotFound():
                return await self._kept(attempt, key, _unknown())

    async def _kept(self, attempt: Attempt, key: IdempotencyClaim | None, refused: Refused) -> Refused:
        """Keep a refusal that cost an attempt; a store that falls silent now takes nothing from the answer."""
        if key is not None and (sealed := self._answers.seal(key, refused)):
            with contextlib.suppress(Refused):
                await self._dependencies.idempotency.keep(key, attempt.verification_id, sealed)
        return refused

    def _success(self, snapshot: VerificationSnapshot) -> VerificationProof:
        """Make the proof; its moment is the one at which the guess was paid for."""
        record, dependencies = snapshot.record, self._dependencies
        phone = dependencies.cipher.open_phone(snapshot.id, record)
        proof = Proof(
            tenant=record.tenant,
            verification_id=snapshot.id,
            subject=dependencies.keyring.keyed_hash("token", phone),
            phone=phone,
            purpose=record.purpose,
            verified_at=snapshot.now_ms // 1000,
        )
        token, ends = dependencies.signer.sign(proof)
        return VerificationProof(
            verification_id=snapshot.id,
            purpose=record.purpose,
            phone=phone,
            masked=parse(phone, record.country).masked,
            verified_ms=snapshot.now_ms,
            token=token,
            token_ends=ends,
        )


def _unknown() -> Refused:
    return Refused(Reason.VERIFICATION_UNKNOWN, "There is no such verification, or not any more.")
