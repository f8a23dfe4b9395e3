"""The courier carries messages from the outbox to gateways.

A request's own process takes its message at once, under the first lease. Beside that, every replica looks through
the outbox for what is due: retries, held messages, and what a dead replica left behind. `begin` is written down
right before the call, so a lease that lapsed before it is simply taken again, and one that lapsed after it is an
ambiguous outcome. A call's deadline ends well before its lease. Both are said again while the store does not answer:
what they say is true however often it is said, and a fact that is lost would make a second text, or none.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

from otp_service.delivery.compose import Composer
from otp_service.delivery.plan import Rules, Stop, Try, Wait, next_step
from otp_service.delivery.routes import Routes
from otp_service.domain.dispatch import Dispatch, Go, Held, Hindrance
from otp_service.domain.errors import Refused
from otp_service.domain.gateways import Provider
from otp_service.domain.outcomes import Delivered, DeliveryStatus, Outcome, Sending
from otp_service.domain.ports import Outbox, SealBroken
from otp_service.domain.text import segments
from otp_service.domain.transitions import Claimed, Settlement
from otp_service.domain.verification import Delivery
from otp_service.observability import LOG, METRICS

__all__ = ["SETTLE_MARGIN_MS", "Courier"]

LOOK_EVERY_SECONDS: Final = 0.5
AT_ONCE: Final = 256
SETTLE_MARGIN_MS: Final = 5_000
"""From the end of a call's deadline to the end of its lease: time to write the outcome down."""

LEASE_ON_MS: Final = 5_000
"""The lease while this replica goes on with the next provider at once."""

INSIST_SECONDS: Final = 30.0
"""For how long a store that is away is told again; past its lease a fact is still added, before a hold is over."""

INSIST_EVERY_SECONDS: Final = 0.25

T = TypeVar("T")


class Courier:
    """Picks messages up, asks providers in the order that the plan says, and writes down what they said."""

    def __init__(
        self,
        outbox: Outbox,
        dispatch: Dispatch,
        *,
        routes: Routes,
        providers: Mapping[str, Provider],
        composer: Composer,
        rules: Rules,
        places: Mapping[str, int],
    ) -> None:
        """Deliver what is in `outbox`, as `dispatch` lets it; `places` is how many calls a provider has at a time."""
        self._places = {name: asyncio.Semaphore(count) for name, count in places.items()}
        self._outbox = outbox
        self._dispatch = dispatch
        self._routes = routes
        self._providers = providers
        self._composer = composer
        self._rules = rules
        self._room = asyncio.Semaphore(AT_ONCE)
        self._carrying: set[asyncio.Task[None]] = set()
        self._round: asyncio.Task[None] | None = None
        self._ending = False

    def route(self, country: str, e164: str, message_id: str) -> tuple[str, ...]:
        """Name the providers for a message to a number (port `Outlet`)."""
        return self._routes.providers(country, e164, message_id)

    def deliver(self, message: Claimed) -> None:
        """Carry a message in the background (port `Outlet`)."""
        task = asyncio.create_task(self._carry_safely(message))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    def start(self) -> None:
        """Begin to look through the outbox."""
        self._round = asyncio.create_task(self._look_around(), name="courier")

    async def stop(self) -> None:
        """Take nothing more on; end when what is under way is written down."""
        self._ending = True
        if self._round is not None:
            self._round.cancel()
            await asyncio.gather(self._round, return_exceptions=True)
        while self._carrying:
            await asyncio.gather(*self._carrying, return_exceptions=True)

    async def _look_around(self) -> None:
        while True:
            try:
                claimed, oldest_ms, waiting = await self._outbox.claim()
                METRICS.outbox_age.set(oldest_ms / 1000)
                METRICS.outbox_waiting.set(waiting)
                for message in claimed:
                    self.deliver(message)
            except Refused as refused:
                LOG.warning("outbox_unreachable", reason=refused.reason.value)
            except Exception:
                LOG.exception("outbox_round_failed")
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def _carry_safely(self, message: Claimed) -> None:
        try:
            async with self._room:
                await self._carry(message)
        except Refused as refused:  # the store is away: the lease lapses and somebody takes it up again
            LOG.warning("delivery_interrupted", verification_id=message.id, reason=refused.reason.value)
        except Exception:
            LOG.exception("delivery_failed", verification_id=message.id)

    async def _carry(self, message: Claimed) -> None:
        deliveries, now_ms = {d.provider: d for d in message.record.deliveries}, message.now_ms
        lost = next((d for d in deliveries.values() if d.status == DeliveryStatus.SENDING), None)
        if lost is not None:
            await self._settle(message, deliveries, lost.provider, Delivered(Outcome.AMBIGUOUS), now_ms)
            return
        held: dict[str, Held] = {}
        while True:
            step = self._next(message, deliveries, now_ms, held)
            if not isinstance(step, Try):
                await self._rest(
                    message, deliveries, self._patient(message, deliveries, now_ms, held=held, step=step), held
                )
                return
            try:
                sending = self._composer.compose(message, now_ms)
            except (SealBroken, KeyError):
                LOG.error("message_unreadable", verification_id=message.id)
                await self._settle(message, deliveries, step.provider, Delivered(Outcome.CONFIG_ERROR), now_ms)
                return
            async with self._places[step.provider]:  # of our own calls, so that the shared places are not fought for
                go = await self._ask_leave(message, step.provider, sending, now_ms)
                if isinstance(go, Held):
                    held[step.provider] = go
                    continue
                answer, now_ms = await self._call(message, sending, go)
            if answer is None or not await self._settle(message, deliveries, step.provider, answer, now_ms):
                return

    async def _ask_leave(self, message: Claimed, provider: str, sending: Sending, now_ms: int) -> Go | Held:
        """Ask for a call to `provider`: circuit, pace, calls at a time, caps."""
        record = message.record
        return await self._dispatch.take(
            provider,
            record.tenant,
            message.id,
            country=sending.country,
            segments=segments(sending.text),
            patience_ms=max(0, record.expires_ms - now_ms - SETTLE_MARGIN_MS),
        )

    def _patient(
        self,
        message: Claimed,
        deliveries: Mapping[str, Delivery],
        now_ms: int,
        held: Mapping[str, Held],
        step: Wait | Stop,
    ) -> Wait | Stop:
        """Wait for the first provider that is free again, when they are all that stands in the way."""
        if not held or not isinstance(self._next(message, deliveries, now_ms, {}), Try):
            return step
        soonest = min(one.ms for one in held.values())
        if isinstance(step, Wait):
            soonest = min(soonest, step.ms)
        return Wait(soonest) if now_ms + soonest < message.record.expires_ms else Stop()

    def _next(
        self, message: Claimed, deliveries: Mapping[str, Delivery], now_ms: int, held: Mapping[str, Held]
    ) -> Try | Wait | Stop:
        """Ask the plan, about the providers that are not held."""
        record = message.record
        return next_step(
            tuple(deliveries.values()),
            [provider for provider in self._route_of(message) if provider not in held],
            self._rules,
            created_ms=record.created_ms,
            expires_ms=record.expires_ms,
            now_ms=now_ms,
        )

    def _route_of(self, message: Claimed) -> tuple[str, ...]:
        try:
            return self._routes.providers(message.record.country, self._composer.number(message), message.id)
        except SealBroken:
            return ()

    async def _call(self, message: Claimed, sending: Sending, go: Go) -> tuple[Delivered | None, int]:
        """Mark, call, and say what came of it and when; None: the message is somebody else's or must not be sent."""
        provider = self._providers[go.provider]
        deadline_ms = int(provider.timeout_seconds * 1000) + SETTLE_MARGIN_MS
        begun = await self._insist(
            lambda: self._outbox.begin(message.id, message.record.lease, go.provider, deadline_ms)
        )
        if begun is None:
            await self._dispatch.done(go, None)
            return None, go.charged_ms
        started = asyncio.get_running_loop().time()
        answer = await _ask(provider, sending)
        took_ms = int((asyncio.get_running_loop().time() - started) * 1000)
        with contextlib.suppress(Refused):  # the store is away: the call's place lapses by itself
            await self._dispatch.done(go, answer.outcome)
        METRICS.deliveries.labels(go.provider, answer.outcome.value).inc()
        LOG.info(
            "delivery",
            verification_id=message.id,
            tenant=message.record.tenant,
            provider=go.provider,
            outcome=answer.outcome.value,
            duration_ms=took_ms,
        )
        return answer, begun.now_ms + took_ms

    async def _settle(
        self, message: Claimed, deliveries: dict[str, Delivery], provider: str, answer: Delivered, now_ms: int
    ) -> bool:
        """Write an outcome down together with what follows from it; True: go on with the next provider now."""
        outcome = answer.outcome
        error = "" if outcome is Outcome.ACCEPTED else outcome.value
        deliveries[provider] = Delivery(provider, _status(outcome), now_ms, error, answer.message_id)
        step = self._next(message, deliveries, now_ms, {})
        status = _status(outcome)
        if outcome.retryable and not isinstance(step, Stop):
            status = DeliveryStatus.QUEUED
        settlement = Settlement(
            provider=provider,
            status=status,
            error=error,
            message_id=answer.message_id,
            unsent=outcome.surely_unsent,
            due_in_ms=_due(step),
            forget=not self._composer.keeps_code(message),
        )
        await self._insist(lambda: self._outbox.settle(message.id, message.record.lease, settlement))
        return isinstance(step, Try)

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

    async def _rest(
        self, message: Claimed, deliveries: Mapping[str, Delivery], step: Wait | Stop, held: Mapping[str, Held]
    ) -> None:
        """Put the message back for later, or take it out: nobody can be asked any more."""
        last = max(deliveries.values(), key=lambda d: d.at_ms, default=None)
        if last is None:
            return
        failed = last.status == DeliveryStatus.QUEUED and isinstance(step, Stop)
        settlement = Settlement(
            provider=last.provider,
            status=DeliveryStatus.FAILED if failed else DeliveryStatus(last.status),
            error=last.error or (_hindered(held).value if failed else ""),
            message_id=last.message_id,
            due_in_ms=_due(step),
            forget=not self._composer.keeps_code(message),
        )
        await self._outbox.settle(message.id, message.record.lease, settlement)


def _status(outcome: Outcome) -> DeliveryStatus:
    match outcome:
        case Outcome.ACCEPTED:
            return DeliveryStatus.SENT
        case Outcome.AMBIGUOUS:
            return DeliveryStatus.UNKNOWN
        case _:
            return DeliveryStatus.FAILED


def _hindered(held: Mapping[str, Held]) -> Outcome:
    """Say why nobody was asked: no route any more, a cap or a queue, or open circuits."""
    if not held:
        return Outcome.CONFIG_ERROR
    shut = all(one.why is Hindrance.OPEN for one in held.values())
    return Outcome.TRANSIENT if shut else Outcome.THROTTLED


def _due(step: Try | Wait | Stop) -> int | None:
    match step:
        case Try():
            return LEASE_ON_MS
        case Wait(ms):
            return ms
        case Stop():
            return None


async def _ask(provider: Provider, sending: Sending) -> Delivered:
    """Call the gateway; a provider that breaks may have sent."""
    try:
        return await provider.send(sending)
    except Exception as problem:
        LOG.error("provider_broke", provider=provider.name, kind=type(problem).__name__)
        return Delivered(Outcome.AMBIGUOUS)
