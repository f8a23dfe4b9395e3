"""`python -m tests.bench [LETTER ...]`: measure the service as a user runs it.

Each figure is the median of several rounds in one run, with the smallest and the largest; what can be a ratio of two
values of the same run is one, because only that means something on another machine. `--short` is for every change: it
measures less, and the exit status is 1 if a ratio is worse than the committed baseline by more than a third, twice.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests.bench.baseline import read_baseline, worse_lines, write_baseline
from tests.bench.capacity import cheap_cycles, full_cycles
from tests.bench.figures import Figure, Line, Options
from tests.bench.floods import floods
from tests.bench.footprint import footprint
from tests.bench.growth import growth
from tests.bench.latency import deliveries, latencies
from tests.bench.peer import beside_peer
from tests.bench.plots import write_plots
from tests.bench.startup import startup

FIGURES: Final = {
    figure.letter: figure
    for figure in (
        Figure("a", "full cycles at the default hash against the bare hash rate of the same cores", full_cycles),
        Figure("b", "cycles with the cheapest hash against bare routes on the same core", cheap_cycles),
        Figure("c", "floods of refused requests, and another tenant beside them", floods),
        Figure("d", "times of request-code and verify-code at shares of the capacity", latencies),
        Figure("e", "from the 202 to the gateway", deliveries),
        Figure("f", "memory, round trips and commands of the store", footprint),
        Figure("g", "growth of the cost with a hundred times as much", growth),
        Figure("h", "start-up and memory", startup),
        Figure("i", "full cycles beside a peer, otpgateway, on the same core", beside_peer),
    )
}
SHORT: Final = "abcfgh"
LONG_ROUNDS: Final = 5
SHORT_ROUNDS: Final = 2


def main(arguments: Sequence[str]) -> int:
    """Measure; return 1 if a ratio of the short form is worse than the baseline twice."""
    chosen = _parser().parse_args(arguments)
    is_short = chosen.short or chosen.update_baseline
    options = Options(
        rounds=chosen.rounds or (SHORT_ROUNDS if is_short else LONG_ROUNDS),
        is_short=is_short,
        letters="".join(chosen.letters or (SHORT if is_short else FIGURES)),
        peer=chosen.peer,
    )
    started = time.monotonic()
    lines = [line for letter in options.letters for line in measured(FIGURES[letter], options)]
    if chosen.json:
        chosen.json.write_text(json.dumps(report(lines, options), indent=1) + "\n", encoding="utf-8")
    if chosen.plots:
        write_plots(lines, chosen.plots)
    if chosen.update_baseline:
        write_baseline(line for line in lines if line.values)
    failed = fallen(lines, options) if chosen.short else []
    print_line(f"{time.monotonic() - started:.0f} s; " + _summary(lines))
    for name in failed:
        print_line(f"FAILED: {name} is worse than tests/bench/baseline.toml by more than a third, twice")
    return int(bool(failed))


def measured(figure: Figure, options: Options) -> list[Line]:
    """Measure a figure, and print its lines below the command that measures it again."""
    short = " --short" if options.is_short else ""
    peer = f" --peer {options.peer}" if options.peer and figure.letter == "i" else ""
    command = f"python -m tests.bench {figure.letter} --rounds {options.rounds}{short}{peer}"
    print_line(f"({figure.letter}) {figure.title}: {command}")
    lines = []
    for line in figure.measure(options):
        print_line(str(line))
        lines.append(line)
    return lines


def fallen(lines: Sequence[Line], options: Options) -> list[str]:
    """Return the names of lines that are worse than the baseline; their figures are measured again first."""
    baseline = read_baseline()
    suspected = worse_lines(lines, baseline)
    failed = []
    for letter in sorted({name[0] for name in suspected}):
        print_line(f"({letter}) is worse than the baseline by more than a third; measured again")
        again = worse_lines(measured(FIGURES[letter], options), baseline)
        failed += [name for name in again if name in suspected]
    return failed


def report(lines: Sequence[Line], options: Options) -> dict[str, Any]:
    """Return everything for `--json`."""
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    return {**machine, "rounds": options.rounds, "short": options.is_short, "lines": [line.as_json() for line in lines]}


def _summary(lines: Sequence[Line]) -> str:
    targets = [line for line in lines if line.is_met is not None]
    return f"{sum(bool(line.is_met) for line in targets)} of {len(targets)} targets met"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure the service.")
    parser.add_argument("letters", nargs="*", metavar="LETTER", choices=[*FIGURES, []], help="a to i; default: all")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"default {LONG_ROUNDS}, with --short {SHORT_ROUNDS}")
    parser.add_argument("--short", action="store_true", help="measure less, and compare with the baseline")
    parser.add_argument("--update-baseline", action="store_true", help="measure the short form, and write its ratios")
    parser.add_argument("--peer", type=Path, metavar="BINARY", help="the binary of otpgateway, for figure (i)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all values")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", nargs="?", const=Path(".bench"), help="write SVG")
    return parser


def print_line(text: str) -> None:
    """Print and flush, because a run takes minutes."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
