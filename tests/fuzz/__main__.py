"""Run schemathesis over our own document and CAMARA's: `python -m tests.fuzz --examples 10000`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from tests.fuzz.schema_runs import CAMARA, OWN, Options, fuzz


def main() -> int:
    """Run, print what schemathesis printed, and return 1 if it found a failure."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=1000, help="generated requests for each operation (1000)")
    parser.add_argument("--document", choices=["own", "camara"], help="only this one")
    parser.add_argument("--camara", metavar="FILE", help="CAMARA's published YAML, instead of its facts in this folder")
    parser.add_argument("--workers", type=int, default=1, help="requests at once (1)")
    parser.add_argument("--seed", type=int, help="repeat a run")
    options = parser.parse_args()
    camara = replace(CAMARA, location=str(Path(options.camara).absolute())) if options.camara else CAMARA
    failed = False
    for document in (OWN, camara):
        if options.document not in (None, document.name):
            continue
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            run = Options(options.examples, workers=options.workers, seed=options.seed)
            result = asyncio.run(fuzz(document, run, Path(folder)))
        failed = failed or result.status != 0
        sys.stdout.write(f"{result.output}\n{document.name}: {result.cases} requests, status {result.status}, ")
        sys.stdout.write(f"{time.monotonic() - started:.0f} s\n")
        for (route, status), count in sorted(result.answers.items()):
            sys.stdout.write(f"  {count:6} {status} {route}\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
