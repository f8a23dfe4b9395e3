"""A deadline that moves often and passes seldom."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

__all__ = ["Deadline"]


class Deadline:
    """Calls `passed` when the moment that was set last has come; before anything is set, never.

    A timer that turns out too early is let run and then set again: on a busy connection that is one timer in many
    requests, instead of several for each.
    """

    __slots__ = ("_loop", "_moment", "_passed", "_timer", "_timer_at")

    def __init__(self, loop: asyncio.AbstractEventLoop, passed: Callable[[], None]) -> None:
        self._loop = loop
        self._passed = passed
        self._moment = self._timer_at = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """Let it pass in `seconds` from now."""
        self._moment = self._loop.time() + seconds
        if self._moment < self._timer_at:
            self._arm()

    def clear(self) -> None:
        """Let it not pass; it may be set again."""
        self._moment = math.inf

    def close(self) -> None:
        """End for ever, and let go of `passed`."""
        self.clear()
        self._passed = _nothing
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self._moment
        self._timer = self._loop.call_at(self._moment, self._on_timer)

    def _on_timer(self) -> None:
        self._timer, self._timer_at = None, math.inf
        if self._moment <= self._loop.time():
            self._moment = math.inf
            self._passed()
        elif self._moment < math.inf:
            self._arm()


def _nothing() -> None:
    pass
