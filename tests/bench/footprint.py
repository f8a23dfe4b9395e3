"""(f) What the store holds and is asked for each verification."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import redis

from tests.bench.capacity import expect_only
from tests.bench.figures import Line, Options
from tests.bench.pending_copies import PendingCopies
from tests.bench.service_stack import Stack, running_stack

__all__ = ["footprint"]

COUNTS: Final = (10_000, 100_000, 1_000_000)
PAUSE_SECONDS: Final = 0.01
SETTLED_SECONDS: Final = 0.2
COUNTERS: Final = {"round trips": "total_reads_processed", "commands": "total_commands_processed"}
STEPS: Final = ("decoy", "code", "cycle")
"""A request without a message, with one, and with its code verified: each has one step more than the one before."""


def footprint(options: Options) -> Iterator[Line]:
    """(f) Memory of the store for each pending verification; round trips and commands of each step."""
    with running_stack() as stack:
        copies = PendingCopies(stack)
        for count in COUNTS[:1] if options.is_short else COUNTS:
            copies.fill(count)
            yield Line(
                name=f"f.bytes_{count}",
                text=f"bytes of the store for each of {count} pending verifications",
                values=(copies.bytes_each(),),
                unit="bytes",
                at_most=1024,
            )
            yield from _calls(stack, count, options)


def _calls(stack: Stack, pending: int, options: Options) -> Iterator[Line]:
    """Count what one cycle at a time asks of the store, less what an idle service asks."""
    idle, cycles = _counted(stack, lambda: time.sleep(options.seconds(2.0, 1.0))), int(options.seconds(200, 100))
    by_step = {step: _of_one(stack, step, cycles, idle) for step in STEPS}
    steps = {
        "request-code": by_step["decoy"],
        "delivery": {name: by_step["code"][name] - by_step["decoy"][name] for name in COUNTERS},
        "verify-code": {name: by_step["cycle"][name] - by_step["code"][name] for name in COUNTERS},
    }
    for step, counts in steps.items():
        for counter, value in counts.items():
            target = None if counter == "commands" else 3 if step == "delivery" else 2
            yield Line(
                name=f"f.{counter.replace(' ', '_')}_{step}_{pending}",
                text=f"{counter} of {step} with {pending} pending",
                values=(round(value, 1),),
                at_most=target,
            )


def _of_one(stack: Stack, step: str, cycles: int, idle: Mapping[str, float]) -> dict[str, float]:
    def run() -> None:
        with stack.start_load(kind=step, count=cycles, callers=1, warm_up=0.0, pause=PAUSE_SECONDS) as load:
            load.wait_until_warm()
            load.measure()
            load.wait_until_done()
            expect_only(load.result(), "request 202", "verify 200")
            time.sleep(SETTLED_SECONDS)

    counted = _counted(stack, run)
    return {name: (counted[name] - idle[name] / idle["seconds"] * counted["seconds"]) / cycles for name in COUNTERS}


def _counted(stack: Stack, run: Callable[[], None]) -> dict[str, float]:
    """Return how far the store's counters went up in `run`, and the seconds that it took."""
    with redis.Redis.from_url(stack.redis_url) as store:
        store.ping()
        before, started = store.info("stats"), time.monotonic()
        run()
        after, seconds = store.info("stats"), time.monotonic() - started
    own = 1  # the first INFO
    return {"seconds": seconds, **{name: float(after[key] - before[key] - own) for name, key in COUNTERS.items()}}
