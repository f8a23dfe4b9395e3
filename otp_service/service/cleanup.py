"""Gives back what a request took that came to nothing, also when its caller is gone or the store is away for a moment.

What is to be undone is said again until the store answers, for some seconds. After that nobody can do more: windows
pass, an idempotency key is given up when nothing is heard of its owner, and an old reservation does not start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from otp_service.domain.errors import Refused
from otp_service.observability import LOG

__all__ = ["Cleanup"]

PATIENCE_SECONDS: Final = 0.3
"""For how long an answer waits for it, so that a caller who comes again at once finds everything as it was."""

INSIST_SECONDS: Final = 8.0
"""For how long the store is told again: within the time in which a delayed `start` could still come."""

INSIST_EVERY_SECONDS: Final = 0.25
MOST: Final = 1_000
"""So many at a time; while the store is away for longer, more would only be in its way when it comes back."""

Undo = Callable[[], Awaitable[None]]


class Cleanup:
    """What this process still has to give back."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def after(self, problem: BaseException, undo: Undo) -> None:
        """Undo, after `problem`: wait a moment for it, but not where the caller is gone. `undo` may be repeated."""
        if len(self._tasks) >= MOST:
            return
        task = asyncio.create_task(_insist(undo))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if not isinstance(problem, asyncio.CancelledError):
            await asyncio.wait([task], timeout=PATIENCE_SECONDS)

    async def stop(self) -> None:
        """Wait a moment for what is under way; the rest is left as it is."""
        if not self._tasks:
            return
        _, pending = await asyncio.wait(self._tasks, timeout=PATIENCE_SECONDS)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


async def _insist(undo: Undo) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + INSIST_SECONDS
    while True:
        try:
            await undo()
        except Refused:
            if loop.time() >= until:
                LOG.warning("not_given_back")
                return
        except Exception:
            LOG.exception("giving_back_failed")
            return
        else:
            return
        await asyncio.sleep(INSIST_EVERY_SECONDS)
