"""Counts which messages were verified, for the routes that order their providers by conversion.

Each process collects its own counts. At an interval, it adds them to those in the store and reads those of all
replicas, so no request waits for them. Counts that were not stored are lost with the process; the results only become
a little less certain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from otp_service.delivery.regular_sync import RegularSync
from otp_service.domain.conversion import ConversionResults, CountKey, number_prefix, weigh
from otp_service.domain.ports import ConversionCounts
from otp_service.domain.verification import VerificationRecord

__all__ = ["ConversionTracker"]

SYNC_INTERVAL_SECONDS: Final = 10.0

_MS_PER_MINUTE: Final = 60_000


class ConversionTracker:
    """The counts of this process, and the results of all replicas as of the last synchronization."""

    def __init__(self, counts: ConversionCounts, providers: Iterable[str]) -> None:
        """Count the messages of `providers`; `counts` has those of all replicas."""
        self.results = ConversionResults()
        self._counts = counts
        self._providers = frozenset(providers)
        self._pending: Counter[CountKey] = Counter()
        self._syncing = RegularSync("conversion", self.sync, SYNC_INTERVAL_SECONDS)

    def count_sent(self, provider: str, e164: str, record: VerificationRecord) -> None:
        """Count a message that `provider` has accepted; not one whose code another service verifies."""
        if not record.is_relayed:
            self._count(provider, e164, record, verified=False)

    def count_verified(self, e164: str, record: VerificationRecord) -> None:
        """Count a verified code, for every provider that had accepted its message."""
        for delivery in record.deliveries:
            if delivery.is_accepted:
                self._count(delivery.provider, e164, record, verified=True)

    def start(self) -> None:
        """Start to synchronize, if any provider is counted."""
        if self._providers:
            self._syncing.start()

    async def stop(self) -> None:
        """Stop, and store the remaining counts if the store answers."""
        await self._syncing.stop()

    async def sync(self) -> None:
        """Store the counts of this process, and read the results of all replicas.

        Raises:
            Refused: The store is unavailable. The counts are dropped, because it may have received them.
        """
        pending, self._pending = self._pending, Counter()
        now_minute, counts = await self._counts.add_and_read(pending)
        self.results = weigh(counts, now_minute)

    def _count(self, provider: str, e164: str, record: VerificationRecord, *, verified: bool) -> None:
        if provider in self._providers:
            minute = record.created_ms // _MS_PER_MINUTE
            self._pending[CountKey(minute, provider, number_prefix(e164), verified)] += 1
