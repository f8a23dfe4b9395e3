"""The bare hash rate: `python -m tests.bench.bare_hash SECONDS` hashes at the default cost in one thread.

It begins with the next line of its input, and prints hashes a second, and hashes a second of CPU time.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Final, NamedTuple

from argon2 import Type
from argon2.low_level import hash_secret

from tests.bench.measured_server import pinned, server_cores

__all__ = ["HashRate", "hash_rate"]

IMPORT_SECONDS: Final = 0.4
"""Until all processes wait for their line."""


class HashRate(NamedTuple):
    """Bare hashes in a second of all cores, and in a second of CPU time."""

    per_second: float
    per_cpu_second: float


def hash_rate(cores: int, seconds: float) -> HashRate:
    """Measure the bare hash rate of the cores of the service, one process on each."""
    words = [sys.executable, "-m", "tests.bench.bare_hash", str(seconds)]
    processes = [
        subprocess.Popen(pinned([core], words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for core in server_cores(cores)
    ]
    time.sleep(IMPORT_SECONDS)
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    found = [process.communicate()[0].split() for process in processes]
    return HashRate(sum(float(rate) for rate, _ in found), sum(float(rate) for _, rate in found) / len(found))


def main(seconds: float) -> None:
    """Hash for so long."""
    sys.stdin.readline()
    count, started, used = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - started < seconds:
        hash_secret(b"x" * 32, b"s" * 16, time_cost=3, memory_cost=12288, parallelism=1, hash_len=32, type=Type.ID)
        count += 1
    rate = count / (time.perf_counter() - started)
    sys.stdout.write(f"{rate} {count / (time.process_time() - used)}")


if __name__ == "__main__":
    main(float(sys.argv[1]))
