"""The gauges of providers and webhook endpoints that a reload has removed: no alert may go on because of them.

While one application replaces another one, both set the gauges of a name that both have. So a gauge is reset when the
last application of the process that has its name has ended.
"""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator

from otp_service.observability import METRICS

__all__ = ["ConfiguredNames"]


class ConfiguredNames:
    """How many applications of this process have a provider or an endpoint, by its name."""

    def __init__(self) -> None:
        self._providers: Counter[str] = Counter()
        self._endpoints: Counter[str] = Counter()

    @contextlib.contextmanager
    def held(self, providers: Iterable[str], endpoints: Iterable[str]) -> Iterator[None]:
        """Have these names while the block runs, in which one application sets their gauges."""
        own_providers, own_endpoints = Counter(set(providers)), Counter(set(endpoints))
        self._providers += own_providers
        self._endpoints += own_endpoints
        try:
            yield
        finally:
            self._providers -= own_providers
            self._endpoints -= own_endpoints
            for name in own_providers.keys() - self._providers.keys():
                _reset_provider(name)
            for name in own_endpoints.keys() - self._endpoints.keys():
                METRICS.webhook_waiting.labels(name).set(0)
                METRICS.webhook_disabled.labels(name).set(0)


def _reset_provider(name: str) -> None:
    """Close the circuits of a provider in the metrics. Its balance becomes NaN, of which no comparison is true."""
    for gauge, value in (
        (METRICS.circuit_open, 0.0),
        (METRICS.destination_circuit_open, 0.0),
        (METRICS.provider_balance, math.nan),
    ):
        labels = [sample.labels for metric in gauge.collect() for sample in metric.samples]
        for one in labels:
            if one["provider"] == name:
                gauge.labels(**one).set(value)
