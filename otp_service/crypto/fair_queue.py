"""Fair sharing of the hash pool: which callers get a slot, and whose hash is computed next.

A caller is one API key of a tenant. Slots are shared by dynamic thresholds (Choudhury and Hahne, 1998): a caller may
acquire one while it holds fewer than are still free for it. A flooding caller therefore ends at a fixed share, whatever
its rate, and a new caller always finds free slots; the number of callers need not be known. Waiting hashes are served
round-robin: by tenant, then by API key of the tenant. A caller's turn goes to its comparisons before its new hashes,
because a person has typed a code and waits; after `MAX_COMPARISONS` in a row it goes to a new hash.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import Final, Generic, TypeVar

__all__ = ["DEFAULT_CALLER", "MAX_COMPARISONS", "Caller", "FairQueue", "FairSlots"]

Job = TypeVar("Job")

Caller = tuple[str, str]
"""A tenant's name and the id of its API key."""

DEFAULT_CALLER: Final[Caller] = ("", "")

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
        self._by_caller: Counter[Caller] = Counter()
        self._by_tenant: Counter[str] = Counter()
        self.in_use = 0

    def acquire(self, caller: Caller) -> bool:
        """Acquire a slot; False if the caller may not have another one now."""
        held_by_tenant = self._by_tenant[caller[0]]
        free = _TOTAL_FACTOR * self._per_caller - self.in_use
        free_to_tenant = _TENANT_FACTOR * self._per_caller - held_by_tenant
        if held_by_tenant >= free or self._by_caller[caller] >= free_to_tenant:
            return False
        self._count(caller, 1)
        return True

    def release(self, caller: Caller) -> None:
        """Release a slot that `acquire` has granted."""
        self._count(caller, -1)

    def _count(self, caller: Caller, change: int) -> None:
        self.in_use += change
        self._by_caller[caller] += change
        self._by_tenant[caller[0]] += change
        if not self._by_caller[caller]:
            del self._by_caller[caller]
        if not self._by_tenant[caller[0]]:
            del self._by_tenant[caller[0]]


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


class FairQueue(Generic[Job]):
    """The jobs that wait for a thread, in the order in which they are served. Any thread may call the methods."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, dict[Caller, _CallerQueue[Job]]] = {}

    def __bool__(self) -> bool:
        """Whether a job waits."""
        return bool(self._waiting)

    def push(self, caller: Caller, job: Job, *, comparison: bool) -> None:
        """Add a job at the end of its caller's jobs of the same kind."""
        with self._lock:
            keys = self._waiting.setdefault(caller[0], {})
            if (jobs := keys.get(caller)) is None:
                jobs = keys[caller] = _CallerQueue()
            jobs.push(job, comparison=comparison)

    def pop(self) -> Job | None:
        """Remove and return the next job; its API key and its tenant move to the end of the order. None if empty."""
        with self._lock:
            if not self._waiting:
                return None
            tenant, keys = next(iter(self._waiting.items()))
            caller, jobs = next(iter(keys.items()))
            job = jobs.pop()
            del keys[caller], self._waiting[tenant]
            if jobs:
                keys[caller] = jobs
            if keys:
                self._waiting[tenant] = keys
            return job
