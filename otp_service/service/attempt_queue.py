"""Serializes the attempts at one verification within this process.

The store alone guarantees the limits, whichever replica an attempt reaches. The queue makes refusals exact: without
it, attempts that are reserved at the same time could use up all attempts, and a correct code among them would be
refused as `attempts_exhausted` although another correct code had succeeded.
"""

from __future__ import annotations

import asyncio
from typing import Final

from otp_service.domain.errors import Reason, Refused

__all__ = ["MAX_WAITING", "MAX_WAIT_SECONDS", "AttemptQueue"]

MAX_WAIT_SECONDS: Final = 0.8
"""How long an attempt waits for its turn. Together with the deadline of a store call it stays below two seconds."""

MAX_WAITING: Final = 128
"""How many attempts may wait at one verification: 25 times its maximum of attempts."""

RETRY_MS: Final = 1_000


class AttemptQueue:
    """A first-in, first-out queue of attempts for each verification id. A waiting attempt costs only memory."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._counts: dict[str, int] = {}

    @property
    def size(self) -> int:
        """The number of attempts that wait or are being checked, at all verifications."""
        return sum(self._counts.values())

    def turn(self, verification_id: str) -> _Turn:
        """Return a context manager that waits for a turn and holds it until the block ends.

        Entering it raises `Refused` (`overloaded`), when too many attempts wait already or the wait takes too long.
        Nothing was reserved then.
        """
        return _Turn(self, verification_id)

    async def _enter(self, verification_id: str) -> None:
        count = self._counts.get(verification_id, 0)
        if count > MAX_WAITING:
            raise _overloaded()
        lock = self._locks.setdefault(verification_id, asyncio.Lock())
        self._counts[verification_id] = count + 1
        try:
            if not count:
                await lock.acquire()  # nobody has it or waits for it, so no timer is needed
            else:
                await _acquire(lock)
        except BaseException:
            self._leave(verification_id)
            raise

    def _exit(self, verification_id: str) -> None:
        self._locks[verification_id].release()
        self._leave(verification_id)

    def _leave(self, verification_id: str) -> None:
        left = self._counts.pop(verification_id) - 1
        if left:
            self._counts[verification_id] = left
        else:
            del self._locks[verification_id]


class _Turn:
    """A class, because a generator as context manager takes three microseconds more."""

    __slots__ = ("_queue", "_verification_id")

    def __init__(self, queue: AttemptQueue, verification_id: str) -> None:
        self._queue, self._verification_id = queue, verification_id

    async def __aenter__(self) -> None:
        await self._queue._enter(self._verification_id)

    async def __aexit__(self, *_: object) -> None:
        self._queue._exit(self._verification_id)


async def _acquire(lock: asyncio.Lock) -> None:
    try:
        async with asyncio.timeout(MAX_WAIT_SECONDS):
            await lock.acquire()
    except TimeoutError:
        raise _overloaded() from None


def _overloaded() -> Refused:
    detail = "Too many codes are being checked for this verification. Send the code again after `retry_after` seconds."
    return Refused(Reason.OVERLOADED, detail, retry_after_ms=RETRY_MS)
