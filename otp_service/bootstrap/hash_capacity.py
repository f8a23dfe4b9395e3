"""The hash pool of a worker, and the log line that says how many hashes a second this machine computes."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Final

from otp_service.crypto.hash_threads import lower_priority, threads_per_worker, usable_cores
from otp_service.crypto.hashing import HashCost, HashPool
from otp_service.observability import LOG
from otp_service.settings import Settings

__all__ = ["build_hash_pool", "log_hash_rate"]

MEASURE_AFTER_SECONDS: Final = 2.0
"""An immediate measurement delayed the readiness of two starting workers on two cores by 0.07 s."""

MAX_MEASURED_HASHES: Final = 3
MAX_MEASURED_SECONDS: Final = 0.1
"""No further hash is measured after this much CPU time."""


def build_hash_pool(settings: Settings, shared_folder: str | None) -> HashPool:
    """Build the hash pool of one worker; `shared_folder` is that of all workers, if there are several."""
    return HashPool(
        _cost(settings),
        threads=_threads(settings),
        slots_per_caller=settings.hashing.max_waiting,
        lock_folder=shared_folder if settings.server.workers > 1 else None,
        prepared=settings.hashing.prepared,
    )


def log_hash_rate(settings: Settings, after_seconds: float = MEASURE_AFTER_SECONDS) -> threading.Timer:
    """Measure the hash rate later, in a thread at a low priority, and log it: the start does not wait for it."""
    timer = threading.Timer(after_seconds, _measure, (settings,))
    timer.daemon = True
    timer.start()
    return timer


def _measure(settings: Settings) -> None:
    """Hash a few times. CPU time is counted, not the time on the clock: the service works on the same cores."""
    lower_priority()
    cost = _cost(settings)
    one_lane = replace(cost, parallelism=1)  # as much work, and none of it in threads that `thread_time` misses
    times = [_cpu_seconds(one_lane)]
    while len(times) < MAX_MEASURED_HASHES and sum(times) < MAX_MEASURED_SECONDS:
        times.append(_cpu_seconds(one_lane))
    cores = min(usable_cores(), settings.server.workers * _threads(settings) * cost.parallelism)
    LOG.info(
        "hash_rate",
        per_second=round(cores / min(times), 1),
        cores=cores,
        cpu_ms=round(min(times) * 1000, 2),
        measured=f"CPU time of the fastest of {len(times)} hashes on one core; a verification needs two hashes",
    )


def _cpu_seconds(cost: HashCost) -> float:
    started = time.thread_time()
    cost.hash(b"")
    return time.thread_time() - started


def _cost(settings: Settings) -> HashCost:
    hashing = settings.hashing
    return HashCost(hashing.time_cost, hashing.memory_kib, hashing.parallelism)


def _threads(settings: Settings) -> int:
    return settings.hashing.threads or threads_per_worker(settings.server.workers)
