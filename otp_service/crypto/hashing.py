"""Argon2id in a bounded pool of threads.

A hash costs tens of milliseconds and megabytes on purpose, so the pool is a budget: who finds no place is told
`overloaded` before anything was taken from it. A place is held from before the first call to the store until the
answer, so a guess is never paid for and then dropped. The threads run at a lower priority than the event loop.

argon2-cffi keeps the parameters in the PHC string, so a hash made under other parameters still verifies.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from argon2 import Type
from argon2.exceptions import VerificationError, VerifyMismatchError
from argon2.low_level import hash_secret, verify_secret

from otp_service.domain.errors import Reason, Refused
from otp_service.observability import METRICS

__all__ = ["Cost", "HashPool"]

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
    """Hashes and compares, never more at once than it has threads, never more waiting than it has places."""

    def __init__(self, cost: Cost, *, threads: int = 0, places: int = 256) -> None:
        """Use `threads` (0: one per CPU) and let at most `places` requests in at a time."""
        self._cost = cost
        self._places = places
        self._taken = 0
        self._threads = ThreadPoolExecutor(threads or os.cpu_count() or 1, "hash", initializer=_step_back)

    def close(self) -> None:
        """Let the threads go; what runs is finished."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place; raises `Refused` (`overloaded`) when none is free."""
        if self._taken >= self._places:
            raise Refused(Reason.OVERLOADED, "Too many codes are being checked.", retry_after_ms=OVERLOADED_RETRY_MS)
        self._taken += 1
        METRICS.hash_places.set(self._taken)
        try:
            yield
        finally:
            self._taken -= 1
            METRICS.hash_places.set(self._taken)

    async def hash(self, secret: bytes) -> str:
        """Hash `secret` with a fresh salt; the PHC string."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._hash, secret)

    async def matches(self, phc: str, secret: bytes) -> bool:
        """Compare in constant time; False as well for a string that is no hash."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._matches, phc, secret)

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
