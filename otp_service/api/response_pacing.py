"""Limit how fast one caller gets responses for which no hash was computed.

The hash pool limits responses that need a hash. All others (refusals, reads of a verification) take about a millisecond
of the event loop each. A caller that sends its next request as soon as it has a response could use the whole event
loop, and delay the hashes of all other callers. So responses above a rate that no normal client needs are delayed while
other callers are active. A flood over many connections is slowed down. It occupies only its connections, and no request
is refused because of it.

With one process, a caller is not delayed while it is the only one. With several workers the others may be busy and this
process cannot know, so the rate always applies.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Final

__all__ = ["BURST_SECONDS", "ERRORS_PER_SECOND", "MAX_DELAY_SECONDS", "OTHER_RESPONSES_PER_SECOND", "Pacer"]

ERRORS_PER_SECOND: Final = 50.0
OTHER_RESPONSES_PER_SECOND: Final = 100.0
"""What one caller gets from one process without a delay. A core computes about 45 hashes a second, so no client needs
more; a core could send about 1,000 such responses (measured: 1 ms each), and would have no time left for hashes."""

BURST_SECONDS: Final = 1.0
"""The responses of this many seconds may be sent at once."""

MAX_DELAY_SECONDS: Final = 3.0
"""With 150 connections this keeps a flood at the rate. A client that obeys `Retry-After` is never delayed so long."""

SHARED_SECONDS: Final = 10.0
"""For this long after a response to another caller, the event loop counts as shared."""

MAX_CALLERS: Final = 10_000
"""How many callers are remembered."""


class Pacer:
    """Delays responses by the generic cell rate algorithm: for each caller, the time when its responses are due."""

    def __init__(self, *, single_process: bool) -> None:
        """Start without callers; `single_process` means that no other worker shares the CPU cores."""
        self._single_process = single_process
        self._due: dict[Hashable, float] = {}
        self._latest_caller: Hashable = None
        self._shared_until = -math.inf

    def record_response(self, caller: Hashable, now: float) -> None:
        """Record that a caller gets a response of any kind. `now` is in seconds of a monotonic clock."""
        if caller != self._latest_caller:
            if self._latest_caller is not None:
                self._shared_until = now + SHARED_SECONDS
            self._latest_caller = caller

    def delay_seconds(self, caller: Hashable, now: float, *, is_error: bool) -> float:
        """Count a response without a hash, and return how long to delay it, at most `MAX_DELAY_SECONDS`."""
        if caller != self._latest_caller:
            self.record_response(caller, now)
        if len(self._due) >= MAX_CALLERS:
            self._prune(now)
        latest = now + BURST_SECONDS + MAX_DELAY_SECONDS
        rate = ERRORS_PER_SECOND if is_error else OTHER_RESPONSES_PER_SECOND
        due = min(max(self._due.get(caller, now), now) + 1 / rate, latest)
        self._due[caller] = due
        is_shared = not self._single_process or now < self._shared_until
        return max(0.0, due - now - BURST_SECONDS) if is_shared else 0.0

    def _prune(self, now: float) -> None:
        """Forget callers without a due response, and all callers if that frees nothing."""
        self._due = {caller: due for caller, due in self._due.items() if due > now}
        if len(self._due) >= MAX_CALLERS:
            self._due.clear()
