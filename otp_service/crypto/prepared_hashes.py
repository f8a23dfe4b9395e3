"""Hashes of random keys that are computed in advance: in idle CPU time, or in turns when few are left.

A new code then needs no hash of its own at the moment of its request: `key` is combined with the peppered code by
exclusive or, and the result is stored with the hash as its mask (see `hashing`). Only random keys are kept here, not
codes.

The thread that uses idle time runs only when nothing else wants its core, also in the middle of a hash. It therefore
holds no lock that another thread waits for: one that is paused with a lock would stop the others.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import NamedTuple

from otp_service.crypto.hash_threads import lower_priority
from otp_service.observability import LOG

__all__ = ["PreparedHash", "PreparedHashes"]


class PreparedHash(NamedTuple):
    """A random key, and its hash as a PHC string (`$argon2id$...`)."""

    key: bytes
    phc: str


class PreparedHashes:
    """At most `count` prepared hashes; each is used once. Any thread may call the methods."""

    def __init__(self, count: int, make: Callable[[], PreparedHash], is_busy: Callable[[], bool]) -> None:
        """Make no hash yet: the thread that prepares them starts with the first call of `pop`.

        No hash is begun while `is_busy` returns true; call `resume` when that ends. Two hashes that take turns on a
        core displace each other's memory from its caches: without this, a cycle took 6 % more CPU time at full load.
        """
        self._count = count
        self._make = make
        self._is_busy = is_busy
        self._ready: deque[PreparedHash] = deque()
        self._wake_ups: SimpleQueue[None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def pop(self) -> PreparedHash | None:
        """Return a prepared hash, which nobody else gets; None if there is none."""
        if self._thread is None and self._count:
            self._thread = threading.Thread(target=self._run, name="hash-prepare", daemon=True)
            self._thread.start()
        try:
            return self._ready.popleft()
        except IndexError:
            return None
        finally:
            self.resume()

    def resume(self) -> None:
        """Let the thread prepare hashes, if some are missing and `is_busy` returns false."""
        if len(self._ready) < self._count and not self._is_busy():
            self._wake_up()

    def is_low(self) -> bool:
        """Return whether less than a quarter is left."""
        return 4 * len(self._ready) < self._count

    def prepare(self) -> None:
        """Prepare one if one is missing.

        After an error, which the hashes of requests have as well, no more are prepared.
        """
        if len(self._ready) >= self._count:
            return
        try:
            prepared = self._make()
        except Exception:
            LOG.exception("hash_not_prepared")
            self._count = 0
            return
        self._ready.append(prepared)

    def close(self) -> None:
        """Return when the thread has ended; a hash that it computes is finished first, at the usual priority."""
        self._is_closed = True
        self._wake_up()
        if self._thread is not None:
            with contextlib.suppress(OSError, AttributeError):
                os.sched_setscheduler(self._thread.native_id or 0, os.SCHED_OTHER, os.sched_param(0))
            self._thread.join()

    def _wake_up(self) -> None:
        if self._wake_ups.empty():
            self._wake_ups.put(None)

    def _run(self) -> None:
        use_idle_time()
        while not self._is_closed:
            self._wake_ups.get()
            while len(self._ready) < self._count and not self._is_closed and not self._is_busy():
                self.prepare()


def use_idle_time() -> None:
    """Run this thread only when nothing else wants the core (Linux), or else at a lower priority."""
    lower_priority()
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
