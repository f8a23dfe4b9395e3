"""A lock for each CPU core, shared by worker processes: together they compute one hash at a time on a core.

More hashes at a time share the cores and their caches: with two workers on two cores each hash then takes 4-10 % more
CPU time, and all of them wait for each other. The locks are on files: the kernel releases them when a process ends.

Who acquires a lock is moved to its core. The kernel may have woken two hashes on one core, because the other one was
busy for a moment, and leaves them there for tens of milliseconds if the other one then does work of the lowest priority
(`prepared_hashes`). Without the move, 2 % of the comparisons at half load took twice their CPU time, and the p99 of all
requests was 73-88 ms instead of 65-75 (two cores; a hash took 24 ms). The thread stays free to be moved away again:
another process may need that core.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["CoreLock"]


class CoreLock:
    """The lock of one core, for one thread.

    The kernel does not queue the waiting processes: one that releases a file lock and wants it again would get it
    before the others wake. So a thread first acquires the lock of the next turn, and holds it until it has the core.
    """

    def __init__(self, folder: str, core: int, count: int) -> None:
        """Open the locks.

        Args:
            folder: A folder that the workers of this machine share.
            core: Which of the cores that this process is to use, from 0.
            count: How many those are.
        """
        self._number, self._count = core, count
        self._turn, self._core = (
            os.open(Path(folder, f"hash-{name}-{core}.lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            for name in ("turn", "core")
        )

    def close(self) -> None:
        """Close the files, which releases the locks."""
        os.close(self._turn)
        os.close(self._core)

    def try_acquire(self) -> bool:
        """Acquire the core if no other process has it or waits for it."""
        with contextlib.suppress(BlockingIOError), self._locked_turn(fcntl.LOCK_NB):
            fcntl.flock(self._core, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._move()
            return True
        return False

    def acquire(self) -> None:
        """Wait for the core."""
        with self._locked_turn():
            fcntl.flock(self._core, fcntl.LOCK_EX)
        self._move()

    def release(self) -> None:
        """Let the next one have the core."""
        fcntl.flock(self._core, fcntl.LOCK_UN)

    @contextlib.contextmanager
    def _locked_turn(self, flags: int = 0) -> Iterator[None]:
        fcntl.flock(self._turn, fcntl.LOCK_EX | flags)
        try:
            yield
        finally:
            fcntl.flock(self._turn, fcntl.LOCK_UN)

    def _move(self) -> None:
        """Move this thread to the core, where the operating system can do that.

        The cores of the main thread are read, which is never moved: those of this thread may still be one core, if the
        cores of the container have changed in between. If the process is to use fewer cores than it may
        (`PYTHON_CPU_COUNT`), the number is no core: such processes would all move their threads to the first cores.
        """
        if not hasattr(os, "sched_setaffinity"):
            return
        with contextlib.suppress(OSError):  # the cores of a container may change at any time
            usable = os.sched_getaffinity(os.getpid())
            if len(usable) == self._count:
                os.sched_setaffinity(0, {sorted(usable)[self._number]})
                os.sched_setaffinity(0, usable)
