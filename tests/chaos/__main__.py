"""`python -m tests.chaos [seed ...]`: these seeds, or the first `CHAOS_SEEDS` of them (20).

Ends with status 1 when a promise was broken; the logs and the config of that seed are kept then.
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

from tests.chaos.invariants import Verdict, judge
from tests.chaos.scenario import Plan
from tests.chaos.scenario_run import live
from tests.chaos.seed_summary import line, table

DEFAULT_SEEDS = "20"


def main(words: Sequence[str]) -> int:
    """Run seeds one after the other: 0 if every promise was kept."""
    seeds = [int(word) for word in words] or list(range(1, int(os.environ.get("CHAOS_SEEDS", DEFAULT_SEEDS)) + 1))
    began = time.monotonic()
    verdicts = [run(seed) for seed in seeds]
    say(table(verdicts, time.monotonic() - began))
    return int(any(verdict.breaches for verdict in verdicts))


def run(seed: int) -> Verdict:
    """Run one seed, and write its line."""
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-"))
    try:
        found = asyncio.run(live(Plan.of(seed), folder))
    except Exception as problem:  # a service that does not come back, or does not answer: go on with the next
        traceback.print_exception(problem)
        verdict = Verdict(seed, breaches=[f"it broke off: {problem!r}"])
        say(f"seed {seed:>3} | BROKEN: it broke off")
    else:
        verdict = judge(found)
        say(line(verdict, found))
    if verdict.breaches:
        say(f"    kept: {folder}")
    else:
        shutil.rmtree(folder)
    return verdict


def say(text: str) -> None:
    """Write at once: a run takes minutes."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
