"""verify-code: take a place, pay for the guess, compare, and let the second script decide."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from weakref import WeakValueDictionary

from otp_service.crypto.tokens import Proof
from otp_service.domain.errors import Reason, Refused
from otp_service.domain.phone import parse
from otp_service.domain.transitions import (
    Ended,
    IdempotentCall,
    Locked,
    New,
    Resume,
    Spent,
    Unknown,
    Verified,
    WaitForSend,
)
from otp_service.domain.verification import Snapshot, Status
from otp_service.domain.views import Success
from otp_service.service.answers import Answers
from otp_service.service.parts import Guess, Parts

__all__ = ["VerifyCode"]

_ENDS: Final[Mapping[Status, tuple[Reason, str]]] = {
    Status.VERIFIED: (Reason.VERIFICATION_USED, "The code was used already."),
    Status.SUPERSEDED: (Reason.VERIFICATION_SUPERSEDED, "A newer code was requested for this number."),
    Status.CANCELED: (Reason.VERIFICATION_CANCELED, "The verification was canceled."),
    Status.EXPIRED: (Reason.VERIFICATION_EXPIRED, "The code has expired."),
}


class VerifyCode:
    """The use case; call it."""

    def __init__(self, parts: Parts) -> None:
        """Work with `parts`."""
        self._parts = parts
        self._answers = Answers(parts.keyring)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def __call__(self, guess: Guess, key: IdempotentCall | None = None) -> Success:
        """Judge a guess. Under `key`, ask again for the same answer without another attempt."""
        with self._parts.pool.place():
            if key is None:
                return await self._judge_in_turn(guess)
            return await self._judge_once(guess, replace(key, mark=secrets.token_urlsafe(9)))

    async def _judge_once(self, guess: Guess, key: IdempotentCall) -> Success:
        """Judge under an idempotency key; a worker that died under it has paid for its guess, and so do we."""
        match await self._parts.idempotency.begin(key):
            case New() | Resume():
                pass
            case found:
                return self._answers.again(key, found, Success)
        try:
            success = await self._judge_in_turn(guess)
        except Refused as refused:
            await self._keep(key, refused)
            raise
        await self._keep(key, success)
        return success

    async def _keep(self, key: IdempotentCall, answer: Success | Refused) -> None:
        """Keep the answer, or free the key; a store that falls silent now takes nothing from the answer."""
        sealed = self._answers.seal(key, answer)
        with contextlib.suppress(Refused):
            if sealed is not None:
                await self._parts.idempotency.finish(key, sealed)
            elif not (isinstance(answer, Refused) and answer.reason is Reason.STORE_UNAVAILABLE):
                await self._parts.idempotency.abort(key)

    async def _judge_in_turn(self, guess: Guess) -> Success:
        """Judge the guesses at one verification one after the other, as far as they meet in this process.

        The store alone keeps the promises, whoever guesses where. But of guesses that are paid for at the same time
        and not yet judged, all attempts may be gone, and a right one that comes then would be told `exhausted` where
        it lost to another right one.
        """
        async with self._turns.setdefault(guess.verification_id, asyncio.Lock()):
            return await self._judge(guess)

    async def _judge(self, guess: Guess) -> Success:
        spent = await self._spend(guess)
        if not await self._parts.vault.is_code(spent.snapshot, guess.code):
            raise Refused(Reason.CODE_INCORRECT, "The code is wrong.", attempts_left=spent.attempts_left)
        match await self._parts.verifications.consume(guess.verification_id):
            case Verified(at_ms):
                return self._success(spent.snapshot, at_ms)
            case Ended(status):
                raise Refused(*_ENDS[status])
            case Unknown():
                raise _unknown()

    async def _spend(self, guess: Guess) -> Spent:
        tenant = guess.tenant
        match await self._parts.verifications.spend_attempt(guess.verification_id, tenant.name, tenant.sends):
            case Spent() as spent:
                return spent
            case Unknown():
                raise _unknown()
            case Locked(wait_ms):
                raise Refused(Reason.RECIPIENT_LOCKED, "Too many wrong codes for this number.", retry_after_ms=wait_ms)
            case WaitForSend(wait_ms):
                raise Refused(Reason.ATTEMPTS_EXHAUSTED, "No attempts are left.", retry_after_ms=wait_ms)
            case Ended(status):
                raise Refused(*_ENDS[status])

    def _success(self, snapshot: Snapshot, at_ms: int) -> Success:
        record, parts = snapshot.record, self._parts
        phone = parts.vault.open_phone(snapshot.id, record)
        proof = Proof(
            tenant=record.tenant,
            verification_id=snapshot.id,
            subject=parts.keyring.subject("token", phone),
            phone=phone,
            purpose=record.purpose,
            verified_at=at_ms // 1000,
        )
        token, ends = parts.signer.sign(proof)
        return Success(
            verification_id=snapshot.id,
            purpose=record.purpose,
            phone=phone,
            masked=parse(phone, record.country).masked,
            verified_ms=at_ms,
            token=token,
            token_ends=ends,
        )


def _unknown() -> Refused:
    return Refused(Reason.VERIFICATION_UNKNOWN, "There is no such verification, or not any more.")
