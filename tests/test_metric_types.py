"""The metric types count as those of prometheus_client do."""

from __future__ import annotations

from types import ModuleType

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from otp_service.observability import metric_types


def page_of(types: ModuleType) -> list[str]:
    """Return the samples of metrics that were changed in every way, without the times of their creation."""
    registry = CollectorRegistry()
    counter = types.Counter("calls", "Calls.", ["route", "status"], registry=registry)
    for status in (200, "200", 404, True):
        counter.labels("/a", status).inc()
    counter.labels(route="/b", status="200").inc(2.5)
    types.Counter("all", "All.", registry=registry).inc()
    gauge = types.Gauge("open", "Open.", ["name"], registry=registry)
    gauge.labels("a").set(1)
    gauge.labels("a").inc()
    gauge.labels("b").set(True)
    types.Gauge("latest", "Latest.", registry=registry, multiprocess_mode="mostrecent").set(3)
    histogram = types.Histogram("seconds", "Seconds.", ["route"], buckets=(0.1, 0.5, 1), registry=registry)
    for seconds in (-1, 0, 0.1, 0.100001, 0.5, 1, 1.5, float("inf")):
        histogram.labels("/a").observe(seconds)
    return [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]


def test_same_page_as_prometheus_client() -> None:
    """Counters, gauges and histograms with equal changes are shown equally, bounds of buckets included."""
    assert page_of(metric_types) == page_of(prometheus_client)


def test_labels_are_required() -> None:
    """A metric that needs label values cannot be changed without them, and a wrong number of them is refused."""
    counter = metric_types.Counter("calls", "Calls.", ["route"], registry=None)
    with pytest.raises(AttributeError):
        counter.inc()
    for values in ((), ("/a", "/b")):
        with pytest.raises(ValueError, match="label count"):
            counter.labels(*values)
    counter.labels("/a")
    with pytest.raises(ValueError, match="both"):  # also those that are known
        counter.labels("/a", route="/b")
    with pytest.raises(ValueError, match="No label names"):
        metric_types.Gauge("open", "Open.", registry=None).labels("/a")
    with pytest.raises(ValueError, match="non-negative"):
        counter.labels("/a").inc(-1)
