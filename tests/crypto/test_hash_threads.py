"""The hash threads: when results are delivered, and when the threads are idle."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from otp_service.crypto import hash_threads
from otp_service.crypto.core_lock import CoreLock
from otp_service.crypto.fair_queue import CREDIT, Caller
from otp_service.crypto.hash_threads import HELD_SECONDS, MANY_WAITING, RESULTS_TOGETHER, HashThreads, HeldResults
from otp_service.crypto.hashing import PREPARING

FLOOD, HONEST = ("flooding", "app"), ("honest", "web")
LONG = CREDIT + 3 * RESULTS_TOGETHER + 1 + MANY_WAITING
"""Jobs of a flood: those with its credit, three groups, one that begins another group, and the last ones."""

IN_GROUPS = [CREDIT + n // RESULTS_TOGETHER * RESULTS_TOGETHER for n in range(3 * RESULTS_TOGETHER)]
"""How many results are delivered before each job of the groups."""


class Pool:
    """One hash thread. Its first job ends in `run`, so that all jobs that are submitted before wait in the queue."""

    def __init__(self) -> None:
        self._gate = threading.Event()
        self.idle: list[int] = []
        self.jobs: list[Future[int]] = []
        self.threads = HashThreads(1, on_idle=lambda: self.idle.append(self.delivered()))
        self.threads._results = HeldResults(self.threads._queue, clock=lambda: 0.0)
        self.submit(self._wait)

    def _wait(self) -> int:
        assert self._gate.wait(10)
        return self.delivered()

    def delivered(self) -> int:
        """Return how many results are delivered."""
        return sum(job.done() for job in self.jobs)

    def submit(self, work: Callable[[], int], caller: Caller = FLOOD) -> None:
        """Add a job."""
        self.jobs.append(self.threads.submit(caller, work, comparison=True))

    def fill(self, count: int) -> None:
        """Add jobs of the flood that return how many results are delivered before them."""
        for _ in range(count):
            self.submit(self.delivered)

    def run(self) -> list[int]:
        """Do all jobs, and return their results."""
        self._gate.set()
        return [job.result(10) for job in self.jobs]


class Waiting:
    """A queue in which many jobs wait; `reads` has how many results were held whenever its length was read."""

    def __init__(self) -> None:
        self.reads: list[int] = []
        self.results: list[HeldResults] = []

    def __len__(self) -> int:
        self.reads += [len(one._held) for one in self.results]
        return MANY_WAITING


@pytest.fixture
def pool() -> Iterator[Pool]:
    """Return a pool, and close it."""
    made = Pool()
    yield made
    made.run()
    made.threads.close()


def test_results_are_delivered_together_while_many_jobs_wait(pool: Pool) -> None:
    """After the credit of the tenant in groups, and one by one when fewer jobs wait."""
    pool.fill(LONG - 1)
    last = LONG - MANY_WAITING
    assert pool.run() == [*range(CREDIT), *IN_GROUPS, last - 1, last - 1, *range(last + 1, LONG)]


def test_few_jobs_are_delivered_one_by_one(pool: Pool) -> None:
    """Nobody waits for the result of another job where the queue is short."""
    pool.fill(MANY_WAITING - 1)
    assert pool.run() == list(range(MANY_WAITING))


def test_who_has_used_less_than_its_share_does_not_wait_for_the_results_of_others(pool: Pool) -> None:
    """The result of such a tenant is delivered at once, beside a flood whose results are delivered together."""
    pool.fill(CREDIT - 1)

    def first_of_a_group() -> int:
        pool.submit(pool.delivered, HONEST)
        return pool.delivered()

    pool.submit(first_of_a_group)
    pool.fill(LONG)
    *found, honest = pool.run()
    assert (found[CREDIT], honest) == (CREDIT, CREDIT)
    assert found[CREDIT + 1 : CREDIT + 6] == [CREDIT + 2] * RESULTS_TOGETHER + [CREDIT + 2 + RESULTS_TOGETHER]


def test_canceled_jobs_hold_nothing_back(pool: Pool) -> None:
    """If all jobs that wait are canceled, the results before them are delivered all the same."""
    pool.fill(CREDIT)
    waiting = [pool.threads.submit(FLOOD, pool.delivered, comparison=True) for _ in range(LONG)]
    assert all(job.cancel() for job in waiting)
    assert pool.run() == list(range(CREDIT + 1))


def test_an_error_is_a_result(pool: Pool) -> None:
    """It is raised where the result is awaited, in the group of its job."""
    pool.fill(CREDIT - 1)

    def fail() -> int:
        raise ValueError(pool.delivered())

    failing = pool.threads.submit(FLOOD, fail, comparison=True)
    pool.fill(LONG)
    assert pool.run()[CREDIT : CREDIT + 4] == [CREDIT] * 3 + [CREDIT + 3]
    with pytest.raises(ValueError, match=str(CREDIT)):
        failing.result(10)


def test_a_result_for_a_closed_event_loop_is_dropped(pool: Pool) -> None:
    """Nobody awaits it any more, and the thread does the next job."""

    async def submit() -> None:
        pool.threads.run(FLOOD, pool.delivered, comparison=True)

    asyncio.run(submit())
    pool.fill(2)
    assert pool.run() == [0, 1, 2]


def test_jobs_that_nobody_waits_for_are_not_counted(pool: Pool) -> None:
    """A group has as many awaited results with prepared hashes between them as without."""
    pool.fill(CREDIT - 1)
    for _ in range(LONG):
        pool.fill(1)
        pool.threads.submit(PREPARING, lambda: 0, comparison=False, background=True)
    assert pool.run()[: CREDIT + 8] == [*range(CREDIT), *IN_GROUPS[:8]]


def test_closing_delivers_what_is_held_back(pool: Pool) -> None:
    """A result that waits for others is not lost when no job follows."""
    held = Future[int]()
    pool.run()
    pool.threads._results = HeldResults(Waiting())
    pool.threads._results.add(lambda: held.set_result(1))
    assert not held.done()
    pool.threads.close()
    assert held.result(0) == 1


def test_whether_jobs_wait_is_read_after_the_result_is_added() -> None:
    """Before it, another thread could do all of them in between, and none would be left to deliver the result."""
    queue = Waiting()
    results = HeldResults(queue)
    queue.results.append(results)
    for _ in range(RESULTS_TOGETHER - 1):
        results.add(lambda: None)
    assert queue.reads == [1, 2, 3]


def test_results_are_not_held_for_long() -> None:
    """The first one decides, and the time begins again with the next group."""
    now, delivered = [100.0], list[int]()
    results = HeldResults(Waiting(), lambda: now[0])
    for group in range(2):
        results.add(lambda: delivered.append(1))
        now[0] += 0.99 * HELD_SECONDS
        results.add(lambda: delivered.append(2))
        assert len(delivered) == 2 * group
        now[0] += 0.02 * HELD_SECONDS
        results.add()
        assert delivered == [1, 2] * (group + 1)


def test_old_results_are_delivered_before_a_thread_waits_for_its_core(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other workers may use the core for a while."""
    monkeypatch.setattr(hash_threads, "usable_cores", lambda: 1)
    monkeypatch.setattr(hash_threads, "HELD_SECONDS", 0.0)
    held, delivered = CoreLock(str(tmp_path), 0, 1), threading.Event()
    threads = HashThreads(1, str(tmp_path))
    threads._results = HeldResults(Waiting())
    threads._results._held.append(delivered.set)
    held.acquire()
    job = threads.submit(FLOOD, lambda: None, comparison=True)
    assert delivered.wait(10)
    held.release()
    job.result(10)
    threads.close()
    held.close()


def test_the_threads_are_idle_when_the_last_job_is_done(pool: Pool) -> None:
    """`on_idle` is called once, after the last result is delivered."""
    pool.fill(LONG - 1)
    pool.run()
    pool.threads.close()
    assert pool.idle == [LONG]
    assert not pool.threads.is_busy()


def test_two_threads_are_idle_when_both_are() -> None:
    """While one of them works, the other one does not report that they are idle."""
    idle, go_on = [], threading.Event()
    threads = HashThreads(2, on_idle=lambda: idle.append(go_on.is_set()))
    long = threads.submit(FLOOD, lambda: go_on.wait(10), comparison=True)
    for _ in range(20):
        threads.submit(FLOOD, lambda: None, comparison=True).result(10)
    go_on.set()
    long.result(10)
    threads.close()
    assert idle
    assert all(idle)
