"""Delivers the events that wait in the store, to each endpoint independently of the others and of the messages.

Every replica looks for due events twice a second and leases as many as it may send at the same time. The process that
dies leaves its lease behind: another one sends the event again, under the same id. An endpoint that fails is called
less and less by all replicas, with one attempt at a time until it accepts an event. Where a part of the store cannot be
reached, the events of the other parts go on; an endpoint whose shared state is there is treated as this process knows
it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from otp_service.domain.errors import Refused
from otp_service.domain.events import AttemptResult, ClaimedEvent, DueEvents, EndpointState, WebhookQueue
from otp_service.observability import LOG, METRICS
from otp_service.webhooks.attempt_schedule import EndpointResponse, conclude
from otp_service.webhooks.endpoint import Endpoint
from otp_service.webhooks.event_body import EventBodies
from otp_service.webhooks.sender import WebhookSender

__all__ = ["WebhookWorker"]

POLL_INTERVAL_SECONDS: Final = 0.5

RECORD_MARGIN_SECONDS: Final = 10.0
"""From the timeout of an attempt to the end of its lease: the time to record its result."""

STOP_SECONDS: Final = 5.0
"""How long a process that stops waits for the attempts in progress."""

RECORD_RETRY_SECONDS: Final = 0.25

STATUS_CLASSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx")


class WebhookWorker:
    """The background loop of this process."""

    def __init__(
        self,
        queue: WebhookQueue,
        endpoints: Sequence[Endpoint],
        bodies: EventBodies,
        make_sender: Callable[[Endpoint], WebhookSender] = WebhookSender,
    ) -> None:
        """Deliver the events of `queue` to `endpoints`."""
        self._queue = queue
        self._bodies = bodies
        self._runs = {one.name: _EndpointRuns(one, make_sender(one)) for one in endpoints}
        self._attempts: set[asyncio.Task[None]] = set()
        self._wake_up = asyncio.Event()
        self._polling: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self) -> None:
        """Start, if there is an endpoint."""
        if self._runs:
            self._polling = asyncio.create_task(self._poll(), name="webhook-worker")

    async def stop(self) -> None:
        """Lease no more events, and wait for the attempts in progress for a while; the rest is sent again later."""
        self._stopping = True
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)
        if self._attempts:
            _, unfinished = await asyncio.wait(self._attempts, timeout=STOP_SECONDS)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
        for runs in self._runs.values():
            await runs.sender.close()

    async def _poll(self) -> None:
        """Look for due events at each interval, and lease more of those that were found as soon as attempts end."""
        loop = asyncio.get_running_loop()
        next_look = loop.time()
        while True:
            self._wake_up.clear()
            try:
                if loop.time() >= next_look:
                    try:
                        await self._look()
                    finally:  # from its end on: a node that does not reply makes it slow
                        next_look = loop.time() + POLL_INTERVAL_SECONDS
                for runs in self._runs.values():
                    await self._fill(runs)
            except Refused as refused:
                LOG.warning("webhooks_unreachable", reason=refused.reason.value)
            except Exception:
                LOG.exception("webhook_poll_failed")
            try:
                async with asyncio.timeout_at(next_look):
                    await self._wake_up.wait()
            except TimeoutError:
                continue

    async def _look(self) -> None:
        """Read what is due, and the state of the endpoints that have due events."""
        found: defaultdict[str, list[DueEvents]] = defaultdict(list)
        for one in await self._queue.find_due():
            found[one.endpoint].append(one)
        for name, runs in self._runs.items():
            runs.note(found[name])
        wanted = [runs for runs in self._runs.values() if runs.due or not runs.is_known]
        states = await self._queue.endpoint_states([runs.endpoint.name for runs in wanted])
        for runs, state in zip(wanted, states, strict=True):
            if state is None:
                runs.keep_state()
            else:
                runs.set_state(state)

    async def _fill(self, runs: _EndpointRuns) -> None:
        """Lease due events while the endpoint may have more attempts."""
        while runs.free > 0 and runs.due and not self._stopping:
            slot, count = next(iter(runs.due.items()))
            most = min(count, runs.free)
            lease_ms = int((runs.endpoint.timeout_seconds + RECORD_MARGIN_SECONDS) * 1000)
            try:
                claimed = await self._queue.claim(slot, runs.endpoint.name, most, lease_ms)
            except Refused as refused:
                runs.put_last(slot)
                LOG.warning("webhooks_unreachable", endpoint=runs.endpoint.name, reason=refused.reason.value)
                return
            runs.claimed(slot, most, len(claimed))
            for one in claimed:
                self._start_attempt(runs, one)

    def _start_attempt(self, runs: _EndpointRuns, claimed: ClaimedEvent) -> None:
        runs.running += 1
        task = asyncio.create_task(self._deliver(runs, claimed))
        self._attempts.add(task)

        def end(task: asyncio.Task[None]) -> None:
            self._attempts.discard(task)
            runs.running -= 1
            self._wake_up.set()

        task.add_done_callback(end)

    async def _deliver(self, runs: _EndpointRuns, claimed: ClaimedEvent) -> None:
        """Make one attempt and record its end. Without a record, the lease ends and the event is sent again."""
        event, started = claimed.event, time.monotonic()
        try:
            response = await self._send(runs, claimed)
            result = conclude(response, event.attempts, runs.state.failures, random.random())  # noqa: S311 - no secret
            runs.apply(result)
            METRICS.webhook_attempts.labels(runs.endpoint.name, _result_class(response)).inc()
            LOG.info(
                "webhook_attempt",
                endpoint=runs.endpoint.name,
                event_id=claimed.id,
                type=event.type.value,
                attempt=event.attempts + 1,
                result=result.result,
                duration_ms=int((time.monotonic() - started) * 1000),
            )
            await self._record(runs, claimed, result)
        except Refused as refused:
            LOG.warning("webhook_not_recorded", event_id=claimed.id, reason=refused.reason.value)
        except Exception:
            LOG.exception("webhook_failed", event_id=claimed.id)

    async def _send(self, runs: _EndpointRuns, claimed: ClaimedEvent) -> EndpointResponse:
        """Send an event; one that no body can be made of fails by the schedule, too, instead of at each lease."""
        try:
            body = self._bodies.build(claimed.event, full_recipient=runs.endpoint.full_recipient)
        except Exception:
            LOG.exception("webhook_not_built", event_id=claimed.id)
            return EndpointResponse(error="not_built")
        return await runs.sender.send(claimed.id, body)

    async def _record(self, runs: _EndpointRuns, claimed: ClaimedEvent, result: AttemptResult) -> None:
        """Record the end of an attempt; repeat it while the store is not available and the lease lasts."""
        until = time.monotonic() + RECORD_MARGIN_SECONDS / 2
        while True:
            try:
                recorded = await self._queue.record(claimed, result)
                break
            except Refused:
                if self._stopping or time.monotonic() >= until:
                    raise
            await asyncio.sleep(RECORD_RETRY_SECONDS)
        if recorded and (result.accepted or result.retry_ms is None):
            METRICS.webhook_events.labels(runs.endpoint.name, "delivered" if result.accepted else "given_up").inc()
            if not result.accepted:
                LOG.error("webhook_given_up", endpoint=runs.endpoint.name, event_id=claimed.id, result=result.result)


class _EndpointRuns:
    """What this process knows of one endpoint: what is due where, the attempts in progress, and its shared state."""

    def __init__(self, endpoint: Endpoint, sender: WebhookSender) -> None:
        self.endpoint = endpoint
        self.sender = sender
        self.due: dict[str, int] = {}
        self.running = 0
        self.state = EndpointState()
        self.is_known = False
        self._is_reachable = True
        self._paused_until = 0.0
        self._refused: set[str] = set()

    def note(self, found: Sequence[DueEvents]) -> None:
        """Take over what was found for this endpoint, and set its metrics."""
        in_order = sorted(found, key=lambda one: one.slot in self._refused)
        self.due = {one.slot: one.due for one in in_order if one.due}
        METRICS.webhook_waiting.labels(self.endpoint.name).set(sum(one.waiting for one in found))
        if dropped := sum(one.dropped for one in found):
            METRICS.webhook_events.labels(self.endpoint.name, "dropped").inc(dropped)
            LOG.error("webhook_events_dropped", endpoint=self.endpoint.name, events=dropped)

    def set_state(self, state: EndpointState) -> None:
        """Take over the shared state."""
        self.state, self.is_known, self._is_reachable = state, True, True
        self._pause(state.paused_ms)
        METRICS.webhook_disabled.labels(self.endpoint.name).set(bool(state.disabled_ms))

    def keep_state(self) -> None:
        """Go on with the last known state, because the shared one cannot be reached; without one it is enabled."""
        if self._is_reachable:
            LOG.warning("webhook_endpoint_state_unreachable", endpoint=self.endpoint.name)
        self.is_known, self._is_reachable = True, False

    def _pause(self, ms: int) -> None:
        self._paused_until = time.monotonic() + ms / 1000

    @property
    def free(self) -> int:
        """How many attempts may begin now: none during a pause, one at a time after failures."""
        if self.state.disabled_ms or not self.is_known or time.monotonic() < self._paused_until:
            return 0
        return (1 if self.state.failures else self.endpoint.max_concurrent) - self.running

    def put_last(self, slot: str) -> None:
        """Note that a slot refused a lease: the next time, the others come before it."""
        del self.due[slot]
        self._refused.add(slot)

    def claimed(self, slot: str, wanted: int, found: int) -> None:
        """Note that events of a slot were leased; fewer than wanted: others have leased the rest."""
        self._refused.discard(slot)
        left = self.due.pop(slot) - found
        if found == wanted and left > 0:
            self.due[slot] = left  # at the end, so that the slots take turns

    def apply(self, result: AttemptResult) -> None:
        """Apply the end of an attempt, as the store will record it for all replicas."""
        if result.accepted:
            self.state = replace(self.state, failures=0)
            self._pause(0)
        else:
            self.state = replace(self.state, failures=self.state.failures + 1)
            self._paused_until = max(self._paused_until, time.monotonic() + result.pause_ms / 1000)
        if result.disables:
            self.state = replace(self.state, disabled_ms=self.state.disabled_ms or 1)


def _result_class(response: EndpointResponse) -> str:
    """Return the result as a label of a metric: a class of statuses, or the error."""
    if response.status is None:
        return response.error
    return STATUS_CLASSES[min(response.status // 100, len(STATUS_CLASSES)) - 1]
