"""Calls a function at an interval in the background, such as one that stores what a process has counted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from otp_service.domain.errors import Refused
from otp_service.observability import LOG

__all__ = ["RegularSync"]


class RegularSync:
    """The calls of one function. A failed one is logged as `<name>_sync_failed`, and the next one follows."""

    def __init__(self, name: str, sync: Callable[[], Awaitable[None]], seconds: float) -> None:
        """Call `sync` every `seconds`, once started."""
        self._name = name
        self._sync = sync
        self._seconds = seconds
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start, with the first call at once."""
        self._task = asyncio.create_task(self._call_regularly(), name=f"{self._name}-sync")

    async def stop(self) -> None:
        """Stop, after a last call; does nothing if it was not started."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self._call_safely()

    async def _call_regularly(self) -> None:
        while True:
            await self._call_safely()
            await asyncio.sleep(self._seconds)

    async def _call_safely(self) -> None:
        try:
            await self._sync()
        except Refused as refused:
            LOG.warning(f"{self._name}_sync_failed", reason=refused.reason.value)
        except Exception:
            LOG.exception(f"{self._name}_sync_failed")
