"""Fair sharing of the hash pool: which callers get a slot, and whose hash is computed next.

A caller is one API key of a tenant. Slots are shared by dynamic thresholds (Choudhury and Hahne, 1998): a caller may
acquire one while it holds fewer than are still free for it. A flooding caller therefore ends at a fixed share, whatever
its rate, and a new caller always finds free slots; the number of callers need not be known. Waiting hashes are served
in turns: by tenant, then by API key of the tenant. Who has used less than its share is next, for a few jobs (`CREDIT`).
A caller's turn goes to its comparisons before its new hashes, because a person has typed a code and waits; after
`MAX_COMPARISONS` in a row it goes to a new hash. Jobs that nobody waits for, hashes that are prepared, have turns like
those of a tenant that always waits.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Final, Generic, TypeVar

__all__ = ["CREDIT", "DEFAULT_CALLER", "MAX_COMPARISONS", "Caller", "FairQueue", "FairSlots"]

Job = TypeVar("Job")
Name = TypeVar("Name")

Caller = tuple[str, str]
"""A tenant's name and the id of its API key."""

DEFAULT_CALLER: Final[Caller] = ("", "")

CREDIT: Final = 4
"""How many turns a tenant, or an API key, that has used less than its share is before the others.

People verify independently of each other, so some always come close together; with a turn each they would wait for a
round of turns one after another. Beside a flood of wrong codes the p99 of another tenant was 4-11 times its p99 alone
without a credit, 1.1-6.8 times with 2, and 0.8-2.6 times with 4 (`python -m tests.bench c`). A tenant that waits all
the time waits for that number of additional hashes of each other tenant, once.
"""

MAX_COMPARISONS: Final = 2
"""How many comparisons of a caller may be served in a row while a new hash of the same caller waits."""

_TENANT_FACTOR: Final = 2
_TOTAL_FACTOR: Final = 4


class FairSlots:
    """Counts the slots that callers hold.

    A single caller may hold `per_caller` slots, a tenant twice as many, and all tenants together four times as many.
    If n API keys of one tenant acquire as many as they can, each gets 2 * per_caller / (n + 1); each of n tenants gets
    4 * per_caller / (n + 1).
    """

    def __init__(self, per_caller: int) -> None:
        self._per_caller = per_caller
        self._held: dict[Caller | str, int] = {}  # by caller, and by the name of a tenant
        self.in_use = 0

    def acquire(self, caller: Caller) -> bool:
        """Acquire a slot; False if the caller may not have another one now."""
        held, held_by_tenant = self._held.get(caller, 0), self._held.get(caller[0], 0)
        free = _TOTAL_FACTOR * self._per_caller - self.in_use
        free_to_tenant = _TENANT_FACTOR * self._per_caller - held_by_tenant
        if held_by_tenant >= free or held >= free_to_tenant:
            return False
        self.in_use += 1
        self._held[caller] = held + 1
        self._held[caller[0]] = held_by_tenant + 1
        return True

    def release(self, caller: Caller) -> None:
        """Release a slot that `acquire` has granted."""
        self.in_use -= 1
        for holder in (caller, caller[0]):
            if left := self._held.pop(holder) - 1:  # one without slots is forgotten
                self._held[holder] = left


class _CallerQueue(Generic[Job]):
    """The jobs of one caller that wait: comparisons, and new hashes, each first in, first out."""

    __slots__ = ("_comparisons", "_in_a_row", "_new_hashes")

    def __init__(self) -> None:
        self._comparisons: deque[Job] = deque()
        self._new_hashes: deque[Job] = deque()
        self._in_a_row = 0  # comparisons that were served while a new hash waited

    def __bool__(self) -> bool:
        return bool(self._comparisons or self._new_hashes)

    def push(self, job: Job, *, comparison: bool) -> None:
        (self._comparisons if comparison else self._new_hashes).append(job)

    def pop(self) -> Job:
        if self._comparisons and not (self._new_hashes and self._in_a_row >= MAX_COMPARISONS):
            self._in_a_row = self._in_a_row + 1 if self._new_hashes else 0
            return self._comparisons.popleft()
        self._in_a_row = 0
        return self._new_hashes.popleft()


class _Turns(Generic[Name]):
    """Whose turn it is: start-time fair queueing (Goyal, Vin and Cheng, 1996) with turns of equal cost, and a credit.

    Every turn has a virtual start, and the lowest one is next. Those that wait all the time start one after their last
    turn. Who has used less than its share is behind the time by the turns it has not used, at most `CREDIT`: its next
    jobs, if they come close together, are before those of the others.
    """

    __slots__ = ("_ends", "_now", "_starts")

    def __init__(self) -> None:
        self._now = 0  # the latest start that was served
        self._starts: dict[Name, int] = {}  # of those that wait
        self._ends: dict[Name, int] = {}  # of those that do not: when their last turn ended

    def add(self, name: Name, *, background: bool = False) -> None:
        """Let `name` wait, if it does not yet; `background`: without a credit, as if it had just had a turn."""
        if name not in self._starts:
            earliest = self._now + 1 if background else self._now - CREDIT
            self._starts[name] = max(earliest, self._ends.pop(name, earliest))

    def next(self) -> Name:
        """Return whose turn it is; of two with the same start the one that has waited longer."""
        return min(self._starts, key=self._starts.__getitem__)

    def next_has_credit(self) -> bool:
        """Return whether the next turn is of one that has used less than its share."""
        return bool(self._starts) and min(self._starts.values()) < self._now

    def end(self, name: Name, *, waits: bool) -> None:
        """End the turn of `name`; `waits`: it has another job."""
        start = self._starts.pop(name)
        self._now = max(self._now, start)
        (self._starts if waits else self._ends)[name] = start + 1


class _TenantQueue(Generic[Job]):
    """The jobs of one tenant that wait, by caller."""

    __slots__ = ("by_caller", "size", "turns")

    def __init__(self) -> None:
        self.size = 0
        self.turns: _Turns[Caller] = _Turns()
        self.by_caller: dict[Caller, _CallerQueue[Job]] = {}


class FairQueue(Generic[Job]):
    """The jobs that wait for a thread, in the order in which they are served. Any thread may call the methods.

    Attributes:
        size: How many jobs wait.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: _Turns[str] = _Turns()
        self._by_tenant: dict[str, _TenantQueue[Job]] = {}
        self.size = 0

    def __len__(self) -> int:
        return self.size

    def jobs_of(self, tenant: str) -> int:
        """Return how many jobs of a tenant wait."""
        found = self._by_tenant.get(tenant)
        return found.size if found else 0

    def next_has_credit(self) -> bool:
        """Return whether the next job is of a tenant that has used less than its share."""
        with self._lock:
            return self._turns.next_has_credit()

    def push(self, caller: Caller, job: Job, *, comparison: bool, background: bool = False) -> None:
        """Add a job at the end of its caller's jobs of the same kind; `background`: nobody waits for it."""
        with self._lock:
            if (tenant := self._by_tenant.get(caller[0])) is None:
                tenant = self._by_tenant[caller[0]] = _TenantQueue()
            if (jobs := tenant.by_caller.get(caller)) is None:
                jobs = tenant.by_caller[caller] = _CallerQueue()
            jobs.push(job, comparison=comparison)
            tenant.size += 1
            self.size += 1
            tenant.turns.add(caller)
            self._turns.add(caller[0], background=background)

    def pop(self) -> Job | None:
        """Remove and return the next job; its API key and its tenant end their turn. None if empty."""
        found = self.pop_with_credit()
        return None if found is None else found[0]

    def pop_with_credit(self) -> tuple[Job, bool] | None:
        """Do as `pop`, and return as well whether the tenant of the job has used less than its share."""
        with self._lock:
            if not self.size:
                return None
            has_credit = self._turns.next_has_credit()
            name = self._turns.next()
            tenant = self._by_tenant[name]
            caller = tenant.turns.next()
            jobs = tenant.by_caller[caller]
            job = jobs.pop()
            tenant.size -= 1
            self.size -= 1
            tenant.turns.end(caller, waits=bool(jobs))
            self._turns.end(name, waits=tenant.size > 0)
            return job, has_credit
