"""Which server a key lives on: one server, the primary that Sentinel names, or a cluster's node for the slot.

The address is the config's: `redis://`, `rediss://`, `unix://`, `redis+sentinel://host:26379[,host...]/service[/db]`
and `redis+cluster://host[,host...]` (with `rediss+` for TLS).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
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
        """Send one batch."""
        if self._lanes is None:
            self._lanes = Lanes(self._pool)
        return [_good(answer) for answer in await self._lanes.send(calls)]

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
        """Send one batch a node, all at once; what a node says it does not have goes to the one it names."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                return await self._send(calls)
        except TimeoutError:
            self._doubtful = True
            raise unavailable() from None
        except Refused as refused:
            self._doubtful = self._doubtful or refused.reason is Reason.STORE_UNAVAILABLE
            raise

    async def _send(self, calls: Sequence[Call]) -> list[Reply]:
        if not self._slots or (self._doubtful and self._age() > LEARN_AGAIN_SECONDS):
            await self._learn(self._slots)
        slots = self._slots
        answers = await self._send_by_node([(_node_of(slots, call), call) for call in calls])
        moved = [n for n, answer in enumerate(answers) if isinstance(answer, MovedError | ClusterDownError)]
        if moved:
            await self._learn(slots)
            again = await self._send_by_node([(_node_of(self._slots, calls[n]), calls[n]) for n in moved])
            for n, answer in zip(moved, again, strict=True):
                answers[n] = answer
        return [_good(answer) for answer in answers]

    async def _send_by_node(self, routed: list[tuple[_Node, Call]]) -> list[Reply | ResponseError]:
        by_node: dict[_Node, list[int]] = {}
        for n, (node, _) in enumerate(routed):
            by_node.setdefault(node, []).append(n)
        parts = await asyncio.gather(
            *(self._lanes(node).send([routed[n][1] for n in places]) for node, places in by_node.items())
        )
        answers: list[Reply | ResponseError] = [None] * len(routed)
        for places, part in zip(by_node.values(), parts, strict=True):
            for n, answer in zip(places, part, strict=True):
                answers[n] = answer
        return answers

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


def _node_of(slots: _Map, call: Call) -> _Node:
    slot = key_slot(call.keys[0].encode())
    for first, last, node in slots:
        if first <= slot <= last:
            return node
    raise unavailable()


def _good(answer: Reply | ResponseError) -> Reply:
    """Pass a reply on; any error of the server means that the call did not do its work."""
    if isinstance(answer, AskError | TryAgainError | ResponseError):
        raise unavailable() from answer
    return answer


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
