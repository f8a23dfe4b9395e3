"""Argon2id hashing in a bounded pool of threads.

A hash takes tens of milliseconds and megabytes on purpose, so hashing capacity is limited. A request acquires a slot
before its first call to the store and holds it until its response: an overload is reported before anything else is
acquired, and a reserved attempt is always compared. Slots and turns are shared fairly among callers (`fair_queue`).

The PHC string of a hash contains its parameters, so a hash that was made with other parameters still verifies.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from argon2 import Type
from argon2.exceptions import VerificationError, VerifyMismatchError
from argon2.low_level import hash_secret, verify_secret

from otp_service.crypto.fair_queue import DEFAULT_CALLER, Caller, FairSlots
from otp_service.crypto.hash_threads import HashThreads
from otp_service.domain.errors import Reason, Refused
from otp_service.observability import METRICS

__all__ = ["HashCost", "HashPool"]

T = TypeVar("T")

SALT_BYTES = 16
HASH_BYTES = 32
OVERLOADED_RETRY_MS = 2000


@dataclass(frozen=True, slots=True)
class HashCost:
    """The parameters of Argon2id: passes, memory in KiB, lanes."""

    time_cost: int
    memory_kib: int
    parallelism: int

    def hash(self, secret: bytes) -> str:
        """Hash `secret` with a new salt; a PHC string (`$argon2id$...`)."""
        return hash_secret(
            secret,
            secrets.token_bytes(SALT_BYTES),
            time_cost=self.time_cost,
            memory_cost=self.memory_kib,
            parallelism=self.parallelism,
            hash_len=HASH_BYTES,
            type=Type.ID,
        ).decode()


class _Slot:
    """A class, because a generator as context manager takes twice as long."""

    __slots__ = ("_caller", "_slots")

    def __init__(self, slots: FairSlots, caller: Caller) -> None:
        self._slots, self._caller = slots, caller

    def __enter__(self) -> None:
        if not self._slots.acquire(self._caller):
            detail = "Too many codes are being hashed. Send the request again after `retry_after` seconds."
            raise Refused(Reason.OVERLOADED, detail, retry_after_ms=OVERLOADED_RETRY_MS)
        METRICS.hash_slots.set(self._slots.in_use)

    def __exit__(self, *_: object) -> None:
        self._slots.release(self._caller)
        METRICS.hash_slots.set(self._slots.in_use)


class HashPool:
    """Hashes and compares in threads, with a bounded number of requests waiting."""

    def __init__(
        self, cost: HashCost, *, threads: int, slots_per_caller: int = 256, lock_folder: str | None = None
    ) -> None:
        """Make a pool; its threads start with the first hash.

        Args:
            cost: The parameters of new hashes.
            threads: How many hashes are computed at a time.
            slots_per_caller: How many requests of one caller are admitted at a time (see `FairSlots`).
            lock_folder: A folder that the workers of this machine share (see `HashThreads`).
        """
        self._cost = cost
        self._slots = FairSlots(slots_per_caller)
        self._threads = HashThreads(threads, lock_folder)

    def close(self) -> None:
        """Cancel the hashes that wait, finish the running ones, and stop the threads."""
        self._threads.close()

    def slot(self, caller: Caller = DEFAULT_CALLER) -> _Slot:
        """Return a context manager that holds a slot for `caller` until the block ends.

        Entering it raises `Refused` (`overloaded`) if the caller may have no more.
        """
        return _Slot(self._slots, caller)

    async def hash(self, secret: bytes, caller: Caller = DEFAULT_CALLER) -> str:
        """Hash `secret` with a new salt, in the turn of `caller`.

        Returns:
            A PHC string (`$argon2id$...`).
        """
        return await self._in_turn(caller, partial(self._hash, secret), comparison=False)

    async def matches(self, phc: str, secret: bytes, caller: Caller = DEFAULT_CALLER) -> bool:
        """Compare `secret` with a PHC string in constant time, in the turn of `caller`; False for an invalid string."""
        return await self._in_turn(caller, partial(self._matches, phc, secret), comparison=True)

    async def _in_turn(self, caller: Caller, work: Callable[[], T], *, comparison: bool) -> T:
        """Run `work` in a thread. It loses its turn if the waiting task is canceled before it runs."""
        return await asyncio.wrap_future(self._threads.submit(caller, work, comparison=comparison))

    def _hash(self, secret: bytes) -> str:
        with METRICS.hash_seconds.time():
            return self._cost.hash(secret)

    def _matches(self, phc: str, secret: bytes) -> bool:
        with METRICS.hash_seconds.time():
            try:
                return verify_secret(phc.encode(), secret, Type.ID)
            except (VerifyMismatchError, VerificationError):
                return False
