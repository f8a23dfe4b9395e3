"""`python -m tests.chaos [seed ...]`: run these seeds, or the first `CHAOS_SEEDS` (20).

The exit status is 1 if an invariant was violated; the logs and the config of that seed are kept then.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.invariants import Report, check_invariants
from tests.chaos.scenario import Scenario
from tests.chaos.scenario_run import run_scenario
from tests.chaos.seed_summary import summary_line, summary_table

DEFAULT_SEEDS = "20"


def main(arguments: Sequence[str]) -> int:
    """Run the seeds one after the other; return 0 if no invariant was violated."""
    seeds = [int(argument) for argument in arguments] or list(
        range(1, int(os.environ.get("CHAOS_SEEDS", DEFAULT_SEEDS)) + 1)
    )
    started = time.monotonic()
    reports = [run(seed) for seed in seeds]
    print_line(summary_table(reports, time.monotonic() - started))
    return int(any(report.violations for report in reports))


def run(seed: int) -> Report:
    """Run one seed and print its summary line."""
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-"))
    try:
        observations = asyncio.run(run_scenario(Scenario.of(seed), folder))
    except Exception as error:  # the service does not restart or respond: continue with the next seed
        traceback.print_exception(error)
        report = Report(seed, violations=[f"aborted: {error!r}"])
        print_line(f"seed {seed:>3} | VIOLATED: aborted")
    else:
        report = check_invariants(observations)
        print_line(summary_line(report, observations))
    if report.violations:
        print_line(f"    kept: {folder}")
    else:
        shutil.rmtree(folder)
    return report


def print_line(text: str) -> None:
    """Print and flush, because a run takes minutes."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
