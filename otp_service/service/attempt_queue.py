"""Serializes the attempts at one verification within this process.

The store alone guarantees the limits, whichever replica an attempt reaches. The queue makes refusals exact: without
it, attempts that are reserved at the same time could use up all attempts, and a correct code among them would be
refused as `attempts_exhausted` although another correct code had succeeded.

Once the verification has ended, nothing depends on the order any more: all attempts that wait get the turn at once, so
that their calls to the store are sent together.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, Self

import msgspec

from otp_service.domain.errors import Reason, Refused

__all__ = ["MAX_WAITING", "MAX_WAIT_SECONDS", "AttemptQueue"]

MAX_WAIT_SECONDS: Final = 0.8
"""How long an attempt waits for its turn. Together with the deadline of a store call it stays below two seconds."""

MAX_WAITING: Final = 128
"""How many attempts may wait at one verification: 25 times its maximum of attempts."""

RETRY_MS: Final = 1_000


class _Line(msgspec.Struct):
    """The attempts at one verification: how many have the turn, and those that wait."""

    running: int = 1
    waiting: deque[asyncio.Future[None]] = msgspec.field(default_factory=deque)


class AttemptQueue:
    """A first-in, first-out queue of attempts for each verification id. A waiting attempt costs only memory."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}

    @property
    def size(self) -> int:
        """The number of attempts that wait or are being checked, at all verifications."""
        return sum(line.running + len(line.waiting) for line in self._lines.values())

    def turn(self, verification_id: str) -> _Turn:
        """Return a context manager that waits for a turn and holds it until the block ends.

        In the block, call its `end_order` when the verification has ended.
        Entering it raises `Refused` (`overloaded`), when too many attempts wait already or the wait takes too long.
        Nothing was reserved then.
        """
        return _Turn(self._lines, verification_id)


class _Turn(msgspec.Struct, eq=False):
    """The context manager of a turn. `contextlib` would take three microseconds more.

    Attributes:
        lines: Those of the queue, by verification id.
        verification_id: Which one the attempt is at.
        has_ended: Whether the verification has.
    """

    lines: dict[str, _Line]
    verification_id: str
    has_ended: bool = False

    def end_order(self) -> None:
        """Let all attempts that wait have the turn at the end of the block: the verification has ended."""
        self.has_ended = True

    async def __aenter__(self) -> Self:
        """Wait for the turn, unless no other attempt is being checked."""
        line = self.lines.get(self.verification_id)
        if line is None:
            self.lines[self.verification_id] = _Line()
            return self
        if len(line.waiting) >= MAX_WAITING:
            raise _overloaded()
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        line.waiting.append(turn)
        timer = loop.call_later(MAX_WAIT_SECONDS, _give_up, turn)
        try:
            await turn
        except BaseException:
            if turn in line.waiting:
                line.waiting.remove(turn)
            elif turn.done() and not turn.cancelled() and turn.exception() is None:
                await self.__aexit__()  # its turn came while its task was being canceled
            raise
        finally:
            timer.cancel()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give the turn to the next attempt that still waits; to all of them if the verification has ended."""
        line = self.lines[self.verification_id]
        line.running -= 1
        while line.waiting and (self.has_ended or not line.running):
            turn = line.waiting.popleft()
            if not turn.done():
                line.running += 1
                turn.set_result(None)
        if not line.running:
            del self.lines[self.verification_id]


def _give_up(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_exception(_overloaded())


def _overloaded() -> Refused:
    detail = "Too many codes are being checked for this verification. Send the code again after `retry_after` seconds."
    return Refused(Reason.OVERLOADED, detail, retry_after_ms=RETRY_MS)
