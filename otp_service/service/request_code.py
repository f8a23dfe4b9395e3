"""request-code: check the request, acquire its limits, make the code, store the verification, and have it sent."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import Final

import msgspec
from msgspec.structs import replace

from otp_service.crypto.codes import generate_code
from otp_service.crypto.keyring import DecryptionError
from otp_service.crypto.verification_cipher import SealedContent
from otp_service.domain.channel_route import RoutedProvider
from otp_service.domain.errors import Reason, Refused
from otp_service.domain.events import encode_targets
from otp_service.domain.guard_counts import mark_of
from otp_service.domain.outcomes import DeliveryStatus
from otp_service.domain.provider_policy import Availability
from otp_service.domain.quotas import Quotas, QuotaState
from otp_service.domain.recipient import Recipient, hashed_as
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
    Replay,
    ReservationExpired,
    Started,
)
from otp_service.domain.verification import MAX_CODE_AGE_MS, Delivery, VerificationRecord, VerificationSnapshot
from otp_service.domain.views import VerificationView, view_of
from otp_service.service.captcha_checks import CaptchaChecks
from otp_service.service.cleanup import Cleanup
from otp_service.service.code_admission import (
    advertised_policies,
    build_admission,
    parse_recipient,
    without_address_limits,
)
from otp_service.service.dependencies import CodeRequest, Dependencies
from otp_service.service.idempotency import StoredResponses
from otp_service.service.refusals import request_denied
from otp_service.store.keys import ALL_PARTITIONS, PARTITIONS, new_verification_id, partition_of_id

__all__ = ["RequestCode"]

NO_ROUTE_RETRY_MS: Final = 30_000

NOT_STARTED_RETRY_MS: Final = 1_000

MIN_REMAINING_MS: Final = 60_000
"""A code is sent again only if this much of its time remains, or half its TTL; otherwise a new one is made."""


class RequestCode:
    """The use case `request-code`; call the instance."""

    def __init__(self, dependencies: Dependencies, cleanup: Cleanup) -> None:
        self._dependencies = dependencies
        self._cleanup = cleanup
        self._responses = StoredResponses(dependencies.keyring)
        self._captcha = CaptchaChecks(dependencies)

    async def __call__(self, request: CodeRequest, claim: IdempotencyClaim | None = None) -> VerificationView:
        """Make a code, store its verification, and queue its message.

        Args:
            request: Who requests a code for which recipient.
            claim: The caller's idempotency key. The same key gets the same response, without a second message.

        Raises:
            Refused: The request was denied; what it acquired is released. Only a captcha token that is not accepted
                counts for the limits of its address.
        """
        request.tenant.check_purpose(request.purpose)
        request.tenant.check_channel(request.channel)
        self._captcha.check_presence(request)
        recipient = parse_recipient(request)
        _check_text(request, recipient)
        partition = self._dependencies.keyring.partition_for(*hashed_as("partition", recipient.to), PARTITIONS)
        verification_id = new_verification_id(ALL_PARTITIONS[partition])
        if claim is not None:
            claim = replace(claim, owner_token=verification_id)
        admission = build_admission(self._dependencies, request, recipient, partition, verification_id, claim=claim)
        with self._dependencies.pool.slot(request.caller):
            admitted = await self._admit(admission)
            if isinstance(admitted, VerificationView):
                return admitted
            return await self._start_or_release(request, recipient, admitted, verification_id)

    async def _admit(self, admission: Admission) -> Admitted | VerificationView:
        """Acquire every limit, or return the response that is stored under the idempotency key."""
        try:
            result = await self._dependencies.verifications.admit(admission)
        except (Refused, asyncio.CancelledError) as error:  # what was acquired is not known
            await self._cleanup.after(error, partial(self._dependencies.verifications.withdraw, admission))
            raise
        match result:
            case Admitted() as admitted:
                self._dependencies.guard.record(admitted.guard.decision if admitted.guard else None)
                return admitted
            case Denied() as denied:
                self._dependencies.guard.record(denied.decision)
                raise request_denied(denied, advertised_policies(admission), admission.policy.recipient_failures)
            case found:
                return self._replay(admission, found)

    def _replay(self, admission: Admission, found: Replay | InFlight | Mismatch) -> VerificationView:
        if admission.idempotency is None:
            raise AssertionError(f"{found} without an idempotency key")
        return _with_quotas(self._responses.replay(admission.idempotency, found, VerificationView), admission)

    async def _start_or_release(
        self, request: CodeRequest, recipient: Recipient, admitted: Admitted, verification_id: str
    ) -> VerificationView:
        """Start the verification, or release what was acquired; a bad captcha token counts for its address."""
        release = partial(self._dependencies.verifications.release, admitted)
        try:
            provider = _first_available(admitted)
            await self._captcha.check_token(request, recipient.to, verification_id, admitted.admission.idempotency)
            record, sealed_code = await self._new_record(request, recipient, admitted, verification_id, provider)
        except BaseException as error:
            if isinstance(error, Refused) and error.reason is Reason.CAPTCHA_FAILED:
                release = partial(self._dependencies.verifications.release, without_address_limits(admitted))
            await self._cleanup.after(error, release)
            raise
        view = view_of(VerificationSnapshot(verification_id, record, admitted.now_ms), recipient.masked)
        started = await self._start(admitted, verification_id, record, sealed_code, view)
        if isinstance(started, Started):
            if sealed_code is not None:
                message = ClaimedMessage(verification_id, record, sealed_code, admitted.now_ms)
                self._dependencies.message_queue.deliver(message)
            return _with_quotas(view, admitted.admission, admitted.own_quotas)
        refused = Refused(
            Reason.OVERLOADED, "The request was not completed. Send it again.", retry_after_ms=NOT_STARTED_RETRY_MS
        )
        await self._cleanup.after(refused, release)
        match started:
            case Replay():
                return self._replay(admitted.admission, started)
            case ReservationExpired() | IdInUse():
                raise refused

    async def _start(
        self,
        admitted: Admitted,
        verification_id: str,
        record: VerificationRecord,
        sealed_code: bytes | None,
        view: VerificationView,
    ) -> Started | ReservationExpired | IdInUse | Replay:
        """Start the verification; if the reply is lost, abandon it, because it may have started."""
        verifications, claim = self._dependencies.verifications, admitted.admission.idempotency
        response = self._responses.seal(claim, view) if claim else None
        try:
            return await verifications.start(admitted, verification_id, record, sealed_code, response)
        except BaseException as error:
            await self._cleanup.after(error, partial(verifications.abandon, admitted, verification_id))
            raise

    async def _new_record(
        self,
        request: CodeRequest,
        recipient: Recipient,
        admitted: Admitted,
        verification_id: str,
        provider: RoutedProvider,
    ) -> tuple[VerificationRecord, bytes | None]:
        """Make the code; return the record with its hash, and the code sealed for the outbox (None for a decoy)."""
        cipher = self._dependencies.cipher
        code, code_created_ms, expires_ms = self._code(request, admitted)
        code_hash, code_mask = await self._hash(request, admitted, verification_id, code)
        delivery = Delivery(provider.name, DeliveryStatus.QUEUED, admitted.now_ms, channel=provider.channel.value)
        record = VerificationRecord(
            tenant=request.tenant.name,
            purpose=request.purpose,
            recipient=admitted.admission.recipient,
            created_ms=admitted.now_ms,
            expires_ms=expires_ms,
            attempts_left=request.tenant.max_attempts,
            keeps_code=request.tenant.send_policy.reuse and not request.relayed_code,
            deliveries=() if request.decoy else (delivery,),
            key_id=cipher.key_id,
            code_hash=code_hash,
            phone=cipher.seal_recipient(verification_id, recipient.to),
            channel=request.channel,
            country=recipient.country,
            locale=request.locale,
            code_length=len(code),
            resend_ms=admitted.now_ms + request.tenant.send_policy.cooldown_seconds * 1000,
            sends_left=admitted.sends_left,
            code_created_ms=code_created_ms,
            app=request.app,
            code_mask=code_mask,
            events=self._event_targets(request, verification_id),
            guard=mark_of(admitted.guard),
        )
        content = SealedContent(code, request.link, request.text, request.bound.transaction)
        return record, None if request.decoy else cipher.seal_content(verification_id, content)

    async def _hash(self, request: CodeRequest, admitted: Admitted, verification_id: str, code: str) -> tuple[str, str]:
        """Return the hash of a code and its mask; both are "" for a code that another service verifies."""
        if request.relayed_code:
            return "", ""
        tenant, recipient = request.tenant.name, admitted.admission.recipient
        return await self._dependencies.cipher.hash_code(
            verification_id, tenant, recipient, request.purpose, code, bound=request.bound, caller=request.caller
        )

    def _event_targets(self, request: CodeRequest, verification_id: str) -> tuple[str, ...]:
        """Return the endpoints for the events of a verification. A decoy has none: events would reveal it."""
        targets, partition = request.tenant.event_targets, partition_of_id(verification_id)
        if request.decoy or not targets or partition is None:
            return ()
        reference = self._dependencies.cipher.seal_reference(verification_id, request.reference)
        return encode_targets(partition.events, reference, targets)

    def _code(self, request: CodeRequest, admitted: Admitted) -> tuple[str, int, int]:
        """Return a code, when it was made and when it expires, both in ms.

        The code of the active verification is sent again if the policy is `reuse` and enough of its time remains.
        """
        now, ttl_ms = admitted.now_ms, (request.ttl_seconds or request.tenant.send_policy.ttl_seconds) * 1000
        if request.relayed_code:
            return request.relayed_code, now, now + ttl_ms
        if (active := admitted.active) is not None and not active.record.is_relayed:
            expires_ms = min(now + ttl_ms, active.record.code_created_ms + MAX_CODE_AGE_MS)
            if expires_ms - now >= min(ttl_ms // 2, MIN_REMAINING_MS):
                with contextlib.suppress(DecryptionError):  # this replica does not have its key: make a new code
                    return self._active_code(active, request), active.record.code_created_ms, expires_ms
        return generate_code(request.tenant.code_length), now, now + ttl_ms

    def _active_code(self, active: ActiveVerification, request: CodeRequest) -> str:
        """Return the code of the active verification.

        For a decoy, or after one, it is a new code of the same length: a code that was really sent must not verify a
        decoy, and responses must not show which of the two a verification is. So it is for another transaction: the
        code of one must not be known as that of another (RTS (EU) 2018/389, Article 5 (1) (b)).
        """
        if not request.decoy and active.sealed_code:
            sent = self._dependencies.cipher.open_content(active.id, active.sealed_code, active.record)
            if sent.transaction == request.bound.transaction:
                return sent.code
        return generate_code(active.record.code_length)


def _check_text(request: CodeRequest, recipient: Recipient) -> None:
    """Check that the message contains the link and the transaction of the request; raises `Refused`.

    A text that the caller chose has neither, so it is refused for a purpose that demands a transaction.
    """
    request.tenant.check_transaction(request.bound.transaction, request.purpose)
    if not request.text:
        request.tenant.check_link(request.text_context(recipient.country), request.channel)


def _with_quotas(view: VerificationView, admission: Admission, own: tuple[QuotaState, ...] = ()) -> VerificationView:
    """Add what the caller may know of its limits: the policies, `own` states, and the sends left in the chain.

    When no send is left, no quota says so: a client that paces itself by quotas would stop for all recipients.
    """
    sends = (QuotaState("max_sends", view.sends_left, 0),) if view.sends_left else ()
    return msgspec.structs.replace(view, quotas=Quotas(advertised_policies(admission), (*sends, *own)))


def _first_available(admitted: Admitted) -> RoutedProvider:
    """Return the first provider of the route that can accept the message now.

    Raises:
        Refused: `spend_cap_reached`, when the tenant, the country or every provider is at a cap; `no_route`.
    """
    if admitted.tenant_capped_ms:
        detail = "The tenant's cap for today is reached. Request a code after `retry_after` seconds."
        raise Refused(Reason.SPEND_CAP_REACHED, detail, retry_after_ms=admitted.tenant_capped_ms)
    if admitted.country_capped_ms:
        detail = "The cap of this country for today is reached. Request a code after `retry_after` seconds."
        raise Refused(Reason.SPEND_CAP_REACHED, detail, retry_after_ms=admitted.country_capped_ms)
    for provider, (_, state) in zip(admitted.admission.route, admitted.providers, strict=True):
        if state.availability is Availability.OK and not state.capped_ms:
            return provider
    if admitted.providers and all(state.capped_ms for _, state in admitted.providers):
        detail = "The caps of all providers for this number are reached. Request a code after `retry_after` seconds."
        wait_ms = min(state.capped_ms for _, state in admitted.providers)
        raise Refused(Reason.SPEND_CAP_REACHED, detail, retry_after_ms=wait_ms)
    detail = "No provider can send to this number now. Request a code after `retry_after` seconds."
    waits = (max(state.retry_in_ms, state.capped_ms) for _, state in admitted.providers)
    raise Refused(Reason.NO_ROUTE, detail, retry_after_ms=min(waits, default=NO_ROUTE_RETRY_MS))
