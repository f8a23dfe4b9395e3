"""The messages that this replica leaves to others: it does not know their tenant, say, while a config is rolled out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from otp_service.domain.verification import MAX_CODE_LIFE_MS
from otp_service.store.keys import Partition, partition_of_id

__all__ = ["LeftToOthers"]

MOST_IN_A_PARTITION: Final = 64
"""More are forgotten, oldest first: each is then looked at once more, which costs it a moment."""


class LeftToOthers:
    """Ids by partition, each for as long as a code can live."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with none; `clock` is in seconds."""
        self._clock = clock
        self._until: dict[int, dict[str, float]] = {}

    def add(self, verification_id: str) -> None:
        """Leave one from now on."""
        partition = partition_of_id(verification_id)
        if partition is None:
            return
        until = self._until.setdefault(partition.number, {})
        until[verification_id] = self._clock() + MAX_CODE_LIFE_MS / 1000
        if len(until) > MOST_IN_A_PARTITION:
            del until[next(iter(until))]

    def within(self, partition: Partition) -> Sequence[str]:
        """Name those that are left in one partition; forget the ones whose code has expired."""
        until = self._until.get(partition.number)
        if not until:
            return ()
        now = self._clock()
        for verification_id in [one for one, at in until.items() if at <= now]:
            del until[verification_id]
        return tuple(until)
