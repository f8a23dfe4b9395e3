"""Fair sharing of the hash pool: which callers get a slot, and whose hash is computed next.

A caller is one API key of a tenant. Slots are shared by dynamic thresholds (Choudhury and Hahne, 1998): a caller may
acquire one while it holds fewer than are still free for it. A flooding caller therefore ends at a fixed share, whatever
its rate, and a new caller always finds free slots; the number of callers need not be known. Waiting hashes are served
round-robin: by tenant, then by API key of the tenant, then first in, first out.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from typing import Final

__all__ = ["DEFAULT_CALLER", "Caller", "FairQueue", "FairSlots"]

Caller = tuple[str, str]
"""A tenant's name and the id of its API key."""

DEFAULT_CALLER: Final[Caller] = ("", "")

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


class FairQueue:
    """Lets at most `active` callers work at a time; the others wait in round-robin order."""

    def __init__(self, active: int) -> None:
        self._free = active
        self._waiting: dict[str, dict[Caller, deque[asyncio.Future[None]]]] = {}

    async def acquire(self, caller: Caller) -> None:
        """Wait for the caller's turn. `release` ends it; a canceled wait has no turn to release."""
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller[0], {}).setdefault(caller, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """End a turn, and begin the next one."""
        while self._waiting:
            turn = self._next()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _next(self) -> asyncio.Future[None]:
        """Remove and return the next turn; its API key and its tenant move to the end of the order."""
        tenant, keys = next(iter(self._waiting.items()))
        caller, turns = next(iter(keys.items()))
        turn = turns.popleft()
        del keys[caller], self._waiting[tenant]
        if turns:
            keys[caller] = turns
        if keys:
            self._waiting[tenant] = keys
        return turn
