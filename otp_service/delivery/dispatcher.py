"""The carrier takes one message as far as it goes now: the plan says to whom, the store says whether, a provider sends.

`begin` is written down right before the call, so a lease that lapsed before it is simply taken again, and one that
lapsed after it is an ambiguous outcome. A call's deadline ends well before its lease. `begin` and `record_result` are
repeated while the store does not answer: both may be repeated without harm, and a result that is lost would
make a second text, or none. A message that has to wait, for its turn, a pause or a report, waits in the outbox.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final, TypeVar

from otp_service.delivery.composer import Composer
from otp_service.delivery.delivery_state import DeliveryState
from otp_service.delivery.provider_calls import ask, send
from otp_service.delivery.retry_policy import (
    CallProvider,
    Finish,
    RetryRules,
    WaitFor,
    next_step,
    report_query_delay_ms,
)
from otp_service.delivery.routing import Routes
from otp_service.domain.errors import Refused
from otp_service.domain.message import DeliveryReport, OutboundMessage, SendResult
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.ports import Outbox, SealBroken
from otp_service.domain.provider_policy import DeferReason, Deferred, Permit, ProviderLimiter
from otp_service.domain.results import ClaimedMessage, DeliveryUpdate, ReceiptEffect
from otp_service.domain.sms_segments import segments
from otp_service.domain.verification import MAX_CODE_LIFE_MS, Delivery
from otp_service.observability import LOG, METRICS
from otp_service.providers.base import PollingProvider, Provider

__all__ = ["RECORD_MARGIN_MS", "Dispatcher"]

RECORD_MARGIN_MS: Final = 5_000
"""From the end of a call's deadline to the end of its lease: time to write the outcome down."""

CONTINUE_LEASE_MS: Final = 5_000
"""The lease while this replica goes on with the next provider at once."""

SLOT_WAIT_SECONDS: Final = 2.0
"""For how long a message waits here for one of our own calls to end; then in the outbox, before its lease lapses."""

SLOT_RETRY_MS: Final = 250

INSIST_SECONDS: Final = 30.0
"""For how long a store that is away is told again; past its lease a fact is still added, before a hold is over."""

INSIST_EVERY_SECONDS: Final = 0.25

T = TypeVar("T")
Step = CallProvider | WaitFor | Finish


class Dispatcher:
    """Asks providers in the order that the plan says, and writes down what they said."""

    def __init__(
        self,
        outbox: Outbox,
        limiter: ProviderLimiter,
        *,
        routes: Routes,
        providers: Mapping[str, Provider],
        composer: Composer,
        rules: RetryRules,
        concurrency: Mapping[str, int],
    ) -> None:
        """Work on messages of `outbox`, as `limiter` lets it; `places`: how many calls a provider has at a time."""
        self._places = {name: asyncio.Semaphore(count) for name, count in concurrency.items()}
        self._outbox = outbox
        self._limiter = limiter
        self._routes = routes
        self._providers = providers
        self._composer = composer
        self._rules = rules
        self._ending = False

    def end(self) -> None:
        """Insist on nothing any more: what the store does not take now, another replica finds out."""
        self._ending = True

    async def carry(self, message: ClaimedMessage) -> int | None:
        """Take a message as far as it goes now: in how many ms it is due again, None when it is done."""
        way = DeliveryState(message, self._route_of(message))
        if not self._can_carry(way):
            await self._leave(way)
            return None
        step = await self._pick_up(way)
        while isinstance(step, CallProvider):
            step = await self._try(way, step.provider)
        return step.ms if isinstance(step, WaitFor) else None

    def _can_carry(self, way: DeliveryState) -> bool:
        """Say whether the config has all that the message needs. While one is rolled out, another replica's may."""
        asked = {delivery.provider for delivery in way.deliveries if delivery.status == DeliveryStatus.SENT}
        return bool(way.route) and asked <= set(self._providers) and self._composer.knows(way.message)

    async def _leave(self, way: DeliveryState) -> None:
        """Let another replica have the message; when there is none that can carry it, it fails as its code expires."""
        LOG.warning("message_left_to_others", verification_id=way.message.id, tenant=way.message.record.tenant)
        await self._insist(lambda: self._outbox.release_to_others(way.message.id, way.lease))

    def _route_of(self, message: ClaimedMessage) -> tuple[str, ...]:
        try:
            return self._routes.providers(message.record.country, self._composer.number(message), message.id)
        except SealBroken:
            return ()

    async def _pick_up(self, way: DeliveryState) -> Step:
        """Begin with what was left open: a call of which nothing was heard, or a report that is due."""
        if lost := way.at(DeliveryStatus.SENDING):
            return await self._conclude(way, lost.provider, lost.call, SendResult(Outcome.AMBIGUOUS))
        sent = way.at(DeliveryStatus.SENT)
        if sent and self._report_in(sent, way.now_ms) is not None:
            return await self._ask_report(way, sent)
        return await self._rest(way, self._next(way))

    async def _try(self, way: DeliveryState, name: str) -> Step:
        """Hand the message over to a provider, if it may be called now."""
        try:
            outbound = self._composer.compose(way.message, name, way.now_ms)
        except SealBroken:
            await self._leave(way)
            return Finish()
        place = self._places[name]  # of our own calls, so that the shared places are not fought for
        try:
            async with asyncio.timeout(SLOT_WAIT_SECONDS):
                await place.acquire()
        except TimeoutError:
            return await self._rest(way, WaitFor(SLOT_RETRY_MS))
        try:
            leave = await self._ask_leave(way, name, outbound)
            answer = leave if isinstance(leave, Deferred) else await self._call(way, outbound, leave)
        finally:
            place.release()
        if isinstance(answer, Deferred):
            return await self._held(way, name, answer)
        return Finish() if answer is None else await self._conclude(way, name, way.lease, answer)

    async def _ask_leave(self, way: DeliveryState, name: str, outbound: OutboundMessage) -> Permit | Deferred:
        """Ask for a call to a provider: circuit, pace, calls at a time, caps."""
        record = way.message.record
        return await self._limiter.acquire(
            name,
            record.tenant,
            way.message.id,
            country=outbound.country,
            segments=segments(outbound.text),
            max_wait_ms=max(0, record.expires_ms - way.now_ms - RECORD_MARGIN_MS),
            repeats=way.repeats(name),
        )

    async def _held(self, way: DeliveryState, name: str, held: Deferred) -> Step:
        """Wait for the provider's turn; when it takes nothing, or too late, ask the next one."""
        if held.reason is DeferReason.WAIT:
            return await self._rest(way, WaitFor(held.retry_in_ms))
        way.exclude(name, held)  # also at the tenant's cap: another provider may cost less
        return await self._rest(way, self._next(way))

    def _next(self, way: DeliveryState) -> Step:
        return next_step(way.deliveries, way.route, self._rules, way.life, way.shut)

    async def _call(self, way: DeliveryState, outbound: OutboundMessage, permit: Permit) -> SendResult | None:
        """Mark, call, and say what came of it; None: the message is somebody else's or must not be sent."""
        provider = self._providers[permit.provider]
        deadline_ms = int(provider.timeout_seconds * 1000) + RECORD_MARGIN_MS
        begun = None
        try:
            begun = await self._insist(
                lambda: self._outbox.begin(
                    way.message.id, way.lease, permit.provider, deadline_ms, idempotent_send=provider.idempotent_send
                )
            )
        finally:
            if begun is None:  # no call is made: it costs nothing
                await self._done(permit, None)
        if begun is None:
            return None
        way.set_clock(begun.now_ms)
        answer = await send(provider, outbound)
        await self._done(permit, answer)
        METRICS.deliveries.labels(permit.provider, answer.outcome.value).inc()
        LOG.info(
            "delivery",
            verification_id=way.message.id,
            tenant=way.message.record.tenant,
            provider=permit.provider,
            outcome=answer.outcome.value,
            duration_ms=way.now_ms - begun.now_ms,
        )
        return answer

    async def _done(self, permit: Permit, answer: SendResult | None) -> None:
        with contextlib.suppress(Refused):  # the store is away: the call's place lapses by itself
            await self._limiter.release(permit, answer)

    async def _conclude(self, way: DeliveryState, name: str, call: int, answer: SendResult) -> Step:
        """Write down what a provider said together with what follows from it."""
        outcome = answer.outcome
        news = DeliveryUpdate(
            provider=name,
            call=call,
            status=_status(outcome),
            error="" if outcome is Outcome.ACCEPTED else outcome.value,
            provider_message_id=answer.provider_message_id,
            again_in_ms=int(min((answer.retry_after or 0) * 1000, MAX_CODE_LIFE_MS)) if outcome.retryable else 0,
        )
        report_in = self._report_in(way.learn(news), way.now_ms)
        step = self._next(way)
        if outcome.retryable and not isinstance(step, Finish):
            news = replace(news, status=DeliveryStatus.QUEUED)
        if isinstance(step, Finish) and report_in is not None:
            step = WaitFor(report_in)
        return await self._settle(way, step, news)

    def _report_in(self, delivery: Delivery, now_ms: int) -> int | None:
        """Say in how many ms a message's report is asked for; None where there is none to ask for."""
        provider = self._providers.get(delivery.provider)
        if (
            delivery.status != DeliveryStatus.SENT
            or not delivery.provider_message_id
            or not isinstance(provider, PollingProvider)
        ):
            return None
        first_ms = int(provider.first_report_seconds * 1000)
        return report_query_delay_ms(delivery.at_ms, now_ms, first_ms) if first_ms else None

    async def _ask_report(self, way: DeliveryState, sent: Delivery) -> Step:
        """Ask what became of a message; what was not delivered goes to the next provider."""
        provider = self._providers[sent.provider]
        assert isinstance(provider, PollingProvider)  # noqa: S101 - `_report_in` found one
        deadline_ms = int(provider.timeout_seconds * 1000) + RECORD_MARGIN_MS
        await self._rest(way, WaitFor(deadline_ms))  # nobody else asks meanwhile
        report = await ask(provider, lambda: provider.fetch_report(sent.provider_message_id), DeliveryReport(None))
        if report.status not in (DeliveryStatus.DELIVERED, DeliveryStatus.UNDELIVERED):
            return await self._rest(way, WaitFor(self._report_in(sent, way.now_ms) or CONTINUE_LEASE_MS))
        error = report.error.value if report.error else ""
        news = DeliveryUpdate(provider=sent.provider, call=sent.call, status=report.status, error=error)
        way.learn(news)
        METRICS.receipts.labels(sent.provider, report.status.value, ReceiptEffect.NOTED.value).inc()
        LOG.info(
            "report", verification_id=way.message.id, provider=sent.provider, status=report.status.value, error=error
        )
        return await self._settle(way, self._next(way), news)

    async def _rest(self, way: DeliveryState, step: Step) -> Step:
        """Put the message back for later, or take it out when nobody can be asked any more; nothing is news."""
        return step if isinstance(step, CallProvider) else await self._settle(way, step, DeliveryUpdate())

    async def _settle(self, way: DeliveryState, step: Step, news: DeliveryUpdate) -> Step:
        """Write down news, and when the message is due by `step`."""
        forget = not any(self._may_be_told(delivery) for delivery in way.deliveries)
        whole = replace(news, due_in_ms=_due(step), unasked=way.hindrance, forget=forget)
        await self._insist(lambda: self._outbox.record_result(way.message.id, way.lease, whole))
        return step

    def _may_be_told(self, delivery: Delivery) -> bool:
        """Say whether a receipt may still bring the message back: it was not delivered after all."""
        provider = self._providers.get(delivery.provider)
        doubtful = delivery.status in (DeliveryStatus.SENT, DeliveryStatus.UNKNOWN)
        return doubtful and (
            provider is None or provider.reports_delivery
        )  # one that is not configured here may be elsewhere

    async def _insist(self, say: Callable[[], Awaitable[T]]) -> T:
        """Say something to the store until it answers, for a while; it must bear to be told twice."""
        loop = asyncio.get_running_loop()
        until = loop.time() + INSIST_SECONDS
        while True:
            try:
                return await say()
            except Refused:
                if self._ending or loop.time() >= until:
                    raise
            await asyncio.sleep(INSIST_EVERY_SECONDS)


def _status(outcome: Outcome) -> DeliveryStatus:
    match outcome:
        case Outcome.ACCEPTED:
            return DeliveryStatus.SENT
        case Outcome.AMBIGUOUS:
            return DeliveryStatus.UNKNOWN
        case _:
            return DeliveryStatus.FAILED


def _due(step: Step) -> int | None:
    match step:
        case CallProvider():
            return CONTINUE_LEASE_MS
        case WaitFor(ms):
            return ms
        case Finish():
            return None
