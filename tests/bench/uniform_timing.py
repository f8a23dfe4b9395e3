"""`python -m tests.bench.uniform_timing`: whether the time of a refusal tells its reason, with `uniform_errors`.

The attempts run one after the other in the process of the service, in random order and at the default hash, against a
real store: less noise than any network has. For each reason it prints the ratios of the median and of the 90th
percentile to those of a wrong code, and the probability that a refusal for this reason takes longer than a wrong code
(the statistic of Mann and Whitney over the number of pairs): 0.5 tells nothing, 0 or 1 tells all.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import contextlib
import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from otp_service.api import response_pacing
from otp_service.observability import configure_logging
from otp_service.sandbox.embedded_server import EmbeddedServer
from tests.refused_attempts import RefusedAttempt, refused_attempts, uniform_config, wrong_attempts
from tests.running_service import RunningService, ServiceFactory, move_clock_by_key

__all__ = ["DEFAULT_HASH", "Comparison", "compared", "measure"]

DEFAULT_HASH: Final[dict[str, Any]] = {"hashing": {"time_cost": 3, "memory_kib": 12288, "prepared": 0}}
WRONG: Final = "wrong"
UNPACED: Final = 1e9
"""A rate that nobody reaches."""


class Comparison(NamedTuple):
    """The refusals for a reason beside those of wrong codes."""

    median_ratio: float
    p90_ratio: float
    slower: float
    """The probability that one of them takes longer than one of the wrong codes."""


async def measure(service: RunningService, rounds: int, seed: int = 1) -> dict[str, list[float]]:
    """Return the seconds of each refusal by its reason; each round has every reason once, in random order.

    Responses are not paced meanwhile: one caller that gets more than 50 refusals a second is delayed otherwise.
    """
    order, found = random.Random(seed), defaultdict[str, list[float]](list)  # noqa: S311 - an order of measurements
    attempts, wrong = await refused_attempts(service), wrong_attempts(service)
    codes = [await anext(wrong) for _ in range(rounds)]
    with _unpaced():
        for round_, wrong_code in enumerate(codes):
            for one in order.sample([*attempts, wrong_code], len(attempts) + 1):
                seconds = await _timed(service, one)
                if round_:  # the first round warms up
                    found[one.reason].append(seconds)
    return found


@contextlib.contextmanager
def _unpaced() -> Iterator[None]:
    rates = {"ERRORS_PER_SECOND": UNPACED, "OTHER_RESPONSES_PER_SECOND": UNPACED}
    before = {name: vars(response_pacing)[name] for name in rates}
    vars(response_pacing).update(rates)
    try:
        yield
    finally:
        vars(response_pacing).update(before)


async def _timed(service: RunningService, one: RefusedAttempt) -> float:
    started = time.perf_counter()
    await service.verify(one.verification_id, one.code)
    return time.perf_counter() - started


def compared(found: Mapping[str, Sequence[float]]) -> dict[str, Comparison]:
    """Compare each reason with wrong codes."""
    wrong = sorted(found[WRONG])
    return {reason: _compare(seconds, wrong) for reason, seconds in found.items()}


def _compare(seconds: Sequence[float], wrong: Sequence[float]) -> Comparison:
    wins = sum(bisect.bisect_left(wrong, one) + bisect.bisect_right(wrong, one) for one in seconds) / 2
    return Comparison(
        statistics.median(seconds) / statistics.median(wrong),
        statistics.quantiles(seconds, n=10)[-1] / statistics.quantiles(wrong, n=10)[-1],
        wins / (len(seconds) * len(wrong)),
    )


async def _report(rounds: int, *, uniform: bool) -> None:
    with EmbeddedServer() as server, move_clock_by_key():
        factory = ServiceFactory(server.url)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(factory.close)
            service = await factory(uniform_config(uniform=uniform) | DEFAULT_HASH)
            found = await measure(service, rounds)
    sys.stdout.write(f"uniform_errors = {str(uniform).lower()}, {rounds - 1} of each; a wrong code takes ")
    sys.stdout.write(f"{statistics.median(found[WRONG]) * 1000:.1f} ms in the median\n")
    for reason, one in compared(found).items():
        sys.stdout.write(
            f"  {reason:18} p50 x{one.median_ratio:.3f}  p90 x{one.p90_ratio:.3f}  slower {one.slower:.3f}\n"
        )


def main(arguments: Sequence[str]) -> None:
    """Measure with the policy and without it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.uniform_timing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=101, help="each has every reason once; default 101")
    rounds: int = parser.parse_args(arguments).rounds
    configure_logging("WARNING")
    for uniform in (True, False):
        asyncio.run(_report(rounds, uniform=uniform))


if __name__ == "__main__":
    main(sys.argv[1:])
