"""The hash pool: the order of its turns, cancellation, errors, and the number of its threads."""

from __future__ import annotations

import asyncio
import os

import pytest
from argon2.exceptions import HashingError

from otp_service.crypto.fair_queue import CREDIT, MAX_COMPARISONS, Caller, FairQueue
from otp_service.crypto.hash_threads import threads_per_worker
from otp_service.crypto.hashing import PREPARING, HashCost, HashPool, MaskedHash
from otp_service.observability import METRICS

FLOOD = ("flooding", "app")
HONEST = ("honest", "web")


def served(arrivals: list[Caller]) -> list[Caller]:
    """Return the order in which new hashes that arrive at once are served."""
    queue = FairQueue[Caller]()
    for caller in arrivals:
        queue.push(caller, caller, comparison=False)
    return [*iter(queue.pop, None)]


def test_tenants_and_their_keys_take_turns() -> None:
    """After 60 requests of one key another tenant is second, and another key of the tenant soon after."""
    assert served([FLOOD] * 60 + [HONEST]).index(HONEST) == 1
    order = served([FLOOD] * 60 + [("flooding", "web"), HONEST])
    assert (order.index(HONEST), order.index(("flooding", "web"))) == (1, 2)
    assert len(order) == 62


def flooded(served_before: int = CREDIT + 1) -> FairQueue[Caller]:
    """Return a queue in which jobs of a flood wait, which has used its credit and the share of the others."""
    queue = FairQueue[Caller]()
    for _ in range(60):
        queue.push(FLOOD, FLOOD, comparison=True)
    assert [queue.pop() for _ in range(served_before)] == [FLOOD] * served_before
    return queue


def test_who_has_not_waited_is_next() -> None:
    """A single job of another tenant, or of another key, is before the jobs of those that were served already."""
    queue = flooded()
    for _ in range(5):
        assert queue.pop() == FLOOD
        for newcomer in (HONEST, ("flooding", "web")):
            queue.push(newcomer, newcomer, comparison=False)
        assert [queue.pop(), queue.pop()] == [HONEST, ("flooding", "web")]


def test_jobs_that_come_close_together_are_served_together() -> None:
    """A tenant that has used less than its share gets `CREDIT` turns more in a row, and then every second one."""
    queue = flooded()
    for _ in range(20):
        queue.push(HONEST, HONEST, comparison=True)
    order = [queue.pop() for _ in range(CREDIT + 11)]
    assert order == [HONEST] * (CREDIT + 1) + [FLOOD, HONEST] * 5


@pytest.mark.parametrize("turns", [0, 1, CREDIT, 5 * CREDIT])
def test_a_credit_is_what_the_tenant_has_not_used(turns: int) -> None:
    """Its own turn, and as many more as the flood has had since without it, at most `CREDIT`."""
    queue = flooded()
    for _ in range(CREDIT + 1):
        queue.push(HONEST, HONEST, comparison=True)
    assert {queue.pop() for _ in range(CREDIT + 1)} == {HONEST}
    assert {queue.pop() for _ in range(turns + 1)} == {FLOOD}
    for _ in range(20):
        queue.push(HONEST, HONEST, comparison=True)
    order = [queue.pop() for _ in range(15)]
    assert order.index(FLOOD) == min(turns, CREDIT) + 1


def test_a_tenant_that_pauses_gets_no_more_than_its_share() -> None:
    """One that sends its next job when the last one was served gets every second turn, and its credit once."""
    queue = flooded()
    order = []
    for _ in range(40):
        queue.push(HONEST, HONEST, comparison=False)
        order.append(queue.pop())
    assert order.count(HONEST) - order.count(FLOOD) in (CREDIT, CREDIT + 1)


def test_jobs_that_nobody_waits_for_have_no_credit() -> None:
    """A tenant that had not waited is before a job in the background, which has turns beside a flood."""
    queue = flooded()
    for _ in range(3):
        queue.push(PREPARING, PREPARING, comparison=False, background=True)
    queue.push(HONEST, HONEST, comparison=True)
    assert [queue.pop() for _ in range(6)] == [HONEST, FLOOD, PREPARING, FLOOD, PREPARING, FLOOD]


def test_whether_the_next_job_has_a_credit() -> None:
    """A flood has one at its beginning only, a background job never, and another tenant for some jobs."""
    queue = flooded(CREDIT)
    assert not queue.next_has_credit()
    queue.push(PREPARING, PREPARING, comparison=False, background=True)
    for _ in range(CREDIT + 1):
        queue.push(HONEST, HONEST, comparison=True)
    found = []
    for _ in range(CREDIT + 4):
        found.append(queue.next_has_credit())
        queue.pop()
    assert found == [True] * CREDIT + [False] * 4
    assert not FairQueue[Caller]().next_has_credit()


def served_kinds(arrivals: list[tuple[Caller, str]]) -> list[tuple[Caller, str]]:
    """Return the order in which comparisons (`compare`) and new hashes that arrive at once are served."""
    queue = FairQueue[tuple[Caller, str]]()
    for caller, kind in arrivals:
        queue.push(caller, (caller, kind), comparison=kind == "compare")
    return [*iter(queue.pop, None)]


def test_comparisons_come_before_new_hashes_of_their_caller() -> None:
    """Of one caller's jobs the comparisons are first, but a third of the turns remains for its new hashes."""
    assert MAX_COMPARISONS == 2
    order = [kind for _, kind in served_kinds([(HONEST, "new")] * 4 + [(HONEST, "compare")] * 6)]
    assert order == ["compare", "compare", "new"] * 3 + ["new"]


def test_comparisons_do_not_change_the_turns_of_tenants() -> None:
    """A tenant with only new hashes gets every second turn beside one that compares all the time."""
    order = served_kinds([(FLOOD, "compare")] * 60 + [(FLOOD, "new")] * 60 + [(HONEST, "new")] * 30)
    assert [caller for caller, _ in order[:60]] == [FLOOD, HONEST] * 30


async def test_a_comparison_is_done_before_new_hashes_that_wait() -> None:
    """While 20 new hashes of a caller wait, its comparison is done after the one that runs."""
    pool = HashPool(HashCost(1, 8192, 1), threads=1)
    hashed = await pool.hash(b"secret")
    waiting = [asyncio.ensure_future(pool.hash(b"secret")) for _ in range(20)]
    await asyncio.sleep(0)
    assert await pool.matches(hashed, b"secret")
    assert sum(one.done() for one in waiting) <= 2
    await asyncio.gather(*waiting)
    pool.close()


async def test_a_caller_that_disconnects_loses_its_turn() -> None:
    """A hash whose caller has gone is not computed, and the ones behind it are."""
    pool = HashPool(HashCost(1, 8192, 1), threads=1)
    before = hashes_computed()
    waiting = [asyncio.ensure_future(pool.hash(b"secret")) for _ in range(6)]
    await asyncio.sleep(0)
    for task in waiting[2:5]:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    pool.close()
    assert ([task.cancelled() for task in waiting], hashes_computed() - before) == (
        [False] * 2 + [True] * 3 + [False],
        3,
    )


def hashes_computed() -> float:
    """Return how many hashes this process has computed."""
    samples = next(iter(METRICS.hash_seconds.collect())).samples
    return next(sample.value for sample in samples if sample.name.endswith("_count"))


async def test_a_closed_pool_computes_nothing_more() -> None:
    """Hashes that wait are canceled, the one that runs is finished, and a new one is refused."""
    pool = HashPool(HashCost(1, 8192, 1), threads=1)
    waiting = [asyncio.ensure_future(pool.hash(b"secret")) for _ in range(6)]
    await asyncio.sleep(0)
    pool.close()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert sum(not task.cancelled() for task in waiting) <= 1
    with pytest.raises(RuntimeError):
        await pool.hash(b"secret")


async def test_an_error_of_a_hash_is_raised_where_it_is_awaited() -> None:
    """Impossible parameters fail their caller only: the thread computes the next hash."""
    pool = HashPool(HashCost(1, 8, 16), threads=1)
    with pytest.raises(HashingError):
        await pool.hash(b"secret")
    phc = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA"
    assert not await pool.matches(MaskedHash(phc), b"secret")
    pool.close()


@pytest.mark.parametrize(
    ("cores", "usable", "workers", "threads"),
    [(2, 2, 1, 2), (2, 2, 2, 2), (8, 8, 1, 8), (8, 8, 4, 4), (8, 8, 16, 2), (64, 2, 1, 2), (4, 64, 1, 4), (1, 1, 4, 1)],
)
def test_a_worker_has_twice_its_share_of_the_cores(
    cores: int, usable: int, workers: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most as many threads as cores that the process may use, by its affinity and by `PYTHON_CPU_COUNT`."""
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(usable)), raising=False)
    assert threads_per_worker(workers) == threads


async def test_a_hash_waits_behind_one_of_each_caller() -> None:
    """While 60 hashes of a tenant wait, another tenant's hash is done after at most two of them."""
    pool = HashPool(HashCost(1, 8192, 1), threads=1)
    done: list[str] = []

    async def hashed(caller: Caller) -> None:
        await pool.hash(b"secret", caller)
        done.append(caller[0])

    flood = [asyncio.create_task(hashed(FLOOD)) for _ in range(60)]
    await asyncio.sleep(0)
    await hashed(HONEST)
    position = done.index("honest")
    await asyncio.gather(*flood)
    pool.close()
    assert position <= 2
