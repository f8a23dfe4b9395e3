"""Argon2id hashing in a bounded pool of threads.

A hash takes tens of milliseconds and megabytes on purpose, so hashing capacity is limited. A request acquires a slot
before its first call to the store and holds it until its response: an overload is reported before anything else is
acquired, and a reserved attempt is always compared. Slots and turns are shared fairly among callers (`fair_queue`).

The PHC string of a hash contains its parameters, so a hash that was made with other parameters still verifies.

Some hashes of new codes are computed in advance (`prepared_hashes`). Such a hash is that of a random key of 32 bytes,
and is stored with a mask: the exclusive or of the key and the secret. A secret is compared by hashing its exclusive or
with the mask, so each guess costs one hash, as without a mask. The mask reveals nothing, because the key is random and
used once.
"""

from __future__ import annotations

import asyncio
import base64
import os
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Final, NamedTuple

import msgspec
from argon2 import Type
from argon2.exceptions import VerificationError, VerifyMismatchError
from argon2.low_level import ARGON2_VERSION, hash_secret, verify_secret

from otp_service.crypto.fair_queue import DEFAULT_CALLER, Caller, FairSlots
from otp_service.crypto.hash_threads import HashThreads
from otp_service.crypto.prepared_hashes import PreparedHash, PreparedHashes
from otp_service.domain.errors import Reason, Refused
from otp_service.observability import METRICS

__all__ = ["SECRET_BYTES", "HashCost", "HashPool", "MaskedHash"]

SALT_BYTES = 16
HASH_BYTES = 32
SECRET_BYTES = 32
"""The size of a secret that may be hashed in advance: an HMAC-SHA256."""

OVERLOADED_RETRY_MS = 2000
PREPARING: Final[Caller] = ("(prepared)", "")
"""The caller of prepared hashes; no tenant has a name with brackets."""

MAX_WAITING_WITH_PREPARED: Final = 2
"""How many hashes of a tenant may wait while its new codes get prepared ones."""


class MaskedHash(NamedTuple):
    """A PHC string (`$argon2id$...`), and the mask of the secret: b"" for none."""

    phc: str
    mask: bytes = b""


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
            os.urandom(SALT_BYTES),
            time_cost=self.time_cost,
            memory_cost=self.memory_kib,
            parallelism=self.parallelism,
            hash_len=HASH_BYTES,
            type=Type.ID,
        ).decode()

    def random_phc(self) -> str:
        """Return a PHC string with random bytes instead of a hash, which costs nothing to make."""
        salt, digest = (base64.b64encode(os.urandom(size)).decode().rstrip("=") for size in (SALT_BYTES, HASH_BYTES))
        cost = f"m={self.memory_kib},t={self.time_cost},p={self.parallelism}"
        return f"$argon2id$v={ARGON2_VERSION}${cost}${salt}${digest}"


class _Slot(msgspec.Struct, eq=False):
    """The context manager of a slot. `contextlib.contextmanager` would take twice as long."""

    slots: FairSlots
    caller: Caller

    def __enter__(self) -> None:
        if not self.slots.acquire(self.caller):
            detail = "Too many codes are being hashed. Send the request again after `retry_after` seconds."
            raise Refused(Reason.OVERLOADED, detail, retry_after_ms=OVERLOADED_RETRY_MS)
        METRICS.hash_slots.set(self.slots.in_use)

    def __exit__(self, *_: object) -> None:
        self.slots.release(self.caller)
        METRICS.hash_slots.set(self.slots.in_use)


class HashPool:
    """Hashes and compares in threads, with a bounded number of requests waiting."""

    def __init__(
        self,
        cost: HashCost,
        *,
        threads: int,
        slots_per_caller: int = 256,
        lock_folder: str | None = None,
        prepared: int = 0,
    ) -> None:
        """Make a pool; its threads start with the first hash.

        Args:
            cost: The parameters of new hashes.
            threads: How many hashes are computed at a time.
            slots_per_caller: How many requests of one caller are admitted at a time (see `FairSlots`).
            lock_folder: A folder that the workers of this machine share (see `HashThreads`).
            prepared: How many hashes are computed in advance.
        """
        self._cost = cost
        self._no_hash = cost.random_phc()
        self._slots = FairSlots(slots_per_caller)
        self._threads = HashThreads(threads, lock_folder, self._on_idle)
        self._prepared = PreparedHashes(prepared, self._prepare, self._threads.is_busy)
        self._is_in_turn = False

    def close(self) -> None:
        """Cancel the hashes that wait, finish the running ones, and stop the threads."""
        self._threads.close()
        self._prepared.close()

    def slot(self, caller: Caller = DEFAULT_CALLER) -> _Slot:
        """Return a context manager that holds a slot for `caller` until the block ends.

        Entering it raises `Refused` (`overloaded`) if the caller may have no more.
        """
        return _Slot(self._slots, caller)

    async def hash(self, secret: bytes, caller: Caller = DEFAULT_CALLER) -> MaskedHash:
        """Hash a secret of `SECRET_BYTES`: with a prepared hash, or else with a new salt in the turn of `caller`.

        A tenant with many waiting hashes uses its own turns: a flood would use up the prepared hashes of the others,
        and those that replace them would be a second share of the cores for it.
        """
        is_flooding = self._threads.jobs_of(caller[0]) > MAX_WAITING_WITH_PREPARED
        prepared = None if is_flooding else self._prepared.pop()
        self._prepare_in_turn()
        if prepared is not None:
            return MaskedHash(prepared.phc, exclusive_or(prepared.key, secret))
        return MaskedHash(await self._threads.run(caller, partial(self._hash, secret), comparison=False))

    def matches(self, hashed: MaskedHash, secret: bytes, caller: Caller = DEFAULT_CALLER) -> asyncio.Future[bool]:
        """Compare a secret with a hash in constant time, in the turn of `caller`; False for an invalid PHC string.

        It loses its turn if the future is canceled before.
        """
        if hashed.mask:
            secret = exclusive_or(hashed.mask, secret)
        return self._threads.run(caller, partial(self._matches, hashed.phc, secret), comparison=True)

    async def matches_none(self, secret: bytes, caller: Caller = DEFAULT_CALLER) -> None:
        """Do the work of `matches` with a hash of the current parameters that no secret has."""
        await self._threads.run(caller, partial(self._matches, self._no_hash, secret), comparison=True)

    def _on_idle(self) -> None:
        """Use the time until the next hash of a request."""
        self._prepared.resume()

    def _prepare_in_turn(self) -> None:
        """Give the preparation turns, like a tenant, when few are left: under a flood there is no idle moment."""
        if self._prepared.is_low() and not self._is_in_turn:
            self._is_in_turn = True
            self._threads.submit(PREPARING, self._prepare_one, comparison=False, background=True)

    def _prepare_one(self) -> None:
        """Prepare a hash, in a thread, and ask for the next turn."""
        self._prepared.prepare()
        self._is_in_turn = False
        self._prepare_in_turn()

    def _prepare(self) -> PreparedHash:
        key = os.urandom(SECRET_BYTES)
        return PreparedHash(key, self._cost.hash(key))  # without the metric, which has a lock

    def _hash(self, secret: bytes) -> str:
        started = perf_counter()
        try:
            return self._cost.hash(secret)
        finally:
            METRICS.hash_seconds.observe(perf_counter() - started)

    def _matches(self, phc: str, secret: bytes) -> bool:
        started = perf_counter()
        try:
            return verify_secret(phc.encode(), secret, Type.ID)
        except (VerifyMismatchError, VerificationError):
            return False
        finally:
            METRICS.hash_seconds.observe(perf_counter() - started)


def exclusive_or(first: bytes, second: bytes) -> bytes:
    """Return the exclusive or of two texts of `SECRET_BYTES`.

    Raises:
        ValueError: One of them has another size.
    """
    if len(first) != SECRET_BYTES or len(second) != SECRET_BYTES:
        raise ValueError(f"both must have {SECRET_BYTES} bytes")
    return (int.from_bytes(first) ^ int.from_bytes(second)).to_bytes(SECRET_BYTES)
