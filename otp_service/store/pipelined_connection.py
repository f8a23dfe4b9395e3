"""The way to the server: script calls of one moment go out together, and a lost one is never sent again.

A `Lane` is one connection that takes all calls that wait and sends them as one batch, so a busy service pays one
round trip for many calls. Nothing is retried: a script may have run although its reply was lost, and a guess must
not be paid for twice. Two answers are no exception to that, because they say that nothing ran: NOSCRIPT (the batch's
scripts are sent in full) and, in a cluster, MOVED (`topology.py` sends the call where it belongs; ASK, while a slot
is on its way between two nodes, is refused).
A call that is not answered by its deadline is `store_unavailable`; what it did is unknown to its caller.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError, ResponseError

from otp_service.domain.errors import Reason, Refused
from otp_service.observability import LOG
from otp_service.store.scripts import Script, all_scripts

__all__ = ["SAFE_POLICY", "EvictionRefused", "PipelinedConnections", "ScriptCall", "ScriptReply", "unavailable"]

ScriptReply = Any
"""What a script returns: numbers, bytes and lists of them. The typed methods of this room are its only readers."""

LANES = 4
BATCH = 256
MAX_WAITING = 8192
DEADLINE_SECONDS = 1.2
"""Two calls on a request's path and their deadlines still fit into the two seconds after which a 503 is due."""
RETRY_AFTER_MS = 1000
SAFE_POLICY = "noeviction"
_POLICY = re.compile(rb"^maxmemory_policy:([\w-]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ScriptCall:
    """One script, the keys it may touch and its arguments."""

    script: Script
    keys: tuple[str, ...]
    args: tuple[str | bytes | int, ...] = ()

    def by_digest(self) -> tuple[str | bytes | int, ...]:
        """Say it in the short form."""
        return ("EVALSHA", self.script.digest, len(self.keys), *self.keys, *self.args)

    def in_full(self) -> tuple[str | bytes | int, ...]:
        """Say it so that the server learns the script."""
        return ("EVAL", self.script.text, len(self.keys), *self.keys, *self.args)


class EvictionRefused(RedisError):
    """The server may evict keys, or does not say (`policy` ""): it would forget wrong guesses."""

    def __init__(self, policy: str) -> None:
        super().__init__(f"maxmemory-policy is {policy or 'unknown'}")
        self.policy = policy


def unavailable(cause: BaseException | None = None) -> Refused:
    """Make the refusal for a store that did not answer, or not as it should: `cause`."""
    evicts = isinstance(cause, EvictionRefused)
    detail = "The store may evict keys, or does not say." if evicts else "The store does not answer."
    refused = Refused(Reason.STORE_UNAVAILABLE, detail, retry_after_ms=RETRY_AFTER_MS)
    refused.__cause__ = cause
    return refused


@dataclass(slots=True)
class _Waiting:
    call: ScriptCall
    reply: asyncio.Future[ScriptReply | ResponseError]


class PipelinedConnections:
    """A few connections to one server, fed from one queue."""

    def __init__(
        self, pool: ConnectionPool, *, allow_eviction: bool = False, deadline: float = DEADLINE_SECONDS
    ) -> None:
        """Connect the way `pool` does; every call ends within `deadline` seconds, answered or not.

        Unless `allow_eviction`, a connection to a server that may evict keys is not used.
        """
        self._pool = pool
        self._allow_eviction = allow_eviction
        self._deadline = deadline
        self._waiting: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._tasks = [asyncio.create_task(self._lane(), name=f"store-lane-{n}") for n in range(LANES)]

    async def close(self) -> None:
        """Let go of the connections; calls still waiting are refused."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for waiting in self._waiting:
            _refuse(waiting)
        await self._pool.aclose()

    async def send(self, calls: Sequence[ScriptCall]) -> list[ScriptReply | ResponseError]:
        """Send `calls` in order in one batch; each answer is a reply or the server's own error.

        Raises `Refused`: `store_unavailable` past the deadline or without a connection, `overloaded` when too many
        calls wait already (then none of these was sent).
        """
        if len(self._waiting) + len(calls) > MAX_WAITING:
            raise Refused(Reason.OVERLOADED, "Too many calls wait for the store.", retry_after_ms=RETRY_AFTER_MS)
        loop = asyncio.get_running_loop()
        waiting = [_Waiting(call, loop.create_future()) for call in calls]
        self._waiting.extend(waiting)
        self._wake.set()
        try:
            async with asyncio.timeout(self._deadline):
                return [await one.reply for one in waiting]
        except TimeoutError:
            raise unavailable() from None
        finally:
            for one in waiting:
                one.reply.cancel()

    async def _lane(self) -> None:
        connection: AbstractConnection | None = None
        try:
            while True:
                await self._wake.wait()
                batch = self._next_batch()
                try:
                    if batch:
                        connection = await self._exchange(connection, batch)
                except Exception:
                    LOG.exception("store_lane_broke")
                    connection = None
        finally:
            await _drop(connection)

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        while self._waiting and len(batch) < BATCH:
            one = self._waiting.popleft()
            if not one.reply.done():
                batch.append(one)
        if not self._waiting:
            self._wake.clear()
        return batch

    async def _exchange(
        self, connection: AbstractConnection | None, batch: list[_Waiting]
    ) -> AbstractConnection | None:
        """Send a batch and hand out its answers; a connection that failed is dropped."""
        try:
            async with asyncio.timeout(self._deadline):
                connection = await self._ready(connection)
                answers = await _round_trip(connection, [one.call.by_digest() for one in batch])
                await _teach(connection, batch, answers)
        except BaseException as problem:
            await _drop(connection)
            for one in batch:
                _refuse(one, problem)
            if isinstance(problem, RedisError | OSError | TimeoutError):
                return None
            raise
        for one, answer in zip(batch, answers, strict=True):
            if not one.reply.done():
                one.reply.set_result(answer)
        if any(isinstance(answer, ReadOnlyError) for answer in answers):
            await _drop(connection)  # a replica by now: ask anew who the primary is
        return connection

    async def _ready(self, connection: AbstractConnection | None) -> AbstractConnection:
        """Reuse the lane's connection unless it was closed meanwhile. None is ever put back for somebody else.

        A fresh one is to a server that does not evict: who it is may have changed since the last one. It teaches the
        server every script, so that no request pays for that with a round trip.
        """
        if connection is not None and connection.is_connected and not await connection.can_read():
            return connection
        await _drop(connection)
        fresh: AbstractConnection = self._pool.make_connection()
        try:
            await fresh.connect()
            if not self._allow_eviction and (policy := await _eviction_policy(fresh)) != SAFE_POLICY:
                raise EvictionRefused(policy)
            await _round_trip(fresh, [("SCRIPT", "LOAD", known.text) for known in all_scripts()])
        except BaseException:  # half a handshake would leave its answers to the first calls
            await _drop(fresh)
            raise
        return fresh


async def _drop(connection: AbstractConnection | None) -> None:
    if connection is not None:
        await connection.disconnect(nowait=True)


async def _round_trip(
    connection: AbstractConnection, commands: list[tuple[str | bytes | int, ...]]
) -> list[ScriptReply | ResponseError]:
    await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
    answers: list[ScriptReply | ResponseError] = []
    for _ in commands:
        try:
            answers.append(await connection.read_response(timeout=math.inf, disconnect_on_error=False))
        except ResponseError as error:
            answers.append(error)
    return answers


async def _teach(
    connection: AbstractConnection, batch: list[_Waiting], answers: list[ScriptReply | ResponseError]
) -> None:
    """Send in full what the server did not know (after its restart, say): it ran none of those."""
    unknown = [n for n, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
    if unknown:
        again = await _round_trip(connection, [batch[n].call.in_full() for n in unknown])
        for n, answer in zip(unknown, again, strict=True):
            answers[n] = answer


async def _eviction_policy(connection: AbstractConnection) -> str:
    """Ask what the server does when its memory is full; "" when it does not say."""
    [answer] = await _round_trip(connection, [("INFO", "memory")])
    found = _POLICY.search(answer) if isinstance(answer, bytes) else None
    return found[1].decode() if found else ""


def _refuse(waiting: _Waiting, problem: BaseException | None = None) -> None:
    if not waiting.reply.done():
        waiting.reply.set_exception(unavailable(problem))
        waiting.reply.exception()  # whoever waited may be gone already
