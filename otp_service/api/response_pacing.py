"""How fast one caller gets answers that cost no hash: so many a second in a process, and later ones after a pause.

Answers that hash are held back by the hash pool. All others (refusals, looks at a verification) cost about a
millisecond of the event loop, and a caller who sends the next request as soon as it has its answer could take the whole
loop, and with it the time of everybody's hashes. So while others call too, answers beyond a rate that no flow of codes
needs wait: a flood over many connections slows itself, holds nothing but its connections, and nobody is refused who was
not refused anyway. Where the process is the only one, a caller who is alone is never held back; with several workers
nobody can see whether the others are busy.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Final

__all__ = ["BURST_SECONDS", "LONGEST_PAUSE_SECONDS", "OTHERS", "REFUSALS", "Pacer"]

REFUSALS: Final = 50.0
OTHERS: Final = 100.0
"""Answers a second that one caller gets from one process without a pause. A core makes some 45 hashes a second, so no
flow of codes needs more; a core could answer about 1,000 (measured: 1 ms each), and then had no time for hashes."""

BURST_SECONDS: Final = 1.0
"""So much of the rate may come at once."""

LONGEST_PAUSE_SECONDS: Final = 3.0
"""Over 150 connections this holds a flood at the rate; nobody who reads `Retry-After` comes near it."""

SHARED_SECONDS: Final = 10.0
"""For so long after another caller's last answer the loop counts as shared."""

MOST_CALLERS: Final = 10_000


class Pacer:
    """The virtual time of each caller (GCRA): when all that it was answered would be due at the rate."""

    def __init__(self, *, alone: bool) -> None:
        """Begin with nobody; `alone`: no other process shares the cores."""
        self._alone = alone
        self._due: dict[Hashable, float] = {}
        self._latest: Hashable = None
        self._shared_until = -math.inf

    def note(self, caller: Hashable, now: float) -> None:
        """Note that a caller is answered, whatever the answer costs."""
        if caller != self._latest:
            if self._latest is not None:
                self._shared_until = now + SHARED_SECONDS
            self._latest = caller

    def pause(self, caller: Hashable, now: float, *, refused: bool) -> float:
        """Count one answer without a hash; say after how many seconds it is given, at most `LONGEST_PAUSE_SECONDS`."""
        self.note(caller, now)
        if len(self._due) >= MOST_CALLERS:
            self._forget(now)
        latest = now + BURST_SECONDS + LONGEST_PAUSE_SECONDS
        due = min(max(self._due.get(caller, now), now) + 1 / (REFUSALS if refused else OTHERS), latest)
        self._due[caller] = due
        is_shared = not self._alone or now < self._shared_until
        return max(0.0, due - now - BURST_SECONDS) if is_shared else 0.0

    def _forget(self, now: float) -> None:
        """Drop who has nothing due any more, and everybody if that makes no room."""
        self._due = {caller: due for caller, due in self._due.items() if due > now}
        if len(self._due) >= MOST_CALLERS:
            self._due.clear()
