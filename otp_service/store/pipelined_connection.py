"""Connections that send all waiting script calls as one batch, and never send a call twice.

Each connection takes all waiting calls and sends them together, so a busy service pays one round trip for many calls.
Nothing is retried: a script may have run although its reply was lost, and an attempt must not be counted twice. After
two replies a call is sent again, because they mean that nothing ran: NOSCRIPT (with the script's text) and, in a
cluster, MOVED (`cluster.py` sends the call to the right node; ASK, while a slot moves, is refused).
A call without a reply at its deadline is `store_unavailable`; its effect is unknown to the caller.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hiredis import pack_command
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError, ResponseError

from otp_service.domain.errors import Reason, Refused
from otp_service.observability import LOG
from otp_service.store.replies import RETRY_AFTER_MS, SAFE_EVICTION_POLICY, EvictionRefused, ScriptReply, unavailable
from otp_service.store.scripts import ScriptCall, all_scripts

__all__ = ["CONNECTIONS", "DEADLINE_SECONDS", "MAX_WAITING", "PipelinedConnections"]

CONNECTIONS = 4
MAX_BATCH = 256
MAX_WAITING = 8192
"""Calls that wait for a connection; more are refused as `overloaded`."""

DEADLINE_SECONDS = 1.2
"""Of one call. A request that makes two calls must still reply 503 within two seconds when the second one is lost."""

_EVICTION_POLICY = re.compile(rb"^maxmemory_policy:([\w-]+)", re.MULTILINE)


_Reply = ScriptReply | ResponseError


@dataclass(slots=True, eq=False)
class _Request:
    """The calls of one `send`, which are sent in one batch; `replies` is done when they no longer have to be."""

    calls: Sequence[ScriptCall]
    replies: asyncio.Future[list[_Reply]]


class PipelinedConnections:
    """A few connections to one server, fed from one queue."""

    def __init__(
        self, pool: ConnectionPool, *, allow_eviction: bool = False, deadline: float = DEADLINE_SECONDS
    ) -> None:
        """Connect with the settings of `pool`.

        Args:
            pool: Makes the connections.
            allow_eviction: Accept a server that may evict keys.
            deadline: Seconds within which every call ends, answered or not.
        """
        self._pool = pool
        pool.connection_class = _aborting(pool.connection_class)
        self._allow_eviction = allow_eviction
        self._deadline = deadline
        self._is_closing = False
        self._waiting: deque[_Request] = deque()
        self._waiting_calls = 0
        self._idle: deque[asyncio.Future[None]] = deque()  # one for each connection without work
        self._tasks = [asyncio.create_task(self._run(), name=f"store-connection-{n}") for n in range(CONNECTIONS)]

    async def close(self) -> None:
        """Close the connections; calls that still wait are refused."""
        self._is_closing = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for request in self._waiting:
            _refuse(request.replies)
        await self._pool.aclose()

    async def send(self, calls: Sequence[ScriptCall]) -> list[_Reply]:
        """Send `calls` in order in one batch.

        Returns:
            For each call the script's reply, or the server's error.

        Raises:
            Refused: `store_unavailable` past the deadline or without a connection; `overloaded` when too many calls
                wait already (then none of these was sent).
        """
        if self._waiting_calls + len(calls) > MAX_WAITING:
            raise Refused(Reason.OVERLOADED, "Too many calls wait for the store.", retry_after_ms=RETRY_AFTER_MS)
        loop = asyncio.get_running_loop()
        request = _Request(calls, loop.create_future())
        self._waiting.append(request)
        self._waiting_calls += len(calls)
        self._wake_one()
        deadline = loop.call_later(self._deadline, _refuse, request.replies)
        try:
            return await request.replies
        finally:
            deadline.cancel()

    def _wake_one(self) -> None:
        """Wake the connection that has been idle longest; one is enough."""
        while self._idle:
            idle = self._idle.popleft()
            if not idle.done():
                idle.set_result(None)
                return

    async def _work(self) -> None:
        """Return when calls wait."""
        while not self._waiting:
            idle = asyncio.get_running_loop().create_future()
            self._idle.append(idle)
            await idle

    async def _run(self) -> None:
        connection: AbstractConnection | None = None
        try:
            while not self._is_closing:  # redis-py may take a cancellation for a failed handshake
                await self._work()
                batch = self._next_batch()
                try:
                    if batch:
                        connection = await self._exchange(connection, batch)
                except Exception:
                    LOG.exception("store_connection_failed")
                    connection = None
        finally:
            await self._drop(connection)

    def _next_batch(self) -> list[_Request]:
        """Take requests from the queue, at most `MAX_BATCH` calls or one request. Those that are done are dropped."""
        batch: list[_Request] = []
        calls = 0
        while self._waiting and (not batch or calls + len(self._waiting[0].calls) <= MAX_BATCH):
            request = self._waiting.popleft()
            self._waiting_calls -= len(request.calls)
            if not request.replies.done():
                batch.append(request)
                calls += len(request.calls)
        if self._waiting:
            self._wake_one()
        return batch

    async def _exchange(
        self, connection: AbstractConnection | None, batch: list[_Request]
    ) -> AbstractConnection | None:
        """Send a batch and return its replies to the callers; drop a connection that failed."""
        calls = [call for request in batch for call in request.calls]
        try:
            async with asyncio.timeout(self._deadline):
                connection = await self._connected(connection)
                replies = await _round_trip(connection, [call.evalsha() for call in calls])
                await _send_unknown_scripts(connection, calls, replies)
        except BaseException as problem:
            await self._drop(connection)
            for request in batch:
                _refuse(request.replies, problem)
            if isinstance(problem, RedisError | OSError | TimeoutError):
                return None
            raise
        _distribute(batch, replies)
        if any(isinstance(reply, ReadOnlyError) for reply in replies):
            await self._drop(connection)  # the server is a replica now: connect to the new primary
        return connection

    async def _connected(self, connection: AbstractConnection | None) -> AbstractConnection:
        """Return the connection if it is still open and clean, or a new one.

        A new connection checks the eviction policy, because another server may reply now, and loads the scripts that
        the server does not know, so that no request pays for that with a round trip.
        """
        if connection is not None and connection.is_connected and not await connection.can_read():
            return connection
        await self._drop(connection)
        new: AbstractConnection = self._pool.make_connection()
        try:
            await new.connect()
            memory, known = await _round_trip(
                new, [("INFO", "memory"), ("SCRIPT", "EXISTS", *(one.digest for one in all_scripts()))]
            )
            if not self._allow_eviction and (policy := _eviction_policy(memory)) != SAFE_EVICTION_POLICY:
                raise EvictionRefused(policy)
            await _load_scripts(new, known)
        except BaseException:  # otherwise the rest of the handshake is read as the reply of the first calls
            await self._drop(new)
            raise
        return new

    async def _drop(self, connection: AbstractConnection | None) -> None:
        """Close a connection. At the end wait for it: a loop that closes before its transports reports an error."""
        if connection is not None:
            await connection.disconnect(nowait=not self._is_closing)


class _AbortingConnection(AbstractConnection):
    """Closes its transport at once, without what is not sent yet, and without the end of TLS.

    Otherwise the transport stays open until a server that hangs has read or answered that, and calls whose callers were
    refused are still sent. redis-py disconnects by itself when a handshake or a write fails, and then forgets the
    transport: it cannot be closed afterwards.
    """

    async def disconnect(self, *args: Any, **kwargs: Any) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
        await super().disconnect(*args, **kwargs)


def _aborting(connection_class: type[AbstractConnection]) -> type[AbstractConnection]:
    """Return the class with `_AbortingConnection` in front of it."""
    return type(f"Aborting{connection_class.__name__}", (_AbortingConnection, connection_class), {})


async def _round_trip(connection: AbstractConnection, commands: list[tuple[str | bytes | int, ...]]) -> list[_Reply]:
    packed = b"".join([pack_command(command) for command in commands])  # type: ignore[arg-type]  # any length
    await connection.send_packed_command(packed, check_health=False)
    replies: list[_Reply] = []
    for _ in commands:
        try:  # without a `timeout`: redis-py would make the reply None of an ETIMEDOUT of the connection
            replies.append(await connection.read_response(disconnect_on_error=False))
        except ResponseError as error:
            replies.append(error)
    return replies


async def _send_unknown_scripts(
    connection: AbstractConnection, calls: Sequence[ScriptCall], replies: list[_Reply]
) -> None:
    """Send the text of scripts that the server does not know, for example after a restart: it ran none of those."""
    unknown = [n for n, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
    if unknown:
        again = await _round_trip(connection, [calls[n].eval() for n in unknown])
        for n, reply in zip(unknown, again, strict=True):
            replies[n] = reply


async def _load_scripts(connection: AbstractConnection, known: _Reply) -> None:
    """Load the scripts that the server does not know by its reply to SCRIPT EXISTS: all of them together are large."""
    scripts = all_scripts()
    is_known = known if isinstance(known, list) else [0] * len(scripts)
    missing = [one for one, there in zip(scripts, is_known, strict=True) if not there]
    if missing:
        await _round_trip(connection, [("SCRIPT", "LOAD", one.text) for one in missing])


def _eviction_policy(reply: _Reply) -> str:
    """Return the maxmemory-policy in a reply to INFO; "" when the server does not report it."""
    found = _EVICTION_POLICY.search(reply) if isinstance(reply, bytes) else None
    return found[1].decode() if found else ""


def _distribute(batch: list[_Request], replies: list[_Reply]) -> None:
    """Give each request its part of the replies."""
    start = 0
    for request in batch:
        end = start + len(request.calls)
        if not request.replies.done():
            request.replies.set_result(replies[start:end])
        start = end


def _refuse(replies: asyncio.Future[list[_Reply]], problem: BaseException | None = None) -> None:
    if not replies.done():
        replies.set_exception(unavailable(problem))
        replies.exception()  # the caller may have stopped waiting: mark it as retrieved
