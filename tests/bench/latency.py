"""How long callers wait at a share of the capacity, by arrivals that do not wait for answers.

`python -m tests.bench.latency` prints it; it takes about a minute.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from tests.bench.capacity import hashes_per_second
from tests.bench.service_stack import DEFAULT_HASH, running_stack

__all__ = ["SHARES", "latencies"]

SHARES: Final = (0.25, 0.5, 0.75)


def latencies(cycles: int, shares: tuple[float, ...] = SHARES) -> dict[str, Any]:
    """At each share of the capacity in cycles a second: quantiles of each step, in ms; and the hash's own time.

    The capacity is measured first, by callers that wait for their answers. A step's time counts from when it was due.
    """
    with running_stack(DEFAULT_HASH) as stack:
        capacity = float(stack.load(kind="cycle", count=cycles, callers=16, warm_up=16)["per_second"])
        hash_ms = 1000 / hashes_per_second(2.0)
        found = {
            share: stack.load(
                kind="cycle", count=cycles, callers=256, warm_up=16, per_second=capacity * share, seed=2 + number
            )["times"]
            for number, share in enumerate(shares)
        }
    return {"capacity": capacity, "hash_ms": hash_ms, "shares": found}


if __name__ == "__main__":
    measured = latencies(300)
    sys.stdout.write(f"capacity {measured['capacity']:.1f} cycles/s; one hash taken as 1\n")
    for share, steps in measured["shares"].items():
        for step, quantiles in steps.items():
            ratios = ", ".join(f"{name} {ms / measured['hash_ms']:.2f}" for name, ms in quantiles.items())
            sys.stdout.write(f"at {share:.0%}: {step}: {ratios}\n")
