"""Measurements during a run: how many events have happened, and by how much this process is late."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final

__all__ = ["EventCounter", "LagMonitor"]

STALLED_SECONDS: Final = 2.0
"""How long a missing event is waited for before the scenario goes on."""

LAG_INTERVAL_SECONDS: Final = 0.02


class EventCounter:
    """Counts events, and wakes up those that wait for one."""

    def __init__(self) -> None:
        self.events = 0
        self._waiting: list[tuple[int, asyncio.Event]] = []

    def count_event(self) -> None:
        """Count one event."""
        self.events += 1
        for event, reached in self._waiting:
            if event <= self.events:
                reached.set()

    async def reach(self, event: int) -> None:
        """Wait for an event, or until there was none for `STALLED_SECONDS`."""
        reached = asyncio.Event()
        self._waiting.append((event, reached))
        while not reached.is_set() and self.events < event:
            before = self.events
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STALLED_SECONDS):
                    await reached.wait()
            if self.events == before:
                return


class LagMonitor:
    """Measures by how much this process is late."""

    worst_ms = 0.0

    async def watch(self) -> None:
        """Measure until canceled."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(LAG_INTERVAL_SECONDS)
            self.worst_ms = max(self.worst_ms, (time.monotonic() - before - LAG_INTERVAL_SECONDS) * 1000)
