"""One connection to a Redis server: redis-py opens it, then commands and replies go straight through its transport.

redis-py reads every reply in a task, through a stream. Without these, a call that comes alone takes about 92 us of CPU
time instead of 145, and one of eight at a time 20 instead of 38 (Python 3.11, uvloop, a unix socket).
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import hiredis
from redis._parsers import BaseParser
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisError, ResponseError

from otp_service.store.replies import SAFE_EVICTION_POLICY, EvictionRefused, ScriptReply
from otp_service.store.scripts import Command, all_scripts

__all__ = ["Reply", "ServerConnection", "aborting", "open_connection"]

Reply = ScriptReply | ResponseError
"""What the server replies to a command; an error of it means that the command did nothing."""

_INCOMPLETE: Final = object()
_EVICTION_POLICY: Final = re.compile(rb"^maxmemory_policy:([\w-]+)", re.MULTILINE)


class ServerConnection(asyncio.Protocol):
    """An open connection, which sends one batch of commands at a time."""

    def __init__(self, writer: asyncio.StreamWriter, deadline: float) -> None:
        """Take over a transport whose replies so far have been read.

        Args:
            writer: The stream to write to. It is kept until the end: one that is collected closes its transport.
            deadline: Seconds until all replies to a batch must be there.
        """
        self._loop = asyncio.get_running_loop()
        self._writer = writer
        self._transport: asyncio.WriteTransport = writer.transport
        self._streams = writer.transport.get_protocol()
        self._deadline = deadline
        self._reader = hiredis.Reader(
            protocolError=InvalidResponse, replyError=BaseParser.parse_error, notEnoughData=_INCOMPLETE
        )
        self._expected = 0
        self._replies: list[Reply] = []
        self._done: Callable[[list[Reply] | Exception], None] | None = None
        self._due = math.inf  # when the batch fails without all replies
        self._timer: asyncio.TimerHandle | None = None  # at that time or earlier: one timer is enough for many batches
        self.ended: asyncio.Future[None] = self._loop.create_future()
        """Is done when the transport has ended: a loop that closes before its transports reports an error."""
        self._transport.set_protocol(self)

    @property
    def is_open(self) -> bool:
        """Whether commands can be sent: neither side has closed the connection, and it has not failed."""
        return not self._transport.is_closing()

    def exchange(self, commands: Sequence[Command], done: Callable[[list[Reply] | Exception], None]) -> None:
        """Send commands as one batch.

        Args:
            commands: At least one. None is sent if one of them cannot be encoded, which raises an exception here.
            done: Is called once: with the reply to each command, or with what ended the connection before all of them
                were there. The effect of the commands is then unknown.
        """
        packed = _packed(commands)
        self._transport.write(packed)
        self._expected, self._done = len(commands), done
        self._due = self._loop.time() + self._deadline
        if self._timer is None:
            self._timer = self._loop.call_at(self._due, self._check_deadline)

    def abort(self) -> None:
        """Close the connection at once; a batch without all its replies has failed."""
        self._fail(RedisConnectionError("The connection was closed here."))

    def data_received(self, data: bytes) -> None:
        """Read replies. What no command asked for ends the connection: the next reply would be a wrong one.

        A push (RESP3) among replies is not one of them; the service has asked for none.
        """
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not _INCOMPLETE:
                if isinstance(reply, RedisConnectionError):
                    raise reply
                if not isinstance(reply, hiredis.PushNotification):
                    self._replies.append(reply)
        except RedisError as problem:
            self._fail(problem)
            return
        missing = self._expected - len(self._replies)
        if missing < 0 or (missing == 0 and (self._done is None or self._reader.has_data())):
            self._fail(InvalidResponse("more bytes than replies to the commands"))
        elif missing == 0:
            replies, self._replies = self._replies, []
            self._finish(replies)

    def connection_lost(self, problem: Exception | None) -> None:
        """Fail the batch; tell the streams as well, whose transport this was."""
        self._streams.connection_lost(problem)
        if self._timer is not None:
            self._timer.cancel()
        if not self.ended.done():
            self.ended.set_result(None)
        self._finish(problem or RedisConnectionError("The server closed the connection."))

    def _check_deadline(self) -> None:
        self._timer = None
        if self._due <= self._loop.time():
            self._fail(TimeoutError("The server does not reply."))
        elif self._due < math.inf:
            self._timer = self._loop.call_at(self._due, self._check_deadline)

    def _fail(self, problem: Exception) -> None:
        """Abort the transport: otherwise it stays open until the server has read what is not sent yet."""
        self._transport.abort()
        self._finish(problem)

    def _finish(self, outcome: list[Reply] | Exception) -> None:
        """End the batch, if there is one."""
        done, self._done, self._expected, self._due = self._done, None, 0, math.inf
        if done is not None:
            done(outcome)


class _AbortingConnection(AbstractConnection):
    """Closes its transport at once, without what is not sent yet, and without the end of TLS.

    Otherwise the transport stays open until a server that hangs has read or answered that. redis-py disconnects by
    itself when a handshake or a write fails, and then forgets the transport: it cannot be closed afterwards.
    """

    async def disconnect(self, *args: Any, **kwargs: Any) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
        await super().disconnect(*args, **kwargs)

    def hand_over(self) -> asyncio.StreamWriter | None:
        """Return the stream of the open connection, which is no longer this object's."""
        writer, self._reader, self._writer = self._writer, None, None
        return writer


def aborting(connection_class: type[AbstractConnection]) -> type[AbstractConnection]:
    """Return the class of connections that `open_connection` needs, made of one of redis-py."""
    return type(f"Aborting{connection_class.__name__}", (_AbortingConnection, connection_class), {})


async def open_connection(pool: ConnectionPool, *, allow_eviction: bool, deadline: float) -> ServerConnection:
    """Connect, check the eviction policy, and load the scripts that the server does not know.

    The policy is checked at each connection, because another server may reply now. The scripts are loaded here, so that
    no request pays for that with a round trip.

    Args:
        pool: Makes connections of a class that `aborting` returned.
        allow_eviction: Accept a server that may evict keys.
        deadline: Of each batch on the connection, in seconds.

    Raises:
        RedisError, OSError: There is no connection. It is closed, also if this is canceled: otherwise the rest of the
            handshake would be read as the reply to the first commands.
    """
    new: Any = pool.make_connection()
    try:
        await new.connect()
        memory, known = await _round_trip(
            new, [("INFO", "memory"), ("SCRIPT", "EXISTS", *(one.digest for one in all_scripts()))]
        )
        if not allow_eviction and (policy := _eviction_policy(memory)) != SAFE_EVICTION_POLICY:
            raise EvictionRefused(policy)
        await _load_scripts(new, known)
        if await new.can_read():
            raise InvalidResponse("a reply without a command")
    except BaseException:
        await new.disconnect()
        raise
    return ServerConnection(new.hand_over(), deadline)


def _packed(commands: Sequence[Command]) -> bytes:
    return b"".join(map(hiredis.pack_command, commands))  # type: ignore[arg-type]  # of any size


async def _round_trip(connection: AbstractConnection, commands: list[Command]) -> list[Reply]:
    await connection.send_packed_command(_packed(commands), check_health=False)
    replies: list[Reply] = []
    for _ in commands:
        try:  # without a `timeout`: redis-py would make the reply None of an ETIMEDOUT of the connection
            replies.append(await connection.read_response(disconnect_on_error=False))
        except ResponseError as error:
            replies.append(error)
    return replies


async def _load_scripts(connection: AbstractConnection, known: Reply) -> None:
    """Load the scripts that the server does not know by its reply to SCRIPT EXISTS: all of them together are large."""
    scripts = all_scripts()
    is_known = known if isinstance(known, list) else [0] * len(scripts)
    missing = [one for one, there in zip(scripts, is_known, strict=True) if not there]
    if missing:
        await _round_trip(connection, [("SCRIPT", "LOAD", one.text) for one in missing])


def _eviction_policy(reply: Reply) -> str:
    """Return the maxmemory-policy in a reply to INFO; "" when the server does not report it."""
    found = _EVICTION_POLICY.search(reply) if isinstance(reply, bytes) else None
    return found[1].decode() if found else ""
