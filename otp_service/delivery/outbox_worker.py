"""Claims messages that are due in the outbox and delivers each in a task of its own.

The process that served the request delivers the message at once, under its first lease. In addition, every replica
polls the whole outbox for messages that others left, and wakes up exactly when a message that it rescheduled itself
is due, so that the rate of a provider is kept without frequent polling. The number of concurrent deliveries is limited
only per provider, so a slow gateway delays no other.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Sequence
from functools import partial
from typing import Final

from otp_service.delivery.conversion_feedback import ConversionFeedback
from otp_service.delivery.conversion_tracker import ConversionTracker
from otp_service.delivery.dispatcher import Dispatcher
from otp_service.delivery.routing import Routes
from otp_service.domain.channel_route import ChannelRoute
from otp_service.domain.errors import Refused
from otp_service.domain.message import Channel
from otp_service.domain.ports import Outbox
from otp_service.domain.results import ClaimedMessage
from otp_service.domain.verification import VerificationRecord
from otp_service.observability import LOG, METRICS

__all__ = ["OutboxWorker"]

POLL_INTERVAL_SECONDS: Final = 0.5


class OutboxWorker:
    """The background loop of the delivery (port `MessageQueue`)."""

    def __init__(
        self,
        outbox: Outbox,
        dispatcher: Dispatcher,
        routes: Routes,
        conversion: ConversionTracker,
        feedback: ConversionFeedback,
    ) -> None:
        """Claim messages from `outbox` and deliver them by `dispatcher`.

        `conversion` counts verified codes, and `feedback` reports them to gateways.
        """
        self._outbox = outbox
        self._dispatcher = dispatcher
        self._routes = routes
        self._conversion = conversion
        self._feedback = feedback
        self._deliveries: set[asyncio.Task[int | None]] = set()
        self._rescheduled: list[tuple[float, str]] = []
        """A heap of pairs: the loop time at which a verification is due again, and its id."""
        self._wake_up = asyncio.Event()
        self._polling: asyncio.Task[None] | None = None
        self._stopping = False

    def routes(self, country: str, e164: str, message_id: str, channels: Sequence[Channel]) -> tuple[ChannelRoute, ...]:
        """Name the providers for a message to a number, in their order (port `MessageQueue`)."""
        return self._routes.by_channel(country, e164, message_id, channels)

    def count_verified(self, e164: str, record: VerificationRecord) -> None:
        """Count a verified code for the providers that had accepted the message, and report it to their gateways."""
        self._conversion.count_verified(e164, record)
        self._feedback.confirm(record)

    def deliver(self, message: ClaimedMessage) -> None:
        """Deliver a message in the background (port `MessageQueue`)."""
        task = asyncio.create_task(self._dispatcher.deliver(message))
        self._deliveries.add(task)
        task.add_done_callback(partial(self._end_delivery, message.id))

    def start(self) -> None:
        """Start to poll the outbox."""
        self._polling = asyncio.create_task(self._poll(), name="outbox-worker")
        self._conversion.start()
        self._feedback.start()

    async def stop(self) -> None:
        """Claim no more messages; return when the results of the current calls are recorded."""
        self._stopping = True
        self._dispatcher.stop_retrying()
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)
        while self._deliveries:
            await asyncio.gather(*self._deliveries, return_exceptions=True)
        await self._feedback.stop()
        await self._conversion.stop()

    async def _poll(self) -> None:
        """Claim everything that is due at each interval, and rescheduled messages as soon as they are due."""
        loop = asyncio.get_running_loop()
        next_poll = loop.time()
        while True:
            try:
                if loop.time() >= next_poll:
                    next_poll = loop.time() + POLL_INTERVAL_SECONDS
                    await self._claim_all()
                elif verification_ids := self._pop_rescheduled(loop.time()):
                    self._deliver_all(await self._outbox.claim_near(verification_ids))
            except Refused as refused:
                LOG.warning("outbox_unreachable", reason=refused.reason.value)
            except Exception:
                LOG.exception("outbox_poll_failed")
            await self._sleep_until(next_poll)

    async def _claim_all(self) -> None:
        claimed, oldest_ms, waiting = await self._outbox.claim()
        METRICS.outbox_age.set(oldest_ms / 1000)
        METRICS.outbox_waiting.set(waiting)
        self._deliver_all(claimed)

    def _deliver_all(self, claimed: Sequence[ClaimedMessage]) -> None:
        for message in claimed:
            self.deliver(message)

    def _pop_rescheduled(self, now: float) -> set[str]:
        """Remove and return the ids of the rescheduled messages that are due."""
        due = set()
        while self._rescheduled and self._rescheduled[0][0] <= now:
            due.add(heapq.heappop(self._rescheduled)[1])
        return due

    async def _sleep_until(self, next_poll: float) -> None:
        """Sleep until the next poll, or until a rescheduled message is due if that is earlier."""
        self._wake_up.clear()
        if self._rescheduled:
            next_poll = min(next_poll, self._rescheduled[0][0])
        try:
            async with asyncio.timeout_at(next_poll):
                await self._wake_up.wait()
        except TimeoutError:
            return

    def _end_delivery(self, verification_id: str, task: asyncio.Task[int | None]) -> None:
        """Reschedule a message if it is due again, or log why its delivery was interrupted."""
        self._deliveries.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, Refused):  # the store is unavailable: a replica claims the message when its lease expires
            LOG.warning("delivery_interrupted", verification_id=verification_id, reason=error.reason.value)
        elif error is not None:
            LOG.exception("delivery_failed", verification_id=verification_id, exc_info=error)
        elif (due_in_ms := task.result()) is not None and not self._stopping:
            due_at = asyncio.get_running_loop().time() + due_in_ms / 1000
            heapq.heappush(self._rescheduled, (due_at, verification_id))
            self._wake_up.set()
