"""The messages that this replica leaves to others, for example of a tenant that its config does not have yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from otp_service.domain.verification import MAX_CODE_AGE_MS
from otp_service.store.keys import Partition, partition_of_id

__all__ = ["ExcludedMessages"]

MAX_PER_PARTITION: Final = 64
"""More are dropped, oldest first. A dropped one is claimed here again, and excluded again."""


class ExcludedMessages:
    """Verification ids by partition, each for a while."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start empty; `clock` returns seconds."""
        self._clock = clock
        self._until: dict[int, dict[str, float]] = {}

    def add(self, verification_id: str, seconds: float | None = None) -> None:
        """Exclude one from now on, for `seconds`; None: for the longest time that a code can be valid."""
        partition = partition_of_id(verification_id)
        if partition is None:
            return
        until = self._until.setdefault(partition.number, {})
        until[verification_id] = self._clock() + (MAX_CODE_AGE_MS / 1000 if seconds is None else seconds)
        if len(until) > MAX_PER_PARTITION:
            del until[next(iter(until))]

    def of(self, partition: Partition) -> Sequence[str]:
        """Return the excluded ids of one partition, without those whose time is over."""
        until = self._until.get(partition.number)
        if not until:
            return ()
        now = self._clock()
        for verification_id in [one for one, at in until.items() if at <= now]:
            del until[verification_id]
        return tuple(until)
