"""The courier watches the outbox: what is due is claimed, and each message carried in a task of its own.

A request's own process takes its message at once, under the first lease. Beside that, every replica looks through the
whole outbox twice a second for what others left behind, and, for what it put back itself, looks there at the very
moment that it is due: a gateway's pace is kept by waking up, not by looking often. How many messages are carried at a
time is not bounded here but by each gateway's places, so that a slow one holds nobody up but its own.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Sequence
from typing import Final

from otp_service.delivery.dispatcher import Dispatcher
from otp_service.delivery.routing import Routes
from otp_service.domain.errors import Refused
from otp_service.domain.ports import Outbox
from otp_service.domain.results import ClaimedMessage
from otp_service.observability import LOG, METRICS

__all__ = ["OutboxWorker"]

POLL_INTERVAL_SECONDS: Final = 0.5


class OutboxWorker:
    """Picks messages up and has them carried (port `MessageQueue`)."""

    def __init__(self, outbox: Outbox, dispatcher: Dispatcher, routes: Routes) -> None:
        """Look into `outbox`; hand to `dispatcher` what is due."""
        self._outbox = outbox
        self._carrier = dispatcher
        self._routes = routes
        self._carrying: set[asyncio.Task[None]] = set()
        self._due: list[tuple[float, str]] = []
        self._sooner = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None
        self._ending = False

    def route(self, country: str, e164: str, message_id: str) -> tuple[str, ...]:
        """Name the providers for a message to a number (port `MessageQueue`)."""
        return self._routes.providers(country, e164, message_id)

    def deliver(self, message: ClaimedMessage) -> None:
        """Carry a message in the background (port `MessageQueue`)."""
        task = asyncio.create_task(self._carry(message))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    def start(self) -> None:
        """Begin to look through the outbox."""
        self._watch = asyncio.create_task(self._look_around(), name="courier")

    async def stop(self) -> None:
        """Take nothing more on; end when what is under way is written down."""
        self._ending = True
        self._carrier.end()
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        while self._carrying:
            await asyncio.gather(*self._carrying, return_exceptions=True)

    async def _look_around(self) -> None:
        """Look everywhere now and then, and in between where something of ours is due."""
        loop = asyncio.get_running_loop()
        everywhere_at = loop.time()
        while True:
            try:
                if loop.time() >= everywhere_at:
                    everywhere_at = loop.time() + POLL_INTERVAL_SECONDS
                    await self._look_everywhere()
                elif ids := self._due_by(loop.time()):
                    self._deliver_all(await self._outbox.claim_near(ids))
            except Refused as refused:
                LOG.warning("outbox_unreachable", reason=refused.reason.value)
            except Exception:
                LOG.exception("outbox_round_failed")
            await self._sleep_until(everywhere_at)

    async def _look_everywhere(self) -> None:
        claimed, oldest_ms, waiting = await self._outbox.claim()
        METRICS.outbox_age.set(oldest_ms / 1000)
        METRICS.outbox_waiting.set(waiting)
        self._deliver_all(claimed)

    def _deliver_all(self, claimed: Sequence[ClaimedMessage]) -> None:
        for message in claimed:
            self.deliver(message)

    def _due_by(self, moment: float) -> set[str]:
        """Take out what is due by now."""
        ids = set()
        while self._due and self._due[0][0] <= moment:
            ids.add(heapq.heappop(self._due)[1])
        return ids

    async def _sleep_until(self, moment: float) -> None:
        """Sleep, at most until something of ours is due."""
        self._sooner.clear()
        if self._due:
            moment = min(moment, self._due[0][0])
        try:
            async with asyncio.timeout_at(moment):
                await self._sooner.wait()
        except TimeoutError:
            return

    async def _carry(self, message: ClaimedMessage) -> None:
        try:
            due_in_ms = await self._carrier.carry(message)
            if due_in_ms is not None and not self._ending:
                heapq.heappush(self._due, (asyncio.get_running_loop().time() + due_in_ms / 1000, message.id))
                self._sooner.set()
        except Refused as refused:  # the store is away: the lease lapses and somebody takes it up again
            LOG.warning("delivery_interrupted", verification_id=message.id, reason=refused.reason.value)
        except Exception:
            LOG.exception("delivery_failed", verification_id=message.id)
