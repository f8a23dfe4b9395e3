"""request-code: judge the request, take its budgets, make the code, store it, have it sent."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from functools import partial
from typing import Final

from otp_service.crypto.codes import new_code
from otp_service.domain.errors import Reason, Refused
from otp_service.domain.outcomes import DeliveryStatus
from otp_service.domain.phone import PhoneInvalid, PhoneNumber, parse
from otp_service.domain.ports import SealBroken
from otp_service.domain.provider_policy import Availability
from otp_service.domain.results import (
    ActiveVerification,
    Admission,
    Admitted,
    ClaimedMessage,
    Denied,
    IdempotencyClaim,
    IdInUse,
    InFlight,
    Mismatch,
    RateLimit,
    Replay,
    ReservationExpired,
    Started,
)
from otp_service.domain.verification import MAX_CODE_LIFE_MS, Delivery, VerificationRecord, VerificationSnapshot
from otp_service.domain.views import VerificationView, view_of
from otp_service.service.cleanup import Cleanup
from otp_service.service.dependencies import CodeRequest, Dependencies
from otp_service.service.idempotency import DISABLED, Answers
from otp_service.store.keys import PARTITIONS, Partition, new_verification_id

__all__ = ["RequestCode"]

NO_ROUTE_RETRY_MS: Final = 30_000

TOKEN_LENGTH: Final = 8
"""48 random bits tell a reservation from the few that its recipient ever has at a time."""

LATE_RETRY_MS: Final = 1_000

LEAST_LIFE_MS: Final = 60_000
"""A code that is sent again must leave this much time to type it, or half its life; otherwise a new one is made."""

_DENIALS: Final = {
    Reason.RECIPIENT_LOCKED: "Too many wrong codes for this number.",
    Reason.RESEND_TOO_SOON: "A code was requested a moment ago.",
    Reason.RATE_LIMITED: "A limit is used up.",
}


class RequestCode:
    """The use case; call it."""

    def __init__(self, dependencies: Dependencies, cleanup: Cleanup) -> None:
        """Work with `dependencies`; what comes to nothing is given back by `cleanup`."""
        self._dependencies = dependencies
        self._cleanup = cleanup
        self._answers = Answers(dependencies.keyring)

    async def __call__(self, wanted: CodeRequest, key: IdempotencyClaim | None = None) -> VerificationView:
        """Make a code and have it sent. Under `key`, ask again for the same answer without a second text."""
        wanted.tenant.check_purpose(wanted.purpose)
        number = _number(wanted)
        partition = self._dependencies.keyring.partition_for("partition", number.e164, PARTITIONS)
        verification_id = new_verification_id(Partition(partition))
        if key is not None:
            key = replace(key, owner_token=verification_id)
        with self._dependencies.pool.place(wanted.caller):
            admitted = await self._admit(self._admission(wanted, number, partition, verification_id, key))
            if isinstance(admitted, VerificationView):
                return admitted
            return await self._start_or_release(wanted, number, admitted, verification_id)

    def _admission(
        self,
        wanted: CodeRequest,
        number: PhoneNumber,
        partition: int,
        verification_id: str,
        key: IdempotencyClaim | None,
    ) -> Admission:
        keyed_hash, limits = self._dependencies.keyring.keyed_hash, self._dependencies.limits
        counted = (
            ("client_ip", wanted.client, limits.client_ip),
            ("prefix", number.block, limits.prefix),
            ("country", number.country, limits.country),
            ("tenant", wanted.tenant.name, limits.tenant),
            ("global", "all", limits.global_),
        )
        return Admission(
            partition=partition,
            recipient=keyed_hash("recipient", number.e164),
            tenant=wanted.tenant.name,
            purpose=wanted.purpose,
            policy=wanted.tenant.sends,
            rate_limits=tuple(
                RateLimit(limit, keyed_hash(limit, counts), windows)
                for limit, counts, windows in counted
                if counts and windows
            ),
            route=self._dependencies.message_queue.route(number.country, number.e164, verification_id),
            country=number.country,
            segments=wanted.tenant.segments_of(number.country, wanted.locale, wanted.purpose),
            idempotency=key,
            token=verification_id[1 : 1 + TOKEN_LENGTH],
        )

    async def _admit(self, admission: Admission) -> Admitted | VerificationView:
        """Take from every budget, or find the answer that was given under the key before."""
        match await self._take(admission):
            case Admitted() as admitted:
                return admitted
            case Denied(reason, wait_ms, limit, disabled):
                detail = DISABLED if disabled else _DENIALS[reason]
                raise Refused(reason, detail, retry_after_ms=wait_ms, limit=limit)
            case found:
                return self._again(admission, found)

    async def _take(self, admission: Admission) -> Admitted | Denied | Replay | InFlight | Mismatch:
        try:
            return await self._dependencies.verifications.admit(admission)
        except (Refused, asyncio.CancelledError) as problem:  # nobody knows what was taken
            await self._cleanup.after(problem, partial(self._dependencies.verifications.withdraw, admission))
            raise

    def _again(self, admission: Admission, found: Replay | InFlight | Mismatch) -> VerificationView:
        if admission.idempotency is None:
            raise AssertionError(f"{found} without an idempotency key")
        return self._answers.again(admission.idempotency, found, VerificationView)

    async def _start_or_release(
        self, wanted: CodeRequest, number: PhoneNumber, admitted: Admitted, verification_id: str
    ) -> VerificationView:
        """Go on to the end, or give everything back."""
        try:
            record, sealed = await self._made(wanted, number, admitted, verification_id, _first_usable(admitted))
        except BaseException as problem:
            await self._cleanup.after(problem, partial(self._dependencies.verifications.release, admitted))
            raise
        view = view_of(VerificationSnapshot(verification_id, record, admitted.now_ms), number.masked)
        found = await self._started(admitted, verification_id, record, sealed, view)
        if not isinstance(found, Started):
            detail = "The request took too long, and was dropped."
            late = Refused(Reason.OVERLOADED, detail, retry_after_ms=LATE_RETRY_MS)
            await self._cleanup.after(late, partial(self._dependencies.verifications.release, admitted))
            if isinstance(found, Replay):
                return self._again(admitted.admission, found)
            raise late
        if sealed is not None:
            self._dependencies.message_queue.deliver(ClaimedMessage(verification_id, record, sealed, admitted.now_ms))
        return view

    async def _started(
        self,
        admitted: Admitted,
        verification_id: str,
        record: VerificationRecord,
        sealed: bytes | None,
        view: VerificationView,
    ) -> Started | ReservationExpired | IdInUse | Replay:
        """Start it; when the store falls silent nobody knows whether it has, so nothing may come of it."""
        verifications, key = self._dependencies.verifications, admitted.admission.idempotency
        answer = self._answers.seal(key, view) if key else None
        try:
            return await verifications.start(admitted, verification_id, record, sealed, answer)
        except BaseException as problem:
            await self._cleanup.after(problem, partial(verifications.abandon, admitted, verification_id))
            raise

    async def _made(
        self, wanted: CodeRequest, number: PhoneNumber, admitted: Admitted, verification_id: str, provider: str
    ) -> tuple[VerificationRecord, bytes | None]:
        """Make the code: the record with its hash, and the code sealed for the outbox (None: a decoy)."""
        cipher = self._dependencies.cipher
        code, born_ms, expires_ms = self._code(wanted, admitted)
        phc = await cipher.hash_code(
            verification_id,
            wanted.tenant.name,
            admitted.admission.recipient,
            wanted.purpose,
            code,
            caller=wanted.caller,
        )
        record = VerificationRecord(
            tenant=wanted.tenant.name,
            purpose=wanted.purpose,
            recipient=admitted.admission.recipient,
            created_ms=admitted.now_ms,
            expires_ms=expires_ms,
            attempts_left=wanted.tenant.max_attempts,
            keeps_code=wanted.tenant.sends.reuse,
            deliveries=() if wanted.decoy else (Delivery(provider, DeliveryStatus.QUEUED, admitted.now_ms),),
            key_id=cipher.key_id,
            phc=phc,
            phone=cipher.seal_phone(verification_id, number.e164),
            channel=wanted.channel,
            country=number.country,
            locale=wanted.locale,
            code_length=len(code),
            resend_ms=admitted.now_ms + wanted.tenant.sends.cooldown_seconds * 1000,
            sends_left=admitted.sends_left,
            born_ms=born_ms,
        )
        return record, None if wanted.decoy else cipher.seal_code(verification_id, code)

    def _code(self, wanted: CodeRequest, admitted: Admitted) -> tuple[str, int, int]:
        """A code, when it was born and when it ends: the living one again by policy, if enough of its life is left."""
        now, ttl_ms = admitted.now_ms, wanted.tenant.sends.ttl_seconds * 1000
        if (active := admitted.active) is not None:
            ends = min(now + ttl_ms, active.record.born_ms + MAX_CODE_LIFE_MS)
            if ends - now >= min(ttl_ms // 2, LEAST_LIFE_MS):
                with contextlib.suppress(SealBroken):  # made under a key that this replica does not have: a new code
                    return self._code_again(active, decoy=wanted.decoy), active.record.born_ms, ends
        return new_code(wanted.tenant.code_length), now, now + ttl_ms

    def _code_again(self, active: ActiveVerification, *, decoy: bool) -> str:
        """Give the living code, but one like it to a decoy or after one, so that nothing tells the two apart.

        What was sent before must not open what sends nothing.
        """
        if decoy or not active.sealed_code:
            return new_code(active.record.code_length)
        return self._dependencies.cipher.open_code(active.id, active.sealed_code, active.record)


def _number(wanted: CodeRequest) -> PhoneNumber:
    try:
        number = parse(wanted.phone, wanted.country or wanted.tenant.country)
    except PhoneInvalid as invalid:
        raise Refused(Reason.PHONE_INVALID, str(invalid)) from None
    wanted.tenant.check_number(number)
    return number


def _first_usable(admitted: Admitted) -> str:
    """Name the first provider that may take the message now, or raise `Refused`: capped, or nobody there."""
    if admitted.tenant_capped_ms:
        detail = "The tenant's cap for today is reached."
        raise Refused(Reason.SPEND_CAP_REACHED, detail, retry_after_ms=admitted.tenant_capped_ms)
    for name, state in admitted.gateways:
        if state.availability is Availability.OK and not state.capped_ms:
            return name
    if admitted.gateways and all(state.capped_ms for _, state in admitted.gateways):
        detail = "A cap for today has no room for this message at any provider."
        wait_ms = min(state.capped_ms for _, state in admitted.gateways)
        raise Refused(Reason.SPEND_CAP_REACHED, detail, retry_after_ms=wait_ms)
    detail = "No provider serves this number now."
    waits = (max(state.retry_in_ms, state.capped_ms) for _, state in admitted.gateways)
    raise Refused(Reason.NO_ROUTE, detail, retry_after_ms=min(waits, default=NO_ROUTE_RETRY_MS))
