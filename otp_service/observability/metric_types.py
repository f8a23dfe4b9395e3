"""The counters, gauges and histograms of prometheus_client, for metrics that change several times in each request.

prometheus_client checks at each change whether the metric has label values, and converts label values to texts each
time a metric is asked for them: three of four calls of `inc` or `set`, and four of five of `labels`. Here a metric
without the label values that it needs has nothing to change (AttributeError, or ValueError for a gauge), and known
label values are looked up.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Self

import prometheus_client
from prometheus_client.metrics import MetricWrapperBase

__all__ = ["Counter", "Gauge", "Histogram"]


class _Labelled(MetricWrapperBase):
    def labels(self, *values: object, **named: object) -> Self:
        """Return the metric with these label values."""
        if named:
            return super().labels(*values, **named)
        try:
            return self._metrics[values]  # type: ignore[index,return-value]  # other values than texts are not found
        except (KeyError, AttributeError):
            return super().labels(*values)


class Counter(_Labelled, prometheus_client.Counter):
    """A number that only grows."""

    def inc(self, amount: float = 1, exemplar: dict[str, str] | None = None) -> None:
        """Add `amount`, which is not negative."""
        if amount < 0 or exemplar:
            super().inc(amount, exemplar)
        else:
            self._value.inc(amount)


class Gauge(_Labelled, prometheus_client.Gauge):
    """A number that is set."""

    def _metric_init(self) -> None:
        super()._metric_init()
        if self._multiprocess_mode not in self._MOST_RECENT_MODES:  # those need a time
            self.set = self._value.set  # type: ignore[method-assign]  # takes a number, as `set` does


class Histogram(_Labelled, prometheus_client.Histogram):
    """How many values lie in which bucket, and their sum."""

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        """Count a value: in the first bucket whose upper bound is not below it. The last bound is infinite."""
        if exemplar:
            super().observe(amount, exemplar)
            return
        self._sum.inc(amount)
        self._buckets[bisect_left(self._upper_bounds, amount)].inc(1)
