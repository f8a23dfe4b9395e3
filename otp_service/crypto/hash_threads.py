"""Threads that compute hashes at a lower priority than the event loop.

A thread takes its next job from the fair queue itself, so it does not wait for the event loop between two hashes.

Workers that share cores have a queue each, and use a core in turns, one hash each (`core_lock`). A tenant that has used
less than its share is next in its worker's queue, but the core could go to another worker first, whose queue a flood
has filled. A thread therefore keeps its core for one more hash if that is the job of such a tenant.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Final, Generic, TypeVar

from otp_service.crypto.core_lock import CoreLock
from otp_service.crypto.fair_queue import Caller, FairQueue

__all__ = ["HashThreads", "lower_priority", "threads_per_worker", "usable_cores"]

T = TypeVar("T")

NICENESS: Final = 10


@dataclass(frozen=True, slots=True)
class _Job(Generic[T]):
    work: Callable[[], T]
    future: Future[T] = field(default_factory=Future)

    def run(self) -> None:
        """Do the work, unless the job was canceled while it waited."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self.future.set_result(self.work())
        except Exception as error:  # raised where the result is awaited
            self.future.set_exception(error)


def threads_per_worker(workers: int) -> int:
    """Return how many hashes a worker computes at a time.

    It is twice its share of the CPU cores, at most all: connections are not spread evenly over the workers, so one of
    them often has most of the work. With one thread in each of two workers on two cores, 16 callers got 0.53 of the
    bare hash rate instead of 0.80, and waited 10 hash times at half load (p99) instead of 4.
    """
    cores = usable_cores()
    return min(cores, 2 * math.ceil(cores / workers))


def usable_cores() -> int:
    """Return how many CPU cores this process may use, by its affinity and by `PYTHON_CPU_COUNT` (Python 3.13)."""
    cores = os.cpu_count() or 1
    return min(cores, len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else cores


class HashThreads:
    """A fixed number of threads; they start with the first job."""

    def __init__(self, count: int, lock_folder: str | None = None) -> None:
        """Make threads.

        Args:
            count: How many hashes are computed at a time.
            lock_folder: A folder that the workers of this machine share; with it, they compute one hash at a time on a
                CPU core together (see `core_lock`).
        """
        self._queue: FairQueue[_Job[Any]] = FairQueue()
        self._wake_ups: SimpleQueue[None] = SimpleQueue()
        """At least one item for each job in the queue."""
        cores = usable_cores()
        self._locks = [  # the first thread of each worker begins at another core
            CoreLock(lock_folder, (os.getpid() + n) % cores, cores) if lock_folder else None for n in range(count)
        ]
        self._is_working = [False] * count
        self._threads = [
            threading.Thread(target=self._run, args=(n, lock), name=f"hash-{n}", daemon=True)
            for n, lock in enumerate(self._locks)
        ]
        self._started = self._closed = False

    def submit(self, caller: Caller, work: Callable[[], T], *, comparison: bool, background: bool = False) -> Future[T]:
        """Run `work` in the turn of `caller`; canceling the result removes it from the queue.

        Args:
            caller: Whose job it is.
            work: What a thread is to call.
            comparison: Whether it is done before the new hashes of its caller (see `fair_queue`).
            background: Whether nobody waits for it.
        """
        if self._closed:
            raise RuntimeError("the hash pool is closed")
        if not self._started:
            self._started = True
            for thread in self._threads:
                thread.start()
        job = _Job(work)
        self._queue.push(caller, job, comparison=comparison, background=background)
        self._wake_ups.put(None)
        return job.future

    def close(self) -> None:
        """Cancel the jobs that wait, and return when the running ones are done."""
        self._closed = True
        while (job := self._queue.pop()) is not None:
            job.future.cancel()
        if self._started:
            for _ in self._threads:
                self._wake_ups.put(None)
            for thread in self._threads:
                thread.join()
        for lock in filter(None, self._locks):
            lock.close()

    def jobs_of(self, tenant: str) -> int:
        """Return how many jobs of a tenant wait."""
        return self._queue.jobs_of(tenant)

    def is_busy(self) -> bool:
        """Return whether a job waits or is being done."""
        return bool(self._queue) or any(self._is_working)

    def _run(self, number: int, lock: CoreLock | None) -> None:
        lower_priority()
        while True:
            self._wake_ups.get()
            if self._closed:
                return
            with contextlib.nullcontext() if lock is None else self._held(lock):
                self._do_next_job(number)
                if self._queue.next_has_credit():
                    self._do_next_job(number)

    def _do_next_job(self, number: int) -> None:
        """Do the next job, if there is one, in the thread of this number."""
        if (job := self._queue.pop()) is not None:
            self._is_working[number] = True
            job.run()
            self._is_working[number] = False

    @contextlib.contextmanager
    def _held(self, lock: CoreLock) -> Iterator[None]:
        """Hold the lock of a core. While this thread waits for it, another one may find its core free for the job."""
        if not lock.try_acquire():
            if self._queue:
                self._wake_ups.put(None)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()


def lower_priority() -> None:
    """Run this thread at a lower priority than the event loop, where threads have one of their own (Linux)."""
    if hasattr(os, "setpriority") and os.uname().sysname == "Linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
