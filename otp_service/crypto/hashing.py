"""Argon2id in a bounded pool of threads.

A hash costs tens of milliseconds and megabytes on purpose, so the pool is a budget: who finds no place is told
`overloaded` before anything was taken from it. A place is held from before the first call to the store until the
answer, so a guess is never paid for and then dropped. Places and turns are shared fairly among callers (`fairness.py`).
The threads run at a lower priority than the event loop.

argon2-cffi keeps the parameters in the PHC string, so a hash made under other parameters still verifies.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from argon2 import Type
from argon2.exceptions import VerificationError, VerifyMismatchError
from argon2.low_level import hash_secret, verify_secret

from otp_service.crypto.fair_queue import ANYBODY, Caller, FairQueue, FairShares
from otp_service.domain.errors import Reason, Refused
from otp_service.observability import METRICS

__all__ = ["Cost", "HashPool"]

T = TypeVar("T")

SALT_BYTES = 16
HASH_BYTES = 32
NICE = 10
OVERLOADED_RETRY_MS = 2000


@dataclass(frozen=True, slots=True)
class Cost:
    """What one hash costs: passes, memory, lanes."""

    time_cost: int
    memory_kib: int
    parallelism: int


class HashPool:
    """Hashes and compares, never more at once than it has threads, never more waiting than there are places."""

    def __init__(self, cost: Cost, *, threads: int = 0, places: int = 256) -> None:
        """Use `threads` (0: one per CPU) and let at most `places` requests of one caller in at a time."""
        threads = threads or os.cpu_count() or 1
        self._cost = cost
        self._shares = FairShares(places)
        self._queue = FairQueue(threads)
        self._threads = ThreadPoolExecutor(threads, "hash", initializer=_step_back)

    def close(self) -> None:
        """Let the threads go; what runs is finished."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    @property
    def taken(self) -> int:
        """Count the places that are held."""
        return self._shares.taken

    @contextmanager
    def place(self, caller: Caller = ANYBODY) -> Iterator[None]:
        """Hold a place for `caller`; raises `Refused` (`overloaded`) when it may have no more."""
        if not self._shares.take(caller):
            raise Refused(Reason.OVERLOADED, "Too many codes are being checked.", retry_after_ms=OVERLOADED_RETRY_MS)
        METRICS.hash_slots.set(self.taken)
        try:
            yield
        finally:
            self._shares.give_back(caller)
            METRICS.hash_slots.set(self.taken)

    async def hash(self, secret: bytes, caller: Caller = ANYBODY) -> str:
        """Hash `secret` with a fresh salt when it is the caller's turn; the PHC string."""
        return await self._in_turn(caller, partial(self._hash, secret))

    async def matches(self, phc: str, secret: bytes, caller: Caller = ANYBODY) -> bool:
        """Compare in constant time, when it is the caller's turn; False as well for a string that is no hash."""
        return await self._in_turn(caller, partial(self._matches, phc, secret))

    async def _in_turn(self, caller: Caller, work: Callable[[], T]) -> T:
        """Run `work` in a thread; its turn ends with the work, also when nobody waits for it any more."""
        await self._queue.acquire(caller)
        running = asyncio.get_running_loop().run_in_executor(self._threads, work)
        running.add_done_callback(lambda _: self._queue.release())
        return await asyncio.shield(running)

    def _hash(self, secret: bytes) -> str:
        cost = self._cost
        with METRICS.hash_seconds.time():
            return hash_secret(
                secret,
                secrets.token_bytes(SALT_BYTES),
                time_cost=cost.time_cost,
                memory_cost=cost.memory_kib,
                parallelism=cost.parallelism,
                hash_len=HASH_BYTES,
                type=Type.ID,
            ).decode()

    def _matches(self, phc: str, secret: bytes) -> bool:
        with METRICS.hash_seconds.time():
            try:
                return verify_secret(phc.encode(), secret, Type.ID)
            except (VerifyMismatchError, VerificationError):
                return False


def _step_back() -> None:
    """Give the event loop's thread the right of way, where the system has priorities by thread (Linux)."""
    if hasattr(os, "setpriority") and os.uname().sysname == "Linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
