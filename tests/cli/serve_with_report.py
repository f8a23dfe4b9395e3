"""`otp-service` that reports what the garbage collector skips, and at each fork how many threads there are."""

from __future__ import annotations

import atexit
import gc
import os
import sys

from otp_service.cli import main


def report() -> None:
    """Write how many objects are frozen, and the thresholds."""
    sys.stderr.write(f"frozen: {gc.get_freeze_count()} thresholds: {gc.get_threshold()}\n")
    sys.stderr.flush()


def report_threads() -> None:
    """Write how many threads the process has, those of C libraries included (Linux only)."""
    sys.stderr.write(f"threads at fork: {len(os.listdir('/proc/self/task'))}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    os.register_at_fork(before=report_threads)
    os.register_at_fork(after_in_child=report)
    atexit.register(report)
    main()
