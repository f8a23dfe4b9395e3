"""Checks the proofs on standard input, one line of three texts between tabs each, by the sample in the README."""

from __future__ import annotations

import sys

from sample import verify_proof  # type: ignore[import-not-found]  # it is written beside a copy of this file

for line in sys.stdin:
    try:
        result = "ok " + verify_proof(*line.removesuffix("\n").split("\t"))["jti"]
    except Exception as error:
        result = f"refused {error}"
    sys.stdout.write(result.replace("\n", " ") + "\n")
    sys.stdout.flush()
