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
    Ended,
    IdempotentCall,
    InFlight,
    Locked,
    Mismatch,
    New,
    Spent,
    Take,
    Unknown,
    Unreadable,
    Verified,
    WaitForSend,
)
from otp_service.domain.verification import Snapshot, Status
from otp_service.domain.views import Success
from otp_service.observability import METRICS
from otp_service.service.attempt_queue import Turns
from otp_service.service.cleanup import Cleanup
from otp_service.service.dependencies import Guess, Parts, unreadable
from otp_service.service.idempotency import DISABLED, Answers

__all__ = ["VerifyCode"]

_ENDS: Final[Mapping[Status, tuple[Reason, str]]] = {
    Status.VERIFIED: (Reason.VERIFICATION_USED, "The code was used already."),
    Status.SUPERSEDED: (Reason.VERIFICATION_SUPERSEDED, "A newer code was requested for this number."),
    Status.CANCELED: (Reason.VERIFICATION_CANCELED, "The verification was canceled."),
    Status.EXPIRED: (Reason.VERIFICATION_EXPIRED, "The code has expired."),
}

_LOOK_AGAIN_MS: Final = 1_000


class VerifyCode:
    """The use case; call it."""

    def __init__(self, parts: Parts, cleanup: Cleanup) -> None:
        """Work with `parts`; a key that was claimed for nothing is freed by `cleanup`."""
        self._parts = parts
        self._cleanup = cleanup
        self._answers = Answers(parts.keyring)
        self._working: dict[str, str] = {}  # keys that are worked under here: they need not wait for their turn
        self._turns = Turns()

    async def __call__(self, guess: Guess, key: IdempotentCall | None = None) -> Success:
        """Judge a guess. Under `key`, ask again for the same answer without another attempt.

        Guesses at one verification are judged one after the other, as far as they meet in this process. The store alone
        keeps the promises, whoever guesses where. But of guesses that are paid for at the same time and not yet judged,
        all attempts may be gone, and a right one that comes then would be told `exhausted` where it lost to another
        right one.
        """
        await self._count_address(guess)
        if key is None:
            return await self._in_turn(guess, None)
        if (fingerprint := self._working.get(key.subject)) is not None:
            found = InFlight(_LOOK_AGAIN_MS) if fingerprint == key.fingerprint else Mismatch()
            return self._answers.again(key, found, Success)
        self._working[key.subject] = key.fingerprint
        try:
            return await self._in_turn(guess, replace(key, mark=secrets.token_urlsafe(9)))
        finally:
            del self._working[key.subject]

    async def _in_turn(self, guess: Guess, key: IdempotentCall | None) -> Success:
        """Wait without a place, which is only for who is about to hash: guesses at one verification hold one in all."""
        async with self._turns.turn(guess.verification_id):
            with self._parts.pool.place(guess.caller):
                return await self._judge(guess, key)

    async def _count_address(self, guess: Guess) -> None:
        """Count the guess for the address that it comes from; raises `Refused` before anything is spent."""
        windows = self._parts.limits.verify_ip
        if guess.client is None or not windows:
            return
        subject = self._parts.keyring.subject("verify_ip", guess.client)
        if wait_ms := await self._parts.guesses.count(Take("verify_ip", subject, windows)):
            detail = "Too many codes were checked from this address."
            raise Refused(Reason.RATE_LIMITED, detail, retry_after_ms=wait_ms, limit="verify_ip")

    async def _judge(self, guess: Guess, key: IdempotentCall | None) -> Success:
        judged = await (self._spend(guess, None) if key is None else self._claim(guess, key))
        if isinstance(judged, Refused):
            raise judged
        return judged

    async def _claim(self, guess: Guess, key: IdempotentCall) -> Success | Refused:
        """Bind the caller's key to this guess before anything is spent; free it unless the answer is kept under it."""
        try:
            found = await self._parts.idempotency.claim(key, guess.verification_id)
            if isinstance(found, New):
                return await self._spend(guess, key)
        except BaseException as problem:
            await self._cleanup.after(problem, partial(self._parts.idempotency.release, key))
            raise
        return self._answers.again(key, found, Success)

    async def _spend(self, guess: Guess, key: IdempotentCall | None) -> Success | Refused:
        """Pay for the guess and judge it; a refusal that cost nothing is raised."""
        tenant = guess.tenant
        match await self._parts.guesses.spend_attempt(guess.verification_id, tenant.name, tenant.sends):
            case Spent() as spent:
                return await self._compare(guess, spent, key)
            case Locked(wait_ms, disabled):
                detail = DISABLED if disabled else "Too many wrong codes for this number."
                raise Refused(Reason.RECIPIENT_LOCKED, detail, retry_after_ms=wait_ms)
            case WaitForSend(wait_ms):
                raise Refused(Reason.ATTEMPTS_EXHAUSTED, "No attempts are left.", retry_after_ms=wait_ms)
            case Unknown():
                raise _unknown()
            case Ended(status):
                raise Refused(*_ENDS[status])
            case Unreadable():
                raise unreadable()

    async def _compare(self, guess: Guess, spent: Spent, key: IdempotentCall | None) -> Success | Refused:
        """Judge a guess that is paid for. The answer of a success is made before it, so that it is kept with it."""
        if not await self._parts.vault.is_code(spent.snapshot, guess.code, caller=guess.caller):
            if spent.locks is not None:
                METRICS.lockouts.labels(guess.tenant.name, spent.locks.value).inc()
            wrong = Refused(Reason.CODE_INCORRECT, "The code is wrong.", attempts_left=spent.attempts_left)
            return await self._kept(guess, key, wrong)
        success = self._success(spent.snapshot)
        answer = self._answers.seal(key, success) if key else None
        match await self._parts.guesses.consume(guess.verification_id, success.verified_ms, key, answer or b""):
            case Verified():
                return success
            case Ended(status):
                return await self._kept(guess, key, Refused(*_ENDS[status]))
            case Unknown():
                return await self._kept(guess, key, _unknown())

    async def _kept(self, guess: Guess, key: IdempotentCall | None, refused: Refused) -> Refused:
        """Keep a refusal that cost an attempt; a store that falls silent now takes nothing from the answer."""
        if key is not None and (sealed := self._answers.seal(key, refused)):
            with contextlib.suppress(Refused):
                await self._parts.idempotency.keep(key, guess.verification_id, sealed)
        return refused

    def _success(self, snapshot: Snapshot) -> Success:
        """Make the proof; its moment is the one at which the guess was paid for."""
        record, parts = snapshot.record, self._parts
        phone = parts.vault.open_phone(snapshot.id, record)
        proof = Proof(
            tenant=record.tenant,
            verification_id=snapshot.id,
            subject=parts.keyring.subject("token", phone),
            phone=phone,
            purpose=record.purpose,
            verified_at=snapshot.now_ms // 1000,
        )
        token, ends = parts.signer.sign(proof)
        return Success(
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
