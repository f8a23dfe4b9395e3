"""Connections that send all waiting script calls as one batch, and never send a call twice.

Each connection takes all waiting calls and sends them together, so a busy service pays one round trip for many calls.
Nothing is retried: a script may have run although its reply was lost, and an attempt must not be counted twice. After
two replies a call is sent again, because they mean that nothing ran: NOSCRIPT (with the script's text) and, in a
cluster, MOVED (`cluster.py` sends the call to the right node; ASK, while a slot moves, is refused).
A call without a reply at its deadline is `store_unavailable`; its effect is unknown to the caller.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from functools import partial

from redis.asyncio import ConnectionPool
from redis.exceptions import ReadOnlyError, RedisError, ResponseError

from otp_service.domain.errors import Reason, Refused
from otp_service.observability import LOG
from otp_service.store.call_batches import CallBatch, CallRequest, PendingReplies, ReplyDeadlines, refuse
from otp_service.store.replies import RETRY_AFTER_MS, unavailable
from otp_service.store.scripts import ScriptCall, eval_commands, evalsha_commands
from otp_service.store.server_connection import Reply, ServerConnection, aborting, open_connection

__all__ = ["CONNECTIONS", "DEADLINE_SECONDS", "MAX_WAITING", "PipelinedConnections"]

CONNECTIONS = 4
MAX_BATCH = 256
MAX_WAITING = 8192
"""Calls that wait for a connection; more are refused as `overloaded`."""

DEADLINE_SECONDS = 1.2
"""Of one call. A request that makes two calls must still reply 503 within two seconds when the second one is lost."""


class PipelinedConnections:
    """A few connections to one server, fed from one queue. A connection is opened when a call first needs it."""

    def __init__(
        self, pool: ConnectionPool, *, allow_eviction: bool = False, deadline: float = DEADLINE_SECONDS
    ) -> None:
        """Connect with the settings of `pool`.

        Args:
            pool: Makes the connections.
            allow_eviction: Accept a server that may evict keys.
            deadline: Seconds within which every call ends, answered or not.
        """
        self._loop = asyncio.get_running_loop()
        self._pool = pool
        pool.connection_class = aborting(pool.connection_class)
        self._allow_eviction = allow_eviction
        self._deadline = deadline
        self._is_closing = False
        self._waiting: deque[CallRequest] = deque()
        self._waiting_calls = 0
        self._deadlines = ReplyDeadlines(self._loop, deadline)
        self._idle: deque[ServerConnection | None] = deque([None] * CONNECTIONS)
        """Connections without work, None for each that is not open; the one that has been idle longest first."""
        self._is_woken = False
        self._connections: set[ServerConnection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._holder = asyncio.create_task(self._hold_open(), name="store-connections")

    async def close(self) -> None:
        """Close the connections; calls in progress and calls that wait are refused."""
        self._holder.cancel()
        await asyncio.gather(self._holder, return_exceptions=True)
        await self._abort_all()  # the holder may have been canceled before it began
        for request in self._waiting:
            refuse(request.replies)
        self._deadlines.close()
        await self._pool.aclose()

    async def _hold_open(self) -> None:
        """Abort the connections when this task is canceled: also without `close`, when the event loop ends.

        A loop cannot close before its transports have.
        """
        try:
            await self._loop.create_future()
        finally:
            await self._abort_all()

    async def _abort_all(self) -> None:
        """End all connections, also if this is canceled.

        One that is being opened may be open afterwards: redis-py may take a cancellation for an error and go on.
        """
        self._is_closing = True
        for connection in list(self._connections):
            connection.abort()
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        await asyncio.gather(*(connection.ended for connection in self._connections))

    def send(self, calls: Sequence[ScriptCall], *, refuse_errors: bool = False) -> PendingReplies:
        """Send `calls` in order in one batch.

        Args:
            calls: The calls.
            refuse_errors: Refuse all calls if the server replies with an error to one of them.

        Returns:
            For each call the script's reply, or the server's error; nothing at once, without calls. The future raises
            `Refused` with `store_unavailable` past the deadline or without a connection, and with `refuse_errors` for
            an error of the server, which means that this script did no work.

        Raises:
            Refused: `overloaded` when too many calls wait already, `store_unavailable` when the connections are closed;
                none of these calls was sent.
        """
        replies: PendingReplies = self._loop.create_future()
        if not calls:
            replies.set_result([])
            return replies
        if self._waiting_calls + len(calls) > MAX_WAITING:
            raise Refused(Reason.OVERLOADED, "Too many calls wait for the store.", retry_after_ms=RETRY_AFTER_MS)
        if self._is_closing:
            raise unavailable()
        self._deadlines.start(replies)
        self._waiting.append(CallRequest(calls, replies, refuse_errors))
        self._waiting_calls += len(calls)
        self._wake_one()
        return replies

    def _wake_one(self) -> None:
        """Give work to one idle connection in the next turn of the loop, so that all the calls of this one are sent."""
        if self._idle and not self._is_woken:
            self._is_woken = True
            self._loop.call_soon(self._start_one)

    def _start_one(self) -> None:
        self._is_woken = False
        if self._idle:
            self._work(self._idle.popleft())

    def _work(self, connection: ServerConnection | None) -> None:
        """Send a batch of the waiting calls; open a connection first if this one is not open."""
        if self._is_closing:
            return
        if connection is not None and not connection.is_open:
            connection = None
        batch = self._next_batch() if self._waiting else None
        if batch is None or not batch.calls:
            self._idle.append(connection)
        elif connection is not None:
            self._send(connection, batch)
        else:
            task = asyncio.create_task(self._open(batch), name="store-connection")
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    def _next_batch(self) -> CallBatch:
        """Take requests from the queue, at most `MAX_BATCH` calls or one request. Those that are done are dropped."""
        requests: list[CallRequest] = []
        calls = 0
        while self._waiting and (not requests or calls + len(self._waiting[0].calls) <= MAX_BATCH):
            request = self._waiting.popleft()
            self._waiting_calls -= len(request.calls)
            if not request.replies.done():
                requests.append(request)
                calls += len(request.calls)
        if self._waiting:
            self._wake_one()
        return CallBatch(requests)

    async def _open(self, batch: CallBatch) -> None:
        """Open a connection, and send what is not past its deadline by then. Without a connection, refuse the batch."""
        connection = None
        try:
            async with asyncio.timeout(self._deadline):
                connection = await open_connection(
                    self._pool, allow_eviction=self._allow_eviction, deadline=self._deadline
                )
        except BaseException as problem:
            batch.refuse(problem)
            if not isinstance(problem, Exception):
                raise
            if not isinstance(problem, RedisError | OSError | TimeoutError):
                LOG.exception("store_connection_failed")
        if connection is not None:
            self._connections.add(connection)
            connection.ended.add_done_callback(lambda _: self._connections.discard(connection))
        if self._is_closing:
            batch.refuse()
            if connection is not None:
                connection.abort()
        waiting = [request for request in batch.requests if not request.replies.done()]
        if connection is not None and waiting:
            self._send(connection, CallBatch(waiting))
        else:
            self._work(connection)

    def _send(self, connection: ServerConnection, batch: CallBatch, unknown: list[int] | None = None) -> None:
        """Send the calls of a batch, or those of them whose script was unknown, with its text."""
        try:
            commands = eval_commands([batch.calls[n] for n in unknown]) if unknown else evalsha_commands(batch.calls)
            connection.exchange(commands, partial(self._received, connection, batch, unknown))
        except Exception as problem:  # an argument that is neither a text nor a number
            LOG.exception("store_calls_not_sent")
            batch.refuse(problem)
            self._work(connection)

    def _received(
        self,
        connection: ServerConnection,
        batch: CallBatch,
        unknown: list[int] | None,
        outcome: list[Reply] | Exception,
    ) -> None:
        """Give the replies to the callers. A server that does not know a script, as after a restart, did not run it."""
        if isinstance(outcome, Exception):
            batch.refuse(outcome)
        else:
            if unknown is None:
                batch.replies = outcome
            else:
                batch.replace(unknown, outcome)
            errors = [reply for reply in batch.replies if isinstance(reply, ResponseError)]
            if errors and unknown is None and (unknown := batch.unknown()):
                self._send(connection, batch, unknown)
                return
            batch.answer(has_errors=bool(errors))
            self._deadlines.stop(batch)
            if errors and any(isinstance(reply, ReadOnlyError) for reply in errors):
                connection.abort()  # the server is a replica now: connect to the new primary
        self._work(connection)
