"""The turn at a verification is never lost and never held twice, whatever ends the wait of an attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from otp_service.domain.errors import Refused
from otp_service.service import attempt_queue
from otp_service.service.attempt_queue import AttemptQueue

Submit = Callable[[asyncio.Event], asyncio.Task[str]]


@pytest.fixture
def turns() -> AttemptQueue:
    """Return an empty queue."""
    return AttemptQueue()


@pytest.fixture
def holders() -> list[str]:
    """Collect who has the turn."""
    return []


@pytest.fixture
def submit(turns: AttemptQueue, holders: list[str]) -> Submit:
    """Return a function that starts an attempt, which keeps the turn until the event is set."""

    async def attempt(go: asyncio.Event) -> str:
        try:
            async with turns.turn("a"):
                holders.append("held")
                assert len(holders) == 1, "two attempts have the turn"
                await go.wait()
                holders.clear()
        except Refused as refused:
            return refused.reason.value
        return "served"

    return lambda go: asyncio.create_task(attempt(go))


@pytest.mark.parametrize("yields", [0, 1])
async def test_a_canceled_attempt_passes_its_turn_on(turns: AttemptQueue, submit: Submit, yields: int) -> None:
    """Canceled while it waits, or in the moment in which it gets the turn: the next one is served."""
    go = asyncio.Event()
    first, second, third = submit(go), submit(go), submit(go)
    await asyncio.sleep(0)
    go.set()
    for _ in range(yields):  # after one, `first` has left and `second` has the turn, but has not run yet
        await asyncio.sleep(0)
    second.cancel()
    assert (await first, await third) == ("served", "served")
    assert second.cancelled()
    assert not turns.size


async def test_an_attempt_that_waits_too_long_leaves_the_turn_alone(
    turns: AttemptQueue, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused, the one that has the turn keeps it, and the next one is served after that."""
    monkeypatch.setattr(attempt_queue, "MAX_WAIT_SECONDS", 0.01)
    go = asyncio.Event()
    first, second = submit(go), submit(go)
    assert await second == "overloaded"
    monkeypatch.setattr(attempt_queue, "MAX_WAIT_SECONDS", 10)
    third = submit(go)
    await asyncio.sleep(0)
    assert turns.size == 2
    go.set()
    assert (await first, await third) == ("served", "served")
    assert not turns.size


async def test_all_attempts_get_the_turn_when_the_verification_has_ended(turns: AttemptQueue) -> None:
    """Those that waited run at the same time; one that comes meanwhile waits for the last of them."""
    running, counts, ended, go = 0, [], asyncio.Event(), asyncio.Event()

    async def attempt(event: asyncio.Event, *, ends: bool = False) -> None:
        nonlocal running
        async with turns.turn("a") as turn:
            running += 1
            counts.append(running)
            await event.wait()
            if ends:
                turn.end_order()
            running -= 1

    first = asyncio.create_task(attempt(ended, ends=True))
    others = [asyncio.create_task(attempt(go)) for _ in range(5)]
    await asyncio.sleep(0)
    others[4].cancel()
    ended.set()
    await first
    await asyncio.sleep(0)
    late = asyncio.create_task(attempt(go))
    await asyncio.sleep(0)
    assert (running, turns.size) == (4, 5)
    go.set()
    await asyncio.gather(late, *others[:4])
    assert counts == [1, 1, 2, 3, 4, 1]
    assert not turns.size
