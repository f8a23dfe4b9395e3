"""Threads that compute hashes at a lower priority than the event loop.

A thread takes its next job from the fair queue itself, so it does not wait for the event loop between two hashes.

Workers that share cores have a queue each, and use a core in turns, one hash each (`core_lock`). A tenant that has used
less than its share is next in its worker's queue, but the core could go to another worker first, whose queue a flood
has filled. A thread therefore keeps its core for one more hash if that is the job of such a tenant.

While many jobs wait, results are delivered to the event loop several together (`RESULTS_TOGETHER`).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Sized
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any, Final, Generic, TypeVar

from otp_service.crypto.core_lock import CoreLock
from otp_service.crypto.fair_queue import Caller, FairQueue

__all__ = ["HashThreads", "HeldResults", "lower_priority", "threads_per_worker", "usable_cores"]

T = TypeVar("T")

NICENESS: Final = 10

MANY_WAITING: Final = 8
"""While at least this many jobs wait, results are held back, except those of tenants that used less than their share.

A result waits for the hashes of `RESULTS_TOGETHER` - 1 other requests at most, and for as many prepared ones; for no
more of them after `HELD_SECONDS`.
"""

HELD_SECONDS: Final = 0.2
"""Results are delivered at the next end of a hash, or before a thread waits for its core, if the first is that old.

Eight hashes; where more workers than cores compute hashes, others go between those of one worker.
"""

RESULTS_TOGETHER: Final = 4
"""How many results are delivered together then.

What follows a result (the response, the next request of the client, the delivery of its message) is a chain of about 15
short steps of the event loop. Each step between two parts of a hash finds its data displaced from the caches of the
core, and displaces those of the hash; four chains at a time do most of their steps one after another. With hashes of 24
ms on one core, a cycle of two hashes took 4.4 ms of the event loop instead of 7.0, and the hashes of full cycles were
0.90 of the bare ones instead of 0.86. More codes are made in the same time, so a new code waited for 1.48 s instead of
1.61; a comparison took 104 ms instead of 53. With 8 together the event loop took 3.9 ms and a comparison 222.
"""


class _LoopFuture(Generic[T]):
    """Passes the result of a job to `awaited`, in its event loop, with the methods of `Future` that a job needs.

    `asyncio.wrap_future` does the same with a `Future`, and takes 25 calls of Python more for each hash.
    """

    __slots__ = ("_loop", "awaited")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.awaited: asyncio.Future[T] = self._loop.create_future()

    def set_running_or_notify_cancel(self) -> bool:
        return not self.awaited.cancelled()

    def set_result(self, result: T) -> None:
        self._call_in_loop(self.awaited.set_result, result)

    def set_exception(self, error: BaseException) -> None:
        self._call_in_loop(self.awaited.set_exception, error)

    def cancel(self) -> None:
        self._call_in_loop(self.awaited.cancel)

    def _call_in_loop(self, method: Callable[..., object], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(self._unless_done, method, *arguments)
        except RuntimeError:  # the loop is closed, so nobody awaits the result
            return

    def _unless_done(self, method: Callable[..., object], *arguments: object) -> None:
        if not self.awaited.done():  # it may have been canceled meanwhile
            method(*arguments)


@dataclass(frozen=True, slots=True)
class _Job(Generic[T]):
    work: Callable[[], T]
    future: Future[T] | _LoopFuture[T]
    is_awaited: bool = True

    def run(self) -> Callable[[], None] | None:
        """Do the work and return what delivers its result; None if the job was canceled, or nobody awaits it."""
        if not self.future.set_running_or_notify_cancel():
            return None
        deliver: Callable[[], None]
        try:
            deliver = partial(self.future.set_result, self.work())
        except Exception as error:  # raised where the result is awaited
            deliver = partial(self.future.set_exception, error)
        return deliver if self.is_awaited else None


class HeldResults:
    """The results that are held back until several are delivered together. Any thread may call the methods."""

    def __init__(self, queue: Sized, clock: Callable[[], float] = time.monotonic) -> None:
        """Make it without results.

        Args:
            queue: The jobs that wait. Whoever has removed one calls `add` when it is done.
            clock: Returns seconds that never go back.
        """
        self._queue = queue
        self._clock = clock
        self._lock = threading.Lock()
        self._held: list[Callable[[], None]] = []
        self._held_since = 0.0

    def add(self, deliver: Callable[[], None] | None = None, *, at_once: bool = False) -> None:
        """Add a result, if there is one, and deliver all of them if that is due, or `at_once`.

        Whether jobs wait is read after the result is added: another thread may do the last one meanwhile.
        """
        with self._lock:
            if deliver is not None:
                if not self._held:
                    self._held_since = self._clock()
                self._held.append(deliver)
            if not (at_once or self._is_due()):
                return
            ready, self._held = self._held, []
        for one in ready:
            one()

    def _is_due(self) -> bool:
        return (
            len(self._held) >= RESULTS_TOGETHER
            or len(self._queue) < MANY_WAITING
            or self._clock() - self._held_since >= HELD_SECONDS
        )


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

    def __init__(self, count: int, lock_folder: str | None = None, on_idle: Callable[[], None] = lambda: None) -> None:
        """Make threads.

        Args:
            count: How many hashes are computed at a time.
            lock_folder: A folder that the workers of this machine share; with it, they compute one hash at a time on a
                CPU core together (see `core_lock`).
            on_idle: Is called in a thread whenever the last job is done.
        """
        self._on_idle = on_idle
        self._queue: FairQueue[_Job[Any]] = FairQueue()
        self.jobs_of = self._queue.jobs_of
        self._wake_ups: SimpleQueue[None] = SimpleQueue()
        """At least one item for each job in the queue."""
        cores = usable_cores()
        self._locks = [  # the first thread of each worker begins at another core
            CoreLock(lock_folder, (os.getpid() + n) % cores, cores) if lock_folder else None for n in range(count)
        ]
        self._results = HeldResults(self._queue)
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
        future = Future[T]()
        self._add(caller, _Job(work, future, is_awaited=not background), comparison=comparison, background=background)
        return future

    def run(self, caller: Caller, work: Callable[[], T], *, comparison: bool) -> asyncio.Future[T]:
        """Do as `submit`, for a task of the running event loop."""
        future: _LoopFuture[T] = _LoopFuture()  # `_LoopFuture[T]()` would take three calls
        self._add(caller, _Job(work, future), comparison=comparison)
        return future.awaited

    def _add(self, caller: Caller, job: _Job[T], *, comparison: bool, background: bool = False) -> None:
        if self._closed:
            raise RuntimeError("the hash pool is closed")
        if not self._started:
            self._started = True
            for thread in self._threads:
                thread.start()
        self._queue.push(caller, job, comparison=comparison, background=background)
        self._wake_ups.put(None)

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
        self._results.add(at_once=True)
        for lock in filter(None, self._locks):
            lock.close()

    def is_busy(self) -> bool:
        """Return whether a job waits or is being done."""
        return self._queue.size > 0 or any(self._is_working)

    def _run(self, number: int, lock: CoreLock | None) -> None:
        lower_priority()
        while True:
            self._wake_ups.get()
            if self._closed:
                return
            if lock is None:
                self._do_next_job(number)
                continue
            with self._holding(lock):
                self._do_next_job(number)
                if self._queue.next_has_credit():
                    self._do_next_job(number)

    def _do_next_job(self, number: int) -> None:
        """Do the next job, if there is one, in the thread of this number."""
        if (found := self._queue.pop_with_credit()) is None:
            return
        job, has_credit = found
        self._is_working[number] = True
        deliver = job.run()
        self._is_working[number] = False
        self._results.add(deliver, at_once=has_credit)
        if not self.is_busy():
            self._on_idle()

    @contextlib.contextmanager
    def _holding(self, lock: CoreLock) -> Iterator[None]:
        """Hold the lock of a core. While this thread waits for it, another one may find its core free for the job."""
        if not lock.try_acquire():
            if self._queue:
                self._wake_ups.put(None)
            self._results.add()
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
