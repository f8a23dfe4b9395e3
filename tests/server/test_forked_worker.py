"""Signals that arrive while a worker is forked."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import os, signal, time
from otp_service.server.supervisor import _forked_worker

signal.signal(signal.SIGTERM, lambda *_: None)  # as the supervisor, which notes the signal for itself
for _ in range(20):
    worker = _forked_worker(None, lambda sockets: time.sleep(60), [])
    worker.start()
    os.kill(worker.pid, signal.SIGTERM)
    worker.join(5)
    assert worker.exitcode == -signal.SIGTERM, worker.exitcode
assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])  # the supervisor gets its signals again
"""


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
def test_a_worker_that_was_just_forked_ends_at_sigterm() -> None:
    """SIGTERM ends the worker even before it runs: it is not lost in the handlers of the supervisor."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=150, check=False)

    assert done.returncode == 0, done.stderr
