"""A deadline that is moved often and rarely reached."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

__all__ = ["Deadline"]


class Deadline:
    """Calls `on_reached` at the time that was set last.

    A timer that is too early is not canceled: when it fires, it is set again. So a busy connection needs one timer for
    many requests instead of several for each.
    """

    __slots__ = ("_loop", "_moment", "_on_reached", "_timer", "_timer_at")

    def __init__(self, loop: asyncio.AbstractEventLoop, on_reached: Callable[[], None]) -> None:
        self._loop = loop
        self._on_reached = on_reached
        self._moment = self._timer_at = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """Set the deadline to `seconds` from now."""
        self._moment = self._loop.time() + seconds
        if self._moment < self._timer_at:
            self._arm()

    def clear(self) -> None:
        """Unset the deadline; it may be set again."""
        self._moment = math.inf

    def close(self) -> None:
        """Unset the deadline permanently, and drop the reference to `on_reached`."""
        self.clear()
        self._on_reached = _do_nothing
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
            self._on_reached()
        elif self._moment < math.inf:
            self._arm()


def _do_nothing() -> None:
    pass
