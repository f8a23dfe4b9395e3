"""The log line with the hash rate of the machine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from otp_service.bootstrap import hash_capacity, log_hash_rate
from otp_service.sandbox.dev_config import dev_config, merged
from otp_service.settings import load
from tests.log_capture import captured_logs

COST = {"time_cost": 1, "memory_kib": 4096, "allow_weak": True}


def measured(config: dict[str, Any]) -> dict[str, Any]:
    """Measure with a config, and return the one line that is logged."""
    settings = load(merged(dev_config("redis://127.0.0.1"), config), {}, plain_secrets=True)
    with captured_logs() as log:
        log_hash_rate(settings, 0.0).join()
    line: dict[str, Any] = json.loads(log.getvalue())
    return line


@pytest.mark.parametrize(
    ("threads", "workers", "lanes", "cores"), [(0, 1, 1, 4), (1, 1, 1, 1), (1, 2, 1, 2), (1, 1, 4, 4), (3, 2, 1, 4)]
)
def test_the_rate_is_that_of_the_cores_that_hash(
    threads: int, workers: int, lanes: int, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rate of one core, times the cores that threads and lanes can use at a time, at most those of the process."""
    monkeypatch.setattr(hash_capacity, "usable_cores", lambda: 4)
    hashing = {**COST, "threads": threads or 4, "parallelism": lanes}
    line = measured({"hashing": hashing, "server": {"workers": workers}})
    assert (line["event"], line["level"], line["cores"]) == ("hash_rate", "info", cores)
    assert line["per_second"] * line["cpu_ms"] / 1000 == pytest.approx(cores, rel=0.05)


def test_lanes_are_counted() -> None:
    """A hash of four lanes costs as much CPU time as one of one lane, although threads share the work."""
    one, four = (measured({"hashing": {**COST, "parallelism": lanes}})["cpu_ms"] for lanes in (1, 4))
    assert four > one / 3


def test_an_expensive_hash_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """After 0.1 s of CPU time no further hash is computed at the start."""
    assert "of 3 hashes" in measured({"hashing": COST})["measured"]
    monkeypatch.setattr(hash_capacity, "_cpu_seconds", lambda _: 0.2)
    line = measured({"hashing": COST})
    assert ("of 1 hashes" in line["measured"], line["cpu_ms"]) == (True, 200)
