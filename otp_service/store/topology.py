"""Which server a key lives on: one server, the primary that Sentinel names, or a cluster's node for the slot.

The address is the config's: `redis://`, `rediss://`, `unix://`, `redis+sentinel://host:26379[,host...]/service[/db]`
and `redis+cluster://host[,host...]` (with `rediss+` for TLS).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Iterable, Sequence
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError, ResponseError, TryAgainError

from otp_service.domain.errors import Reason, Refused
from otp_service.store.link import DEADLINE_SECONDS, Call, Lanes, Reply, unavailable

__all__ = ["Topology", "connect"]

CONNECT_SECONDS = 1.0
SENTINEL_SECONDS = 0.3
"""For one Sentinel: three that hang still leave time to ask a fourth within a call's deadline."""
LEARN_AGAIN_SECONDS = 0.2
"""How often at most a cluster is asked for its map because a node does not answer."""

_Node = tuple[str, int]
_Map = list[tuple[int, int, _Node]]


class Topology(Protocol):
    """Sends calls to where their keys live."""

    async def send(self, calls: Sequence[Call]) -> list[Reply]:
        """Answer `calls` in order. Raises `Refused` (`store_unavailable`, `overloaded`) if any of them failed."""

    async def attempt(self, calls: Sequence[Call]) -> list[Reply | Refused]:
        """Answer `calls` in order: each with its reply, or with the `Refused` that `send` would have raised for it.

        For calls that stand for themselves: one server of a cluster that is away takes nothing from the others. What a
        call did that is answered by `store_unavailable` is not known.
        """

    async def command(self, *words: str) -> Any:
        """Run an administrative command (INFO, CONFIG GET) on one server, with the same errors."""

    async def close(self) -> None:
        """Close every connection."""


def connect(url: str) -> Topology:
    """Make the topology that `url` names; nothing is connected yet. A bad URL was refused by the settings."""
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.partition("+")
    if kind == "sentinel":
        return SingleServer(_sentinel_pool(url, tls=scheme == "rediss"))
    if kind == "cluster":
        return Cluster(_addresses(parts.netloc, 6379), _options(url, tls=scheme == "rediss"))
    return SingleServer(ConnectionPool.from_url(url, **_connection_options()))


class SingleServer:
    """One server at a time: standalone, or whoever Sentinel says is the primary now."""

    def __init__(self, pool: ConnectionPool) -> None:
        """Send through `pool`."""
        self._pool = pool
        self._lanes: Lanes | None = None

    async def send(self, calls: Sequence[Call]) -> list[Reply]:
        """Send one batch; see `Topology`."""
        return _all_good(await self.attempt(calls))

    async def attempt(self, calls: Sequence[Call]) -> list[Reply | Refused]:
        """Send one batch; see `Topology`. One server fails for all calls alike, unless a script itself does."""
        if self._lanes is None:
            self._lanes = Lanes(self._pool)
        try:
            return [_judged(answer) for answer in await self._lanes.send(calls)]
        except Refused as refused:
            return [refused] * len(calls)

    async def command(self, *words: str) -> Any:
        """Ask the server itself."""
        return await _command(self._pool, words)

    async def close(self) -> None:
        """Close the lanes, and the connections to Sentinels."""
        if self._lanes is not None:
            await self._lanes.close()
        await self._pool.aclose()
        if isinstance(self._pool, SentinelConnectionPool):
            await self._pool.sentinel_manager.aclose()


class Cluster:
    """Many servers: a call goes to the node that has its slot.

    The map is learnt again when a node says MOVED, and when one does not answer: its slots may be a replica's by now.
    """

    def __init__(self, seeds: list[_Node], options: dict[str, Any]) -> None:
        """Learn the map from any of `seeds`; `options` are those of every connection."""
        self._seeds = seeds
        self._options = options
        self._askable = list(seeds)
        self._nodes: dict[_Node, Lanes] = {}
        self._slots: _Map = []
        self._doubtful = False
        self._learning = asyncio.Lock()
        self._learnt_at = -math.inf

    async def send(self, calls: Sequence[Call]) -> list[Reply]:
        """Send one batch a node; see `Topology`."""
        return _all_good(await self.attempt(calls))

    async def attempt(self, calls: Sequence[Call]) -> list[Reply | Refused]:
        """Send one batch a node, all at once; what a node says it does not have goes to the one it names."""
        answers: list[Any] = [unavailable() for _ in calls]
        with contextlib.suppress(TimeoutError, Refused):  # what was answered until then stays
            async with asyncio.timeout(DEADLINE_SECONDS):
                await self._attempt(calls, answers)
        judged = [_judged(answer) for answer in answers]
        if any(isinstance(answer, Refused) and answer.reason is Reason.STORE_UNAVAILABLE for answer in judged):
            self._doubtful = True
        return judged

    async def _attempt(self, calls: Sequence[Call], answers: list[Any]) -> None:
        """Put into `answers` what the nodes say, as they say it."""
        if not self._slots or (self._doubtful and self._age() > LEARN_AGAIN_SECONDS):
            await self._learn(self._slots)
        slots = self._slots
        await self._send_by_node(slots, calls, range(len(calls)), answers)
        moved = [n for n, answer in enumerate(answers) if isinstance(answer, MovedError | ClusterDownError)]
        if moved:
            await self._learn(slots)
            await self._send_by_node(self._slots, calls, moved, answers)

    async def _send_by_node(
        self, slots: _Map, calls: Sequence[Call], places: Iterable[int], answers: list[Any]
    ) -> None:
        by_node: dict[_Node, list[int]] = {}
        for n in places:
            if node := _node_of(slots, calls[n]):
                by_node.setdefault(node, []).append(n)
            else:
                answers[n] = unavailable()

        async def ask(node: _Node, places: list[int]) -> None:
            try:
                said = await self._lanes(node).send([calls[n] for n in places])
            except Refused as refused:
                said = [refused] * len(places)
            for n, answer in zip(places, said, strict=True):
                answers[n] = answer

        await asyncio.gather(*(ask(node, places) for node, places in by_node.items()))

    async def command(self, *words: str) -> Any:
        """Ask the first node that answers; one that does not is asked last the next time."""
        for _ in range(len(self._askable)):
            node = self._askable[0]
            pool = self._pool(*node)
            try:
                return await _command(pool, words)
            except BaseException as problem:
                self._askable = [*(other for other in self._askable if other != node), node]
                if not isinstance(problem, Refused):
                    raise
            finally:
                await pool.aclose()
        raise unavailable()

    async def close(self) -> None:
        """Close the lanes to every node."""
        await asyncio.gather(*(lanes.close() for lanes in self._nodes.values()))

    def _lanes(self, node: _Node) -> Lanes:
        if node not in self._nodes:
            self._nodes[node] = Lanes(self._pool(*node))
        return self._nodes[node]

    def _pool(self, host: str, port: int) -> ConnectionPool:
        return ConnectionPool(host=host, port=port, **self._options)

    def _age(self) -> float:
        return asyncio.get_running_loop().time() - self._learnt_at

    async def _learn(self, known: _Map) -> None:
        """Ask any node for the map, unless another call has learnt one since `known`."""
        async with self._learning:
            if self._slots is not known:
                return
            answer = await self.command("CLUSTER", "SLOTS")
            self._slots = [(int(first), int(last), self._address(primary)) for first, last, primary, *_ in answer]
            self._doubtful, self._learnt_at = False, asyncio.get_running_loop().time()
            nodes = {node for _, _, node in self._slots}
            self._askable = list(dict.fromkeys((*self._askable, *nodes)))
            self._askable = [node for node in self._askable if node in nodes or node in self._seeds]
            for gone in set(self._nodes) - nodes:
                await self._nodes.pop(gone).close()

    def _address(self, primary: Sequence[Any]) -> _Node:
        return (primary[0].decode() if primary[0] else self._seeds[0][0], int(primary[1]))


def _node_of(slots: _Map, call: Call) -> _Node | None:
    slot = key_slot(call.keys[0].encode())
    return next((node for first, last, node in slots if first <= slot <= last), None)


def _judged(answer: Any) -> Reply | Refused:
    """Pass a reply on; any error of the server means that the call did not do its work."""
    if isinstance(answer, AskError | TryAgainError | ResponseError):
        refused = unavailable()
        refused.__cause__ = answer
        return refused
    return answer


def _all_good(answers: list[Reply | Refused]) -> list[Reply]:
    """Raise the first refusal among `answers`."""
    for answer in answers:
        if isinstance(answer, Refused):
            raise answer
    return answers


async def _command(pool: ConnectionPool, words: Sequence[str]) -> Any:
    client = Redis(connection_pool=pool)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            return await client.execute_command(*words)
    except (RedisError, OSError, TimeoutError) as error:
        raise unavailable() from error


def _connection_options() -> dict[str, Any]:
    return {
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": None,
        "socket_connect_timeout": CONNECT_SECONDS,
        "decode_responses": False,
    }


def _addresses(netloc: str, default_port: int) -> list[tuple[str, int]]:
    hosts = netloc.rpartition("@")[2]
    found = []
    for address in hosts.split(","):
        parts = urlsplit(f"//{address}")
        found.append((parts.hostname or "localhost", parts.port or default_port))
    return found


def _options(url: str, *, tls: bool) -> dict[str, Any]:
    """Read the credentials of a cluster's or a Sentinel's URL."""
    user, _, password = urlsplit(url).netloc.rpartition("@")[0].partition(":")
    options = _connection_options()
    if password:
        options["password"] = unquote(password)
    if user:
        options["username"] = unquote(user)
    if tls:
        options["connection_class"] = SSLConnection
    return options


def _sentinel_pool(url: str, *, tls: bool) -> SentinelConnectionPool:
    parts = urlsplit(url)
    service, _, database = parts.path.lstrip("/").partition("/")
    options = _options(url, tls=False)
    patience = {"socket_timeout": SENTINEL_SECONDS, "socket_connect_timeout": SENTINEL_SECONDS}
    sentinel = Sentinel(_addresses(parts.netloc, 26379), sentinel_kwargs=_connection_options() | patience)
    return SentinelConnectionPool(service, sentinel, ssl=tls, db=int(database or 0), **options)
