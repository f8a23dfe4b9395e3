"""Bare hashes at the default cost: processes that compute nothing else, one on each core of the service.

`python -m tests.bench.bare_hash SECONDS ARRIVALS` begins with the next line of its input. First it hashes back to back
for this time, then for as long once for each arrival of a Poisson process with this many a second (0: none). It prints
hashes a second and hashes a second of CPU time of the first part, and the times of the second part in ms.

Without arguments it hashes back to back until SIGTERM, and prints the count and the CPU seconds that it used.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from typing import Final, NamedTuple, Self

from argon2 import Type
from argon2.low_level import hash_secret

from tests.bench.measured_server import pinned, server_cores

__all__ = ["BareHashes", "HashRate", "hash_rate"]

IMPORT_SECONDS: Final = 0.4
"""Until all processes wait for their line."""


class HashRate(NamedTuple):
    """Bare hashes in a second of all cores, and in a second of CPU time; times of single hashes in ms."""

    per_second: float
    per_cpu_second: float
    single_ms: tuple[float, ...] = ()


class BareHashes:
    """Processes that hash back to back on the cores of the service, while they are not paused; they begin paused."""

    def __init__(self, cores: int) -> None:
        """Start a process on each core; `cores` is how many."""
        words = [sys.executable, "-m", "tests.bench.bare_hash"]
        self._processes = [
            subprocess.Popen(pinned([core], words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for core in server_cores(cores)
        ]
        time.sleep(IMPORT_SECONDS)
        self.pause()
        for process in self._processes:
            assert process.stdin
            process.stdin.write("\n")
            process.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()

    def pause(self) -> None:
        """Stop hashing, also in the middle of a hash."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Go on hashing."""
        self._signal(signal.SIGCONT)

    def finish(self) -> tuple[int, float]:
        """End the processes; return how many hashes they have computed, and the CPU seconds for them."""
        self._signal(signal.SIGTERM)
        self.go_on()
        found = [process.communicate()[0].split() for process in self._processes]
        return sum(int(count) for count, _ in found), sum(float(seconds) for _, seconds in found)

    def _signal(self, number: int) -> None:
        for process in self._processes:
            process.send_signal(number)


def hash_rate(cores: int, seconds: float, arrivals: float = 0.0) -> HashRate:
    """Measure the bare hash rate of the cores of the service, one process on each.

    With `arrivals` (a second, of all cores), measure single hashes as well, for as long again.
    """
    words = [sys.executable, "-m", "tests.bench.bare_hash", str(seconds), str(arrivals / cores)]
    processes = [
        subprocess.Popen(pinned([core], words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for core in server_cores(cores)
    ]
    time.sleep(IMPORT_SECONDS)
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    found = [[float(value) for value in process.communicate()[0].split()] for process in processes]
    return HashRate(
        per_second=sum(values[0] for values in found),
        per_cpu_second=sum(values[1] for values in found) / len(found),
        single_ms=tuple(one for values in found for one in values[2:]),
    )


def until_terminated() -> None:
    """Hash back to back until SIGTERM."""
    is_ending = False

    def end(*_: object) -> None:
        nonlocal is_ending
        is_ending = True

    signal.signal(signal.SIGTERM, end)
    sys.stdin.readline()
    count, used = 0, time.process_time()
    while not is_ending:
        hash_once()
        count += 1
    print(count, time.process_time() - used)  # noqa: T201 - its result


def at_times(seconds: float, arrivals: float) -> None:
    """Hash back to back, then at arrivals."""
    sys.stdin.readline()
    count, started, used = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - started < seconds:
        hash_once()
        count += 1
    rate = count / (time.perf_counter() - started)
    per_cpu_second = count / (time.process_time() - used)
    print(rate, per_cpu_second, *(single_hashes(seconds, arrivals) if arrivals else ()))  # noqa: T201 - its result


def single_hashes(seconds: float, arrivals: float) -> list[float]:
    """Return the times in ms of hashes that begin at the arrivals of a Poisson process, or when the last one ends."""
    times, due = [], time.perf_counter()
    until, waits = due + seconds, random.Random()  # noqa: S311 - arrivals, not secrets
    while (due := due + waits.expovariate(arrivals)) < until:
        time.sleep(max(0.0, due - time.perf_counter()))
        started = time.perf_counter()
        hash_once()
        times.append(1000 * (time.perf_counter() - started))
    return times


def hash_once() -> None:
    """Hash at the default cost."""
    hash_secret(b"x" * 32, b"s" * 16, time_cost=3, memory_cost=12288, parallelism=1, hash_len=32, type=Type.ID)


if __name__ == "__main__":
    if sys.argv[1:]:
        at_times(*map(float, sys.argv[1:]))
    else:
        until_terminated()
