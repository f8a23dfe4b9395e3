"""One guess at a verification after the other, as far as they meet in this process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from otp_service.domain.errors import Reason, Refused

__all__ = ["MOST_WAITING", "TURN_SECONDS", "Turns"]

TURN_SECONDS: Final = 0.8
"""For how long a guess waits for those at the same verification; with a call's deadline it fits into two seconds."""

MOST_WAITING: Final = 128
"""So many guesses wait at one verification: 25 times as many as it has attempts."""

RETRY_MS: Final = 1_000


class Turns:
    """The guesses that wait, by the id of their verification. Waiting costs nothing but memory."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._locks: dict[str, asyncio.Lock] = {}
        self._guesses: dict[str, int] = {}

    @property
    def waiting(self) -> int:
        """Count the guesses that wait or are judged."""
        return sum(self._guesses.values())

    @contextlib.asynccontextmanager
    async def turn(self, verification_id: str) -> AsyncIterator[None]:
        """Wait for a turn and hold it; raises `Refused` (`overloaded`) when too many wait, or for too long."""
        count = self._guesses.get(verification_id, 0)
        if count > MOST_WAITING:
            raise _held_up()
        lock = self._locks.setdefault(verification_id, asyncio.Lock())
        self._guesses[verification_id] = count + 1
        try:
            await self._acquire(lock)
            try:
                yield
            finally:
                lock.release()
        finally:
            self._leave(verification_id)

    async def _acquire(self, lock: asyncio.Lock) -> None:
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await lock.acquire()
        except TimeoutError:
            raise _held_up() from None

    def _leave(self, verification_id: str) -> None:
        left = self._guesses.pop(verification_id) - 1
        if left:
            self._guesses[verification_id] = left
        else:
            del self._locks[verification_id]


def _held_up() -> Refused:
    """Make the refusal for who does not get its turn: nothing was spent."""
    return Refused(Reason.OVERLOADED, "Other codes are being checked for this verification.", retry_after_ms=RETRY_MS)
