"""(d) and (e): how long callers and messages wait at a share of the capacity, by arrivals that wait for nobody."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from tests.bench.bare_hash import hash_rate
from tests.bench.capacity import CALLERS, expect_only
from tests.bench.figures import Line, Options, quantile
from tests.bench.service_stack import DEFAULT_HASH, running_stack

__all__ = ["deliveries", "latencies", "samples"]

SHARES: Final = (0.25, 0.5, 0.75)
HALF: Final = 0.5
REFILL_SECONDS: Final = 1.5
"""Idle time after a load that used up the prepared hashes: at a constant share of the capacity they are not used up."""
WORKERS: Final = {1: "one worker with a core to itself", 2: "two workers, with store and load on their cores"}
STEPS: Final = ("request", "verify")
STEPS_PER_CYCLE: Final = len(STEPS)


@dataclass(slots=True)
class Samples:
    """Of each round: the time of one hash in ms, those of single hashes, and all times by share and step, in ms."""

    hash_ms: list[float] = field(default_factory=list)
    single_ms: list[tuple[float, ...]] = field(default_factory=list)
    times: list[dict[float, dict[str, list[float]]]] = field(default_factory=list)

    def ratios(self, share: float, q: float) -> tuple[float, ...]:
        """Return a quantile of both steps in hash times, for each round."""
        return tuple(
            quantile(steps[share]["request"] + steps[share]["verify"], q) / hash_ms
            for steps, hash_ms in zip(self.times, self.hash_ms, strict=True)
        )

    def pooled(self, share: float) -> list[float]:
        """Return the times of both steps of all rounds, in hash times of their round."""
        return [
            one / hash_ms
            for steps, hash_ms in zip(self.times, self.hash_ms, strict=True)
            for step in STEPS
            for one in steps[share][step]
        ]


@cache
def samples(options: Options, workers: int) -> Samples:
    """Measure capacity and hash time, then each share of that capacity, `rounds` times in turn.

    Between the loads, the service has time to prepare hashes again; it prepares none while bare hashes are measured.
    """
    found, shares = Samples(), SHARES if "d" in options.letters else (HALF,)
    seconds = options.seconds(5.0, 4.0)
    with running_stack(DEFAULT_HASH, workers=workers) as stack:
        for _ in range(options.rounds):
            capacity = float(stack.load(seconds=seconds / 2, callers=CALLERS * workers, warm_up=1.0)["per_second"])
            time.sleep(REFILL_SECONDS)
            bare = hash_rate(workers, 1.0, STEPS_PER_CYCLE * capacity * HALF if "d" in options.letters else 0.0)
            found.hash_ms.append(1000 * workers / bare.per_second)
            found.single_ms.append(bare.single_ms)
            times: dict[float, dict[str, list[float]]] = {}
            for share in shares:
                if times:
                    time.sleep(REFILL_SECONDS)
                result = stack.load(per_second=capacity * share, seconds=seconds, callers=4)
                expect_only(result, "request 202", "verify 200")
                times[share] = result["times"]
            found.times.append(times)
    return found


def latencies(options: Options) -> Iterator[Line]:
    """(d) Quantiles of request-code and verify-code at shares of the capacity, one hash taken as 1."""
    for workers, cores in WORKERS.items():
        yield from _latencies(samples(options, workers), cores)


def _latencies(found: Samples, cores: str) -> Iterator[Line]:
    key = "_".join(cores.split()[:2])
    for share in SHARES:
        for q in (0.5, 0.99):
            yield Line(
                name=f"d.{key}_p{100 * q:g}_at_{share:.0%}".rstrip("%"),
                text=f"p{100 * q:g} at {share:.0%} of the capacity, in hash times, {cores}",
                values=found.ratios(share, q),
                at_most=2.5 if (share, q) == (HALF, 0.99) else None,
            )
        pooled = found.pooled(share)
        yield Line(
            name=f"d.{key}_p99.9_at_{share:.0%}".rstrip("%"),
            text=f"p99.9 at {share:.0%} of the capacity, of all {len(pooled)} requests, {cores}",
            values=(quantile(pooled, 0.999),),
        )
    yield from _single_hashes(found, key, cores)


def _single_hashes(found: Samples, key: str, cores: str) -> Iterator[Line]:
    """Quantiles of bare hashes that begin as requests arrive at half the capacity, without their waiting.

    An answer that needs a hash after its request cannot be faster. Unlike a hash that follows another one, each begins
    with what the pause left of the caches.
    """
    singles = [
        [one / hash_ms for one in times] for times, hash_ms in zip(found.single_ms, found.hash_ms, strict=True) if times
    ]
    pooled = [one for times in singles for one in times]
    if not pooled:
        return
    text = f"single bare hashes, begun at the arrivals of {HALF:.0%}"
    p50 = tuple(quantile(times, 0.5) for times in singles)
    yield Line(name=f"d.{key}_bare_p50", text=f"p50 of {text}, in hash times, {cores}", values=p50)
    p99 = (quantile(pooled, 0.99),)
    yield Line(name=f"d.{key}_bare_p99", text=f"p99 of {len(pooled)} {text}, in hash times, {cores}", values=p99)


def deliveries(options: Options) -> Iterator[Line]:
    """(e) From the 202 to the arrival of the message at the gateway, at half the capacity of two workers."""
    found = samples(options, 2)
    for q, target in ((0.5, None), (0.99, 50.0)):
        yield Line(
            name=f"e.p{100 * q:g}",
            text=f"from the 202 to the gateway at 50% of the capacity, p{100 * q:g}",
            values=tuple(quantile(steps[HALF]["delivery"], q) for steps in found.times),
            unit="ms",
            at_most=target,
        )
