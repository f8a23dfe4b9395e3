"""Script calls that are sent together, and who gets which of their replies."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import takewhile

import msgspec
from redis.exceptions import NoScriptError, ResponseError

from otp_service.store.replies import unavailable
from otp_service.store.scripts import ScriptCall
from otp_service.store.server_connection import Reply

__all__ = ["CallBatch", "CallRequest", "PendingReplies", "ReplyDeadlines", "refuse"]

PendingReplies = asyncio.Future[list[Reply]]
"""The replies to the calls of one request, or the `Refused` in their place."""


class CallRequest(msgspec.Struct, frozen=True):
    """Calls that are sent in one batch.

    Attributes:
        calls: At least one.
        replies: Is done when the calls no longer have to be sent.
        refuse_errors: Whether an error as the reply to one call refuses all of them.
    """

    calls: Sequence[ScriptCall]
    replies: PendingReplies
    refuse_errors: bool


class CallBatch:
    """Requests that are sent together.

    Attributes:
        requests: The requests.
        calls: Those of all of them.
        replies: To `calls`, once they are there.
    """

    __slots__ = ("calls", "replies", "requests")

    def __init__(self, requests: list[CallRequest]) -> None:
        self.requests = requests
        self.calls: Sequence[ScriptCall] = (
            requests[0].calls if len(requests) == 1 else [call for request in requests for call in request.calls]
        )
        self.replies: list[Reply] = []

    def replace(self, again: list[int], replies: list[Reply]) -> None:
        """Take the replies to those calls that were sent again."""
        for n, reply in zip(again, replies, strict=True):
            self.replies[n] = reply

    def unknown(self) -> list[int]:
        """Return which calls of those that still wait the server did not run because it does not know their script."""
        found = [n for n, reply in enumerate(self.replies) if isinstance(reply, NoScriptError)]
        if not found:
            return found
        waits = [not request.replies.done() for request in self.requests for _ in request.calls]
        return [n for n in found if waits[n]]

    def answer(self, *, has_errors: bool) -> None:
        """Give each request its part of the replies. `has_errors`: some of them are errors."""
        start = 0
        for request in self.requests:
            end = start + len(request.calls)
            replies = self.replies[start:end]
            error = _first_error(replies) if has_errors and request.refuse_errors else None
            if error is not None:
                refuse(request.replies, error)
            elif not request.replies.done():
                request.replies.set_result(replies)
            start = end

    def refuse(self, problem: BaseException | None = None) -> None:
        """Refuse every request that has no replies yet."""
        for request in self.requests:
            refuse(request.replies, problem)


class ReplyDeadlines:
    """Refuses requests that have no replies in time.

    All of them have the same time, so one timer, at the deadline of the earliest, is enough: one for each request would
    take 3.3 us (uvloop), and would nearly always be canceled.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        self._due: dict[PendingReplies, float] = {}  # the earliest first
        self._timer: asyncio.TimerHandle | None = None

    def start(self, replies: PendingReplies) -> None:
        """Refuse a request when its time is over."""
        due = self._due[replies] = self._loop.time() + self._seconds
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._refuse_late)

    def stop(self, batch: CallBatch) -> None:
        """Forget the requests of a batch, which have their replies; others that are done stay until their deadline."""
        for request in batch.requests:
            self._due.pop(request.replies, None)

    def close(self) -> None:
        """Refuse nothing any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _refuse_late(self) -> None:
        now = self._loop.time()
        for replies in list(takewhile(lambda one: self._due[one] <= now or one.done(), self._due)):
            del self._due[replies]
            refuse(replies)
        self._timer = None
        if self._due:
            self._timer = self._loop.call_at(next(iter(self._due.values())), self._refuse_late)


def refuse(replies: PendingReplies, problem: BaseException | None = None) -> None:
    """Refuse a request with `store_unavailable`, because of `problem`, unless it is done."""
    if not replies.done():
        replies.set_exception(unavailable(problem))
        replies.exception()  # the caller may have stopped waiting: mark it as retrieved


def _first_error(replies: list[Reply]) -> ResponseError | None:
    return next((reply for reply in replies if isinstance(reply, ResponseError)), None)
