"""Takes one claimed message through the providers of its routes.

Three parts share the work: `retry_policy` decides the next step, `OutboxWriter` records it, and the dispatcher calls
the providers. The outbox records the start of a call right before the call (`begin`). So a lease that expires before
`begin` can simply be claimed again, and one that expires after it is an ambiguous outcome. The timeout of a call ends
well before its lease. A message that has to wait (for a provider's limits, a backoff or a delivery report) waits in
the outbox, not in this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Final

from msgspec.structs import replace

from otp_service.crypto.keyring import DecryptionError
from otp_service.delivery.composer import Composer
from otp_service.delivery.conversion_tracker import ConversionTracker
from otp_service.delivery.delivery_state import DeliveryState
from otp_service.delivery.message_lookup import find_message, searchable
from otp_service.delivery.outbox_writer import RECORD_MARGIN_MS, OutboxWriter, lease_ms
from otp_service.delivery.provider_calls import acquire_slot, send
from otp_service.delivery.report_polling import correct_charge, pollable, polling_provider, query_delay_ms, query_report
from otp_service.delivery.retry_policy import (
    CallProvider,
    Finish,
    RetryRules,
    Step,
    WaitFor,
    next_step,
    update_for,
)
from otp_service.delivery.routing import Routes
from otp_service.delivery.short_links import ShortLinks
from otp_service.domain.errors import Refused
from otp_service.domain.message import OutboundMessage, SendResult
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.ports import Outbox
from otp_service.domain.provider_policy import DeferReason, Deferred, Permit, ProviderLimiter
from otp_service.domain.results import ClaimedMessage, DeliveryUpdate, ReceiptEffect
from otp_service.domain.verification import Delivery
from otp_service.observability import LOG, METRICS
from otp_service.providers.base import PollingProvider, Provider

__all__ = ["Dispatcher"]

SLOT_RETRY_MS: Final = 250
"""After how many ms a message is due again when no call ended in that time."""


class Dispatcher:
    """Calls providers in the order that the retry policy decides, and records the results."""

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
        conversion: ConversionTracker,
    ) -> None:
        """Deliver the messages of `outbox` within `limiter`.

        `concurrency` is the number of simultaneous calls of this process to each provider; `conversion` counts what
        providers have accepted.
        """
        self._limiter = limiter
        self._routes = routes
        self._providers = providers
        self._pollable = pollable(providers)
        self._searchable = searchable(providers)
        self._composer = composer
        self._rules = rules
        self._slots = {name: asyncio.Semaphore(count) for name, count in concurrency.items()}
        self._conversion = conversion
        self._short_links = ShortLinks()
        self._writer = OutboxWriter(outbox, providers, rules.channel_hold_ms)

    def stop_retrying(self) -> None:
        """Write each result only once from now on; another replica resumes what could not be recorded."""
        self._writer.stop_retrying()

    async def deliver(self, message: ClaimedMessage) -> int | None:
        """Take a message as far as possible now.

        Returns:
            In how many ms the message is due again; None when this replica is done with it.

        Raises:
            Refused: The store is unavailable. The lease expires, and any replica resumes the message.
        """
        state = self._open(message)
        if not self._is_configured(state):
            await self._writer.release_to_others(state)
            return None
        step = await self._resume(state)
        while isinstance(step, CallProvider):
            step = await self._call_provider(state, step.provider)
        return step.ms if isinstance(step, WaitFor) else None

    def _open(self, message: ClaimedMessage) -> DeliveryState:
        """Open the recipient and select the routes; without the recipient there is none."""
        try:
            recipient = self._composer.open_recipient(message)
        except DecryptionError:
            return DeliveryState(message, "", ())
        record = message.record
        selected = {one.channel or record.channel: one.provider for one in reversed(record.deliveries)}
        channels = self._composer.channels(message)
        routes = self._routes.by_channel(record.country, recipient, message.id, channels, selected)
        return DeliveryState(message, recipient, routes)

    def _is_configured(self, state: DeliveryState) -> bool:
        """Return whether this replica's config has the route, the tenant and the providers of the message.

        While a new config is rolled out, another replica's config may have them.
        """
        sent = {delivery.provider for delivery in state.deliveries if delivery.status == DeliveryStatus.SENT}
        return bool(state.routes) and sent <= self._providers.keys() and self._composer.has_tenant(state.message)

    async def _resume(self, state: DeliveryState) -> Step:
        """Complete the work of an earlier lease: a call without a recorded result, or a report that is due."""
        if state.is_queued:
            return await self._reschedule(state, self._next(state))
        for interrupted in state.find_all(DeliveryStatus.SENDING):
            ambiguous = SendResult(Outcome.AMBIGUOUS)
            return await self._record_result(state, interrupted.provider, interrupted.call, ambiguous)
        for provider, sent in self._unreported(state):
            return await self._query_report(state, provider, sent)
        for unknown in state.find_all(DeliveryStatus.UNKNOWN):
            if unknown.provider in self._searchable:
                return await self._look_up(state, unknown)
        return await self._reschedule(state, self._next(state))

    def _unreported(self, state: DeliveryState) -> list[tuple[PollingProvider, Delivery]]:
        """Return the deliveries whose report is still to be queried, the most recent first."""
        return [
            (provider, sent)
            for sent in state.find_all(DeliveryStatus.SENT)
            if (provider := polling_provider(self._pollable, sent))
        ]

    def _next_or_query(self, state: DeliveryState) -> Step:
        """Return the next step; a message that waits or is finished is due at its next report query at the latest."""
        step = self._next(state)
        delays = [query_delay_ms(provider, sent, state.now_ms) for provider, sent in self._unreported(state)]
        match step:
            case WaitFor(ms):
                return WaitFor(min([ms, *delays]))
            case Finish() if delays:
                return WaitFor(min(delays))
            case _:
                return step

    async def _call_provider(self, state: DeliveryState, name: str) -> Step:
        """Send the message through a provider if it may be called now, and record the result."""
        if await self._writer.leave_to_holder(state, name):
            return Finish()
        try:
            channel = state.channel_of(name)
            outbound = self._composer.compose(state.message, state.recipient, channel, name, state.now_ms)
        except DecryptionError:
            await self._writer.release_to_others(state)
            return Finish()
        slots = self._slots[name]  # of this process, so that it does not compete with itself for the shared limit
        if not await acquire_slot(slots):
            return await self._reschedule(state, WaitFor(SLOT_RETRY_MS))
        try:
            permit = await self._acquire_permit(state, name, outbound)
            if isinstance(permit, Permit):
                return await self._send_and_record(state, outbound, permit)
        finally:
            slots.release()
        return await self._defer(state, name, permit)

    async def _send_and_record(self, state: DeliveryState, outbound: OutboundMessage, permit: Permit) -> Step:
        """Send the message; release the permit and record the result in one round trip to the store."""
        result = await self._send(state, outbound, permit)
        if result is None:
            return Finish()
        releasing = asyncio.create_task(self._release_permit(permit, result))
        try:
            return await self._record_result(state, permit.provider, state.lease, result)
        finally:
            await releasing

    def _acquire_permit(
        self, state: DeliveryState, name: str, outbound: OutboundMessage
    ) -> Awaitable[Permit | Deferred]:
        record = state.message.record
        return self._limiter.acquire(
            name,
            record.tenant,
            state.message.id,
            country=outbound.country,
            segments=outbound.segments,
            max_wait_ms=max(0, record.expires_ms - state.now_ms - RECORD_MARGIN_MS),
            repeats=state.is_repeat(name),
        )

    async def _defer(self, state: DeliveryState, name: str, deferred: Deferred) -> Step:
        """Wait in the provider's queue, or try the next provider if this one takes no calls for longer."""
        if deferred.reason is DeferReason.WAIT:
            return await self._reschedule(state, WaitFor(deferred.retry_in_ms))
        state.exclude(name, deferred)  # also at the tenant's cap: another provider may cost less
        return await self._reschedule(state, self._next(state))

    async def _send(self, state: DeliveryState, outbound: OutboundMessage, permit: Permit) -> SendResult | None:
        """Record the start of the call and make it; the caller releases the permit.

        Returns:
            The result; None if the message must not be sent by this replica now.
        """
        provider = self._providers[permit.provider]
        started = None
        try:
            started = await self._writer.begin(state, permit.provider, outbound.segments)
        finally:
            if started is None:  # no call is made, so it costs nothing
                await self._release_permit(permit, None)
        if started is None:
            return None
        state.set_clock(started.now_ms)
        result = await send(provider, await self._short_links.apply(provider, outbound))
        METRICS.deliveries.labels(permit.provider, str(result.outcome)).inc()
        LOG.info(
            "delivery",
            verification_id=state.message.id,
            tenant=state.message.record.tenant,
            provider=permit.provider,
            channel=str(outbound.channel),
            outcome=str(result.outcome),
            duration_ms=state.now_ms - started.now_ms,
        )
        if result.outcome is Outcome.ACCEPTED:
            self._conversion.count_sent(permit.provider, state.recipient, state.message.record)
        return result

    async def _release_permit(self, permit: Permit, result: SendResult | None) -> None:
        try:
            await self._limiter.release(permit, result)
        except Refused:  # the store is unavailable: the permit expires by itself
            return

    async def _record_result(self, state: DeliveryState, name: str, call: int, result: SendResult) -> Step:
        """Record the result of a call together with the next step that follows from it."""
        update = update_for(name, call, result)
        state.apply(update)
        if result.outcome.retryable and not isinstance(self._next(state), Finish):
            update = replace(update, status=DeliveryStatus.QUEUED)
        return await self._writer.record(state, self._next_or_query(state), update)

    async def _query_report(self, state: DeliveryState, provider: PollingProvider, sent: Delivery) -> Step:
        """Query the delivery report of a message; an undelivered message goes to the next provider."""
        await self._reschedule(state, WaitFor(lease_ms(provider)))  # no other replica queries meanwhile
        report = await query_report(provider, sent)
        await correct_charge(self._limiter, sent.provider, state.message.id, report)
        if report.status not in (DeliveryStatus.DELIVERED, DeliveryStatus.UNDELIVERED):
            return await self._reschedule(state, self._next_or_query(state))
        error = report.error.value if report.error else ""
        update = DeliveryUpdate(provider=sent.provider, call=sent.call, status=report.status, error=error)
        state.apply(update)
        METRICS.receipts.labels(sent.provider, report.status.value, ReceiptEffect.NOTED.value).inc()
        LOG.info(
            "delivery_report",
            verification_id=state.message.id,
            provider=sent.provider,
            status=report.status.value,
            error=error,
        )
        return await self._writer.record(state, self._next(state), update)

    async def _look_up(self, state: DeliveryState, unknown: Delivery) -> Step:
        """Ask a gateway whether it accepted a message, before another provider is called."""
        step = self._next(state)
        if not isinstance(step, CallProvider):
            return await self._reschedule(state, step)
        provider = self._searchable[unknown.provider]
        await self._reschedule(state, WaitFor(lease_ms(provider)))  # no other replica works on it meanwhile
        found = await find_message(provider, state.recipient, state.message.record)
        if not found:
            return await self._reschedule(state, self._next(state))
        return await self._record_result(state, unknown.provider, unknown.call, SendResult(Outcome.ACCEPTED, found))

    async def _reschedule(self, state: DeliveryState, step: Step) -> Step:
        """Record when the message is due again, or that it is done; a call that follows at once needs no record."""
        return step if isinstance(step, CallProvider) else await self._writer.record(state, step)

    def _next(self, state: DeliveryState) -> Step:
        return next_step(state.deliveries, state.routes, self._rules, state.lifetime, state.excluded)
