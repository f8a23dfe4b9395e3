"""Releases what a failed request has acquired, even if the caller has disconnected or the store is unavailable.

A cleanup is retried until the store answers, for some seconds at most. What it could not release expires by itself:
rate-limit windows pass, an idempotency key whose owner has stopped can be claimed again, and a reservation that is too
old cannot start a verification.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from otp_service.domain.errors import Refused
from otp_service.observability import LOG

__all__ = ["Cleanup"]

WAIT_SECONDS: Final = 0.3
"""How long a response waits for its cleanup, so that a caller that retries at once finds everything released."""

RETRY_FOR_SECONDS: Final = 8.0
"""How long a cleanup is retried: shorter than the time within which a delayed `start` could still arrive."""

RETRY_INTERVAL_SECONDS: Final = 0.25

MAX_RUNNING: Final = 1_000
"""Cleanups at a time. After a longer outage of the store, more of them would only overload it."""

Undo = Callable[[], Awaitable[None]]


class Cleanup:
    """The cleanups that run in this process."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    async def after(self, error: BaseException, undo: Undo) -> None:
        """Run `undo` after a request has failed with `error`.

        Waits up to `WAIT_SECONDS` for it, but not when `error` says that the caller has disconnected.

        Args:
            error: What ended the request.
            undo: Called again when it raises `Refused`, so it must be safe to repeat.
        """
        if len(self._tasks) >= MAX_RUNNING:
            return
        task = asyncio.create_task(_retry(undo))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if not isinstance(error, asyncio.CancelledError):
            await asyncio.wait([task], timeout=WAIT_SECONDS)

    async def stop(self) -> None:
        """Wait up to `WAIT_SECONDS` for running cleanups, then cancel them."""
        if not self._tasks:
            return
        _, pending = await asyncio.wait(self._tasks, timeout=WAIT_SECONDS)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


async def _retry(undo: Undo) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + RETRY_FOR_SECONDS
    while True:
        try:
            await undo()
        except Refused:
            if loop.time() >= deadline:
                LOG.warning("cleanup_abandoned")
                return
        except Exception:
            LOG.exception("cleanup_failed")
            return
        else:
            return
        await asyncio.sleep(RETRY_INTERVAL_SECONDS)
