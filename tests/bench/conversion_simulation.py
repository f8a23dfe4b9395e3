"""Simulates a route by conversion whose best provider silently stops delivering, against fixed and round-robin routes.

`python -m tests.bench.conversion_simulation [--runs N] [--plot FILE]` prints a table, and writes a plot as SVG. The
routes and the weighing of results are the service's own; messages, users and the clock are simulated, from a seed.
"""

from __future__ import annotations

import argparse
import bisect
import random
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Final

from otp_service.delivery.routing import Route, Routes
from otp_service.domain.conversion import COUNTED_MINUTES, ConversionResults, CountKey, number_prefix, weigh

__all__ = ["Scenario", "Simulation", "simulate"]

NUMBER: Final = "+6281210100055"
SYNC_SECONDS: Final = 10.0
SECONDS: Final = 60.0
MAX_ENTRY_SECONDS: Final = 300.0
MOVED_SHARE: Final = 0.1
"""The traffic has moved when the provider that stopped gets at most this share of the messages of a minute."""

Order = Callable[[int, ConversionResults], str]
"""Selects the provider of message number n."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Providers with their conversions, and when the first of them stops delivering without an error.

    `entry_median_seconds`: how long a user takes to enter a code; the times are log-normal.
    """

    conversions: tuple[tuple[str, float], ...] = (("a", 0.90), ("b", 0.85), ("c", 0.60))
    messages_per_minute: int = 60
    minutes: int = 120
    stops_at: int = 60
    entry_median_seconds: float = 25.0
    entry_sigma: float = 0.6

    def conversion(self, provider: str, minute: float) -> float:
        """Return the probability that a code is verified."""
        first, _ = self.conversions[0]
        return 0.0 if provider == first and minute >= self.stops_at else dict(self.conversions)[provider]

    def best(self, minute: float) -> float:
        """Return the conversion of the best provider at that time."""
        return max(self.conversion(name, minute) for name, _ in self.conversions)


@dataclass(slots=True)
class Simulation:
    """What happened.

    Attributes:
        lost: By minute, how many verifications fewer than with the best provider of that minute are expected.
        first_share: By minute, the share of messages that the first provider got.
    """

    lost: list[float]
    first_share: list[float] = field(default_factory=list)

    def lost_before_moved(self, stops_at: int) -> tuple[float, int]:
        """Return the conversions lost until the traffic moved, and after how many minutes it did."""
        for minute, share in enumerate(self.first_share[stops_at:]):
            if share <= MOVED_SHARE:
                return sum(self.lost[stops_at : stops_at + minute]), minute
        return sum(self.lost[stops_at:]), len(self.first_share) - stops_at


def simulate(scenario: Scenario, select: Order, seed: int) -> Simulation:
    """Send the messages of a scenario at even intervals; results reach `select` when the service synchronizes them."""
    source = random.Random(seed)  # noqa: S311 - a simulation
    counts: Counter[CountKey] = Counter()
    verified: list[tuple[float, CountKey]] = []
    results, next_sync = ConversionResults(), 0.0
    lost, first = [0.0] * scenario.minutes, [0] * scenario.minutes
    for number in range(scenario.minutes * scenario.messages_per_minute):
        now = number * SECONDS / scenario.messages_per_minute
        minute = int(now // SECONDS)
        if now >= next_sync:
            next_sync = now + SYNC_SECONDS
            entered = bisect.bisect_right(verified, (now, CountKey(minute + 1, "", "", verified=False)))
            counts.update(key for _, key in verified[:entered])
            del verified[:entered]
            results = weigh({key: n for key, n in counts.items() if minute - key.minute <= COUNTED_MINUTES}, minute)
        provider = select(number, results)
        conversion = scenario.conversion(provider, minute)
        lost[minute] += scenario.best(minute) - conversion
        first[minute] += provider == scenario.conversions[0][0]
        counts[CountKey(minute, provider, number_prefix(NUMBER), verified=False)] += 1
        delay = scenario.entry_median_seconds * source.lognormvariate(0, scenario.entry_sigma)
        if source.random() < conversion and delay <= MAX_ENTRY_SECONDS:
            key = CountKey(minute, provider, number_prefix(NUMBER), verified=True)
            bisect.insort(verified, (now + delay, key))
    return Simulation(lost, [count / scenario.messages_per_minute for count in first])


def strategies(scenario: Scenario, seed: int) -> dict[str, Order]:
    """Return the ways to select a provider that are compared."""
    names = [name for name, _ in scenario.conversions]
    route = Route(tuple(names), exploration=0.05)

    def by_conversion(number: int, results: ConversionResults) -> str:
        return Routes([route], lambda: results).providers("ID", NUMBER, f"{seed}:{number}")[0]

    return {
        'strategy "conversion"': by_conversion,
        "round-robin": lambda number, _: names[number % len(names)],
        **{f"{name} only": (lambda _number, _results, name=name: name) for name in names},  # type: ignore[misc]  # binds the value of this pass
    }


def run(scenario: Scenario, runs: int) -> dict[str, list[Simulation]]:
    """Simulate every strategy with the same seeds."""
    return {
        name: [simulate(scenario, strategies(scenario, seed)[name], seed) for seed in range(runs)]
        for name in strategies(scenario, 0)
    }


def table(scenario: Scenario, found: dict[str, list[Simulation]]) -> str:
    """Return the medians as text: conversions lost before and after the stop, and until the traffic moved."""
    rows = [f"{'':24}{'lost before stop':>18}{'lost after':>12}{'until moved':>13}{'minutes':>9}"]
    for name, simulations in found.items():
        before = statistics.median(sum(one.lost[: scenario.stops_at]) for one in simulations)
        after = statistics.median(sum(one.lost[scenario.stops_at :]) for one in simulations)
        moved = statistics.median(one.lost_before_moved(scenario.stops_at)[0] for one in simulations)
        minutes = statistics.median(one.lost_before_moved(scenario.stops_at)[1] for one in simulations)
        rows.append(f"{name:24}{before:18.0f}{after:12.0f}{moved:13.0f}{minutes:9.0f}")
    return "\n".join(rows)


def plot(scenario: Scenario, found: dict[str, list[Simulation]]) -> str:
    """Return an SVG with the conversions lost so far, by minute: one line for each strategy."""
    colors = ("#c33", "#36c", "#393", "#963", "#666")
    curves = {name: _cumulated(simulations[0].lost) for name, simulations in found.items()}
    largest = max(max(curve) for curve in curves.values()) or 1.0
    parts = []
    for color, (name, curve) in zip(colors, curves.items(), strict=False):
        points = " ".join(
            f"{40 + 560 * minute / scenario.minutes:.1f},{380 - 340 * lost / largest:.1f}"
            for minute, lost in enumerate(curve)
        )
        label = 380 - 340 * curve[-1] / largest
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts.append(f'<text x="610" y="{label:.1f}" fill="{color}">{escape(name)}: {curve[-1]:.0f}</text>')
    stop = 40 + 560 * scenario.stops_at / scenario.minutes
    parts.append(f'<line x1="{stop}" x2="{stop}" y1="20" y2="380" stroke="#999" stroke-dasharray="4"/>')
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="860" height="400" style="font: 12px sans-serif">\n'
        f'<text x="40" y="14">conversions lost; the dashed line: {scenario.conversions[0][0]} stops delivering</text>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _cumulated(values: Sequence[float]) -> list[float]:
    total, sums = 0.0, []
    for value in values:
        total += value
        sums.append(total)
    return sums


def main() -> None:
    """Print the table, and write the plot if a file is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    scenario = Scenario()
    found = run(scenario, options.runs)
    sys.stdout.write(table(scenario, found) + "\n")
    if options.plot:
        options.plot.write_text(plot(scenario, found), encoding="utf-8")


if __name__ == "__main__":
    main()
