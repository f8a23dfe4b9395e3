"""`python -m tests.bench.python_calls [TEXT]`: the Python calls of a full cycle, by file.

With TEXT, the functions of the files whose path contains it. Where no function takes more than a few percent of the
time, the number of calls says more than a profile: it does not depend on the machine, or on what else runs there. A
coroutine counts once more for each time that it waited. Calls of functions in C are not counted.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final

from tests.bench.counted_service import COUNTS_FILE
from tests.bench.service_stack import running_stack

__all__ = ["calls_of_a_cycle"]

CYCLES: Final = 400
CALLERS: Final = 8
WRITE_SECONDS: Final = 20.0
ROOT: Final = f"{Path(__file__).parents[2]}/"
MOST: Final = 60

Place = tuple[str, int, str]
"""A file, a line and the name of a function."""


def calls_of_a_cycle() -> dict[Place, float]:
    """Run cycles with the cheapest hash; return how often each function is called in one of them, on average."""
    with tempfile.TemporaryDirectory() as folder:
        counts = Path(folder, "counts.json")
        with running_stack(module="tests.bench.counted_service", environ={COUNTS_FILE: str(counts)}) as stack:
            stack.load(count=CYCLES // 2, callers=CALLERS)
            os.kill(stack.pid, signal.SIGUSR1)
            stack.load(count=CYCLES, callers=CALLERS, warm_up=0)
            os.kill(stack.pid, signal.SIGUSR2)
            until = time.monotonic() + WRITE_SECONDS
            while not counts.exists():
                if time.monotonic() > until:
                    raise RuntimeError("the service did not write its counts")
                time.sleep(0.01)
            found: list[tuple[str, int, str, int]] = json.loads(counts.read_text())
    calls: Counter[Place] = Counter()
    for file, line, name, count in found:
        calls[_short(file), line, name] += count
    return {place: count / CYCLES for place, count in calls.items()}


def _short(file: str) -> str:
    """Return the path of a file in this repository, or in the folder of the libraries."""
    return re.sub(r"^.*/(site-packages|lib/python3\.\d+)/", "", file.removeprefix(ROOT))


def main(words: list[str]) -> None:
    """Print the most frequent ones."""
    calls = calls_of_a_cycle()
    chosen: dict[str, float] = {}
    for (file, line, name), n in calls.items():
        if not words:
            chosen[file] = chosen.get(file, 0) + n
        elif words[0] in file:
            chosen[f"{file}:{line} {name}"] = n
    most = sorted(chosen.items(), key=lambda one: -one[1])[:MOST]
    total = ("Python calls in a full cycle", sum(calls.values()))
    sys.stdout.writelines(f"{n:8.1f} {name}\n" for name, n in (total, *most))


if __name__ == "__main__":
    main(sys.argv[1:])
