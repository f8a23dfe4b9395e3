"""Who gets a place in the hash pool, and whose hash is next: no caller can take all of either from the others.

A caller is a tenant's API key. Places are shared by dynamic thresholds (Choudhury and Hahne, 1998): a caller may take
one as long as it holds fewer than are free for it. So one who floods ends at a fixed share, however fast it is, and a
newcomer always finds room; nobody has to know how many callers there are. Hashes that wait are served in turn: tenant
by tenant, within a tenant key by key, for one key in the order in which they came.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from typing import Final

__all__ = ["ANYBODY", "Caller", "FairQueue", "FairShares"]

Caller = tuple[str, str]
"""A tenant's name and the id of its API key."""

ANYBODY: Final[Caller] = ("", "")

_TENANT_SHARE: Final = 2
_ALL_SHARE: Final = 4


class FairShares:
    """Places for requests: a caller alone may hold `most`, a tenant twice as many, and all together four times.

    With n callers that take whatever they can get, each of n keys of a tenant ends at 2 * most / (n + 1), and each of n
    tenants at 4 * most / (n + 1).
    """

    def __init__(self, most: int) -> None:
        """Begin with every place free."""
        self._most = most
        self._keys: Counter[Caller] = Counter()
        self._tenants: Counter[str] = Counter()
        self.taken = 0

    def take(self, caller: Caller) -> bool:
        """Take a place, if the caller may have one more."""
        tenant = self._tenants[caller[0]]
        free, free_to_tenant = _ALL_SHARE * self._most - self.taken, _TENANT_SHARE * self._most - tenant
        if tenant >= free or self._keys[caller] >= free_to_tenant:
            return False
        self._count(caller, 1)
        return True

    def give_back(self, caller: Caller) -> None:
        """Give back a place that `take` gave."""
        self._count(caller, -1)

    def _count(self, caller: Caller, by: int) -> None:
        self.taken += by
        self._keys[caller] += by
        self._tenants[caller[0]] += by
        if not self._keys[caller]:
            del self._keys[caller]
        if not self._tenants[caller[0]]:
            del self._tenants[caller[0]]


class FairQueue:
    """At most `active` at work at a time; whoever waits is served in turn with the other tenants and keys."""

    def __init__(self, active: int) -> None:
        """Begin with nobody at work."""
        self._free = active
        self._waiting: dict[str, dict[Caller, deque[asyncio.Future[None]]]] = {}

    async def acquire(self, caller: Caller) -> None:
        """Wait for the caller's turn; `release` ends it. Who is cancelled while it waits has no turn."""
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
        """End a turn: the next one begins."""
        while self._waiting:
            turn = self._next()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _next(self) -> asyncio.Future[None]:
        """Take out whose turn it is; its key and its tenant go behind the others."""
        tenant, keys = next(iter(self._waiting.items()))
        caller, turns = next(iter(keys.items()))
        turn = turns.popleft()
        del keys[caller], self._waiting[tenant]
        if turns:
            keys[caller] = turns
        if keys:
            self._waiting[tenant] = keys
        return turn
