"""What a cycle and a refusal cost: against the bare hash, and against routes that do nothing, in the same run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Final

from argon2 import Type
from argon2.low_level import hash_secret

from tests.bench.service_stack import CHEAPEST_HASH, DEFAULT_HASH, Stack, pinned, running_stack

__all__ = ["cycle_cpu", "cycles_against_hashes", "expect", "hashes_per_second", "refusal_cpu"]

HASHES_PER_CYCLE: Final = 2
_HASH: Final = "from tests.bench.capacity import hash_for; print(hash_for({seconds}))"
OPEN_LIMITS: Final = 'recipient = ["1000/3600"]\nrecipient_failures = ["1000/3600"]'


def hash_for(seconds: float) -> float:
    """Hash at the default cost for so long; hashes a second."""
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        hash_secret(b"x" * 32, b"s" * 16, time_cost=3, memory_cost=12288, parallelism=1, hash_len=32, type=Type.ID)
        count += 1
    return count / (time.perf_counter() - started)


def hashes_per_second(seconds: float) -> float:
    """The bare hash rate of the core on which the service runs."""
    words = [*pinned(0), sys.executable, "-c", _HASH.format(seconds=seconds)]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def cycles_against_hashes(cycles: int, seconds: float) -> float:
    """Full cycles at the default cost: their hashes a second as a share of what the core does bare."""
    with running_stack(DEFAULT_HASH) as stack:
        before = hashes_per_second(seconds)
        result = stack.load(kind="cycle", count=cycles, callers=16, warm_up=20)
        after = hashes_per_second(seconds)
    expect(result, {"request 202": cycles, "verify 200": cycles})
    return float(result["per_second"]) * HASHES_PER_CYCLE / ((before + after) / 2)


def cycle_cpu(cycles: int) -> float:
    """A full cycle with the cheapest hash: CPU milliseconds of the service."""
    with running_stack(CHEAPEST_HASH) as stack:
        result = stack.load(kind="cycle", count=cycles)
    expect(result, {"request 202": cycles, "verify 200": cycles})
    return float(result["cpu_ms"])


def refusal_cpu(stack: Stack, kind: str, count: int) -> float:
    """One refusal: CPU milliseconds of the service. `kind`: unknown, limited."""
    path, body, status = {
        "unknown": ("/v1/verify-code", {"verification_id": "A" * 23, "code": "123456"}, "404"),
        "limited": ("/v1/request-code", {"phone": "+6281210100055", "purpose": "login"}, "429"),
    }[kind]
    result = stack.load(kind="request", path=path, body=json.dumps(body), count=count, callers=8)
    expect(result, {status: count})
    return float(result["cpu_ms"])


def expect(result: dict[str, object], statuses: dict[str, int]) -> None:
    """Raise RuntimeError unless the service answered exactly as many times with each status."""
    if result["statuses"] != statuses:
        raise RuntimeError(f"the service answered {result['statuses']}, not {statuses}")
