"""Worker processes compute one hash at a time on a CPU core together."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from otp_service.crypto import hash_threads
from otp_service.crypto.core_lock import CoreLock
from otp_service.crypto.fair_queue import DEFAULT_CALLER
from otp_service.crypto.hash_threads import HashThreads

FLOOD = ("flooding", "app")

HOLD_UNTIL_KILLED = """
import sys, time
from otp_service.crypto.core_lock import CoreLock
CoreLock(sys.argv[1], 0, 1).acquire()
sys.stdout.write("held")
sys.stdout.flush()
time.sleep(60)
"""


def wait_until_someone_waits(folder: Path) -> None:
    """Wait until a thread waits for core 0, and so holds the lock of the next turn."""
    deadline = time.monotonic() + 5
    with (folder / "hash-turn-0.lock").open() as turn:
        while time.monotonic() < deadline:
            try:
                fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            fcntl.flock(turn, fcntl.LOCK_UN)
            time.sleep(0.001)
    raise TimeoutError


def test_a_core_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    """Its lock is free again when it is released; another core has its own."""
    first, second, other_core = (
        CoreLock(str(tmp_path), 0, 2),
        CoreLock(str(tmp_path), 0, 2),
        CoreLock(str(tmp_path), 1, 2),
    )
    assert (first.try_acquire(), second.try_acquire(), other_core.try_acquire()) == (True, False, True)
    first.release()
    assert (second.try_acquire(), first.try_acquire()) == (True, False)
    for lock in (first, second, other_core):
        lock.close()


def test_whoever_waits_is_next(tmp_path: Path) -> None:
    """One that releases a core does not get it back while another waits for it, however quickly it asks."""
    first, second = CoreLock(str(tmp_path), 0, 2), CoreLock(str(tmp_path), 0, 2)
    for _ in range(20):
        first.acquire()
        waiting = threading.Thread(target=second.acquire)
        waiting.start()
        wait_until_someone_waits(tmp_path)
        first.release()
        assert not first.try_acquire()
        waiting.join()
        second.release()
    first.close()
    second.close()


def test_a_process_that_dies_releases_its_core(tmp_path: Path) -> None:
    """A worker killed in the middle of a hash takes no capacity from the others."""
    words = [sys.executable, "-c", HOLD_UNTIL_KILLED, str(tmp_path)]
    lock = CoreLock(str(tmp_path), 0, 2)
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.read(4) == b"held"
        assert not lock.try_acquire()
        process.kill()
    assert lock.try_acquire()
    lock.close()


def current_core() -> int:
    """Return the core that this thread runs on: field 39 of its `stat` (proc_pid_stat(5))."""
    return int(Path("/proc/thread-self/stat").read_text().rpartition(")")[2].split()[36])


USABLE = sorted(os.sched_getaffinity(0))
"""Read before a test acquires a lock in the main thread."""

ROUNDS = 50


@pytest.mark.parametrize("acquire", [CoreLock.acquire, CoreLock.try_acquire])
def test_whoever_acquires_a_core_runs_on_it(tmp_path: Path, acquire: Callable[[CoreLock], object]) -> None:
    """In a thread that another process has narrowed to one core, too; afterwards it may run on every core again."""
    locks = [CoreLock(str(tmp_path), n, len(USABLE)) for n in range(len(USABLE))]
    moved, after = 0, []

    def work() -> None:
        nonlocal moved
        os.sched_setaffinity(0, {USABLE[0]})
        for _ in range(ROUNDS):
            for core, lock in zip(USABLE, locks, strict=True):
                acquire(lock)
                moved += current_core() == core
                lock.release()
        after.extend(sorted(os.sched_getaffinity(0)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert after == USABLE
    assert moved >= 0.95 * ROUNDS * len(USABLE)  # the kernel may move it away at once
    for lock in locks:
        lock.close()


def test_a_process_that_is_to_use_fewer_cores_moves_nothing(tmp_path: Path) -> None:
    """The number of its core is not that of a core: all such processes would move to the first ones."""
    after: list[tuple[int, set[int]]] = []
    lock = CoreLock(str(tmp_path), 0, len(USABLE) + 1)

    def work() -> None:
        os.sched_setaffinity(0, {max(USABLE)})
        lock.acquire()
        after.append((current_core(), os.sched_getaffinity(0)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert after == [(max(USABLE), {max(USABLE)})]
    lock.close()


@pytest.mark.parametrize("cores", [1, 2])
def test_workers_compute_as_many_hashes_at_a_time_as_there_are_cores(
    cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three workers with two threads each compute all of their jobs, never more at a time, and use every core."""
    monkeypatch.setattr(hash_threads, "usable_cores", lambda: cores)
    running, most, changes = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal running, most
        with changes:
            running += 1
            most = max(most, running)
        time.sleep(0.002)
        with changes:
            running -= 1

    workers = [HashThreads(2, str(tmp_path)) for _ in range(3)]
    jobs = [worker.submit(DEFAULT_CALLER, work, comparison=False) for _ in range(40) for worker in workers]
    for job in jobs:
        job.result(10)
    last = workers[0].submit(DEFAULT_CALLER, work, comparison=True)  # wakes a thread that has gone back to wait
    assert (last.result(10), most) == (None, cores)
    for worker in workers:
        worker.close()


def test_the_other_thread_takes_a_job_when_its_core_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another worker holds one of two cores, every job is done on the other one."""
    monkeypatch.setattr(hash_threads, "usable_cores", lambda: 2)
    for core in range(2):
        held, worker = CoreLock(str(tmp_path), core, 2), HashThreads(2, str(tmp_path))
        held.acquire()
        for _ in range(10):
            worker.submit(DEFAULT_CALLER, lambda: None, comparison=False).result(5)
        held.release()
        worker.close()
        held.close()


def test_a_core_is_kept_for_one_hash_of_a_tenant_that_had_not_waited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is served before the hash of another worker that waits for the core, and the one after it is not."""
    monkeypatch.setattr(hash_threads, "usable_cores", lambda: 1)
    order: list[str] = []
    worker, other = HashThreads(1, str(tmp_path)), CoreLock(str(tmp_path), 0, 2)
    begun, go_on = threading.Event(), threading.Event()

    def of_the_other_worker() -> None:
        other.acquire()
        order.append("other worker")
        other.release()

    def first() -> None:
        begun.set()
        assert go_on.wait(5)

    flood = [worker.submit(FLOOD, first, comparison=True)]
    flood += [worker.submit(FLOOD, lambda: order.append("flood"), comparison=True) for _ in range(3)]
    assert begun.wait(5)
    waiting = threading.Thread(target=of_the_other_worker)
    waiting.start()
    wait_until_someone_waits(tmp_path)
    for tenant in ("first", "second"):
        flood.append(worker.submit((tenant, "key"), partial(order.append, tenant), comparison=True))
    go_on.set()
    waiting.join()
    for job in flood:
        job.result(5)
    assert order == ["first", "other worker", "second", "flood", "flood", "flood"]
    worker.close()
    other.close()
