"""One timer for the deadlines of many calls: each is refused at its own, and none that has its replies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from otp_service.domain.errors import Refused
from otp_service.store.call_batches import CallBatch, CallRequest, PendingReplies, ReplyDeadlines


class MovedClock:
    """What `ReplyDeadlines` uses of an event loop, with a time that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        """Return the time."""
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> object:
        """Set a timer, and return its handle."""
        self.timers.append((when, callback))
        return callback

    def move(self, now: float) -> None:
        """Let time pass, and fire the timers."""
        self.now = now
        due, self.timers = [one for one in self.timers if one[0] <= now], [one for one in self.timers if one[0] > now]
        for _, callback in due:
            callback()


async def test_each_call_is_refused_at_its_own_deadline() -> None:
    """There is never more than one timer; calls with replies are forgotten, and canceled ones stay canceled."""
    clock: Any = MovedClock()
    deadlines = ReplyDeadlines(clock, 1.0)
    loop = asyncio.get_running_loop()
    first, second, answered, canceled, last = (loop.create_future() for _ in range(5))
    for at, replies in enumerate((first, second, answered, canceled, last)):
        clock.move(at / 10)
        deadlines.start(replies)
        assert len(clock.timers) == 1
    canceled.cancel()
    batch = CallBatch([CallRequest((), answered, refuse_errors=False)])
    batch.answer(has_errors=False)
    deadlines.stop(batch)

    refused: list[list[PendingReplies]] = []
    for now in (0.99, 1.0, 1.1, 1.39, 1.4):
        clock.move(now)
        refused.append([one for one in (first, second, last) if one.done()])
        assert len(clock.timers) == (now < 1.4)

    assert refused == [[], [first], [first, second], [first, second], [first, second, last]]
    assert isinstance(last.exception(), Refused)
    assert answered.result() == []
    assert canceled.cancelled()
    deadlines.start(loop.create_future())
    assert len(clock.timers) == 1
