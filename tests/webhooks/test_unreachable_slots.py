"""A worker whose store answers in part: one slot grants no lease, and the endpoint's shared state is not there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from otp_service.domain.errors import Reason, Refused
from otp_service.domain.events import (
    OPERATOR_EVENTS,
    AttemptResult,
    ClaimedEvent,
    DueEvents,
    EventState,
    StoredEvent,
)
from otp_service.webhooks.endpoint import Endpoint
from otp_service.webhooks.event_body import EventBodies
from otp_service.webhooks.webhook_worker import WebhookWorker
from tests.waits import wait_until
from tests.webhooks.webhook_receiver import WebhookReceiver

SLOTS = ("refusing", "first", "third")
EVENT = StoredEvent(
    code="n", at_ms=1, verification_id="", lease=1, attempts=0, result="", result_ms=0, state=EventState.WAITING,
    tenant="", key_id="", recipient="", reference="", facts={"cap": "tenant"},
)  # fmt: skip
"""An event of the operator, in which nothing is sealed."""


class PartlyReachableQueue:
    """A queue of three slots with two events each."""

    def __init__(self) -> None:
        self.waiting = dict.fromkeys(SLOTS, 2)
        self.asked: list[str] = []

    async def find_due(self) -> Sequence[DueEvents]:
        """Every slot is readable."""
        return [DueEvents(slot, "ops", count, count) for slot, count in self.waiting.items() if count]

    async def endpoint_states(self, endpoints: Sequence[str]) -> Sequence[None]:
        """No state can be reached."""
        return [None for _ in endpoints]

    async def claim(self, slot: str, endpoint: str, most: int, _lease_ms: int) -> Sequence[ClaimedEvent]:
        """One slot refuses every lease."""
        self.asked.append(slot)
        if slot == "refusing":
            raise Refused(Reason.STORE_UNAVAILABLE, "")
        numbers = range(self.waiting[slot])[:most]
        self.waiting[slot] -= len(numbers)
        return [ClaimedEvent(slot, endpoint, f"evt_{slot}-{self.waiting[slot]}-{number}", EVENT) for number in numbers]

    async def record(self, _claimed: ClaimedEvent, _result: AttemptResult) -> bool:
        """The event is recorded."""
        return True


async def test_the_other_slots_go_on(receiver: WebhookReceiver) -> None:
    """Their events are sent, however often the slot before them refuses; then it is asked again, and last."""
    queue = PartlyReachableQueue()
    endpoint = Endpoint("ops", receiver.url, [bytes(range(32))], frozenset(OPERATOR_EVENTS), allow_private_targets=True)
    worker = WebhookWorker(cast("Any", queue), [endpoint], EventBodies(cast("Any", None)))
    worker.start()
    await receiver.wait_for_calls(4, seconds=5)
    await wait_until(lambda: queue.asked.count("refusing") > 1, seconds=5)
    await worker.stop()

    assert sorted(event.id for event in receiver.events) == [
        "evt_first-0-0", "evt_first-0-1", "evt_third-0-0", "evt_third-0-1",
    ]  # fmt: skip
    assert queue.waiting == {"refusing": 2, "first": 0, "third": 0}


class SlowQueue(PartlyReachableQueue):
    """A queue that takes a second to find what is due, because a node does not reply; `asked` has these calls, too."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.waiting = {"first": 4}
        loop, self._late = asyncio.get_running_loop(), 0.0
        now = loop.time
        monkeypatch.setattr(loop, "time", lambda: now() + self._late)

    async def find_due(self) -> Sequence[DueEvents]:
        """Return what is due a second later."""
        self._late += 1
        self.asked.append("find_due")
        return await super().find_due()


async def test_a_slow_look_leaves_time_for_attempts(receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has found is sent before the next one, as after a quick one, and not one attempt of each endpoint."""
    queue = SlowQueue(monkeypatch)
    endpoint = Endpoint(
        "ops",
        receiver.url,
        [bytes(range(32))],
        frozenset(OPERATOR_EVENTS),
        allow_private_targets=True,
        max_concurrent=1,
    )
    worker = WebhookWorker(cast("Any", queue), [endpoint], EventBodies(cast("Any", None)))
    worker.start()
    await receiver.wait_for_calls(4, seconds=5)
    await worker.stop()

    assert queue.asked == ["find_due", *["first"] * 4]
