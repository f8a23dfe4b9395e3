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
from urllib.parse import urlsplit

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError, ResponseError, TryAgainError

from otp_service.domain.errors import Reason, Refused
from otp_service.store.connection import CONNECT_SECONDS, Access, addresses, cluster_options, pool_of
from otp_service.store.keys import probe_key
from otp_service.store.pipelined_connection import (
    DEADLINE_SECONDS,
    PipelinedConnections,
    ScriptCall,
    ScriptReply,
    unavailable,
)
from otp_service.store.scripts import script

__all__ = ["Topology", "connect"]

LEARN_AGAIN_SECONDS = 0.2
"""How often at most a cluster is asked for its map because a node does not answer."""
MOST_PROBE_KEYS = 1 << 15

_Node = tuple[str, int]
_Map = list[tuple[int, int, _Node]]


class Topology(Protocol):
    """Sends calls to where their keys live."""

    async def send(self, calls: Sequence[ScriptCall]) -> list[ScriptReply]:
        """Answer `calls` in order. Raises `Refused` (`store_unavailable`, `overloaded`) if any of them failed."""

    async def attempt(self, calls: Sequence[ScriptCall]) -> list[ScriptReply | Refused]:
        """Answer `calls` in order: each with its reply, or with the `Refused` that `send` would have raised for it.

        For calls that stand for themselves: one server of a cluster that is away takes nothing from the others. What a
        call did that is answered by `store_unavailable` is not known.
        """

    async def probe(self) -> list[ScriptReply | Refused]:
        """Try every primary with the script `probe`: its reply, or why that server cannot be used."""

    async def command(self, *words: str) -> Any:
        """Run an administrative command (INFO, CONFIG GET) on one server, with the same errors."""

    async def close(self) -> None:
        """Close every connection."""


def connect(url: str, access: Access = Access()) -> Topology:  # noqa: B008 - frozen
    """Make the topology that `url` names; nothing is connected yet. A bad URL was refused by the settings."""
    parts = urlsplit(url)
    if parts.scheme.endswith("+cluster"):
        return Cluster(addresses(parts.netloc, 6379), cluster_options(url, access), access)
    return SingleServer(pool_of(url, access), access)


class SingleServer:
    """One server at a time: standalone, or whoever Sentinel says is the primary now."""

    def __init__(self, pool: ConnectionPool, access: Access) -> None:
        """Send through `pool`."""
        self._pool = pool
        self._access = access
        self._lanes: PipelinedConnections | None = None

    async def send(self, calls: Sequence[ScriptCall]) -> list[ScriptReply]:
        """Send one batch; see `Topology`."""
        return _all_good(await self.attempt(calls))

    async def attempt(self, calls: Sequence[ScriptCall]) -> list[ScriptReply | Refused]:
        """Send one batch; see `Topology`. One server fails for all calls alike, unless a script itself does."""
        if self._lanes is None:
            self._lanes = PipelinedConnections(self._pool, allow_eviction=self._access.allow_eviction)
        try:
            return [_judged(answer) for answer in await self._lanes.send(calls)]
        except Refused as refused:
            return [refused] * len(calls)

    async def probe(self) -> list[ScriptReply | Refused]:
        """Try the server; see `Topology`."""
        return await self.attempt([_probe_call(probe_key(0))])

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

    def __init__(self, seeds: list[_Node], options: dict[str, Any], access: Access) -> None:
        """Learn the map from any of `seeds`; `options` are those of every connection."""
        self._seeds = seeds
        self._access = access
        self._options = options
        self._askable = list(seeds)
        self._nodes: dict[_Node, PipelinedConnections] = {}
        self._slots: _Map = []
        self._doubtful = False
        self._learning = asyncio.Lock()
        self._learnt_at = -math.inf

    async def send(self, calls: Sequence[ScriptCall]) -> list[ScriptReply]:
        """Send one batch a node; see `Topology`."""
        return _all_good(await self.attempt(calls))

    async def attempt(self, calls: Sequence[ScriptCall]) -> list[ScriptReply | Refused]:
        """Send one batch a node, all at once; what a node says it does not have goes to the one it names."""
        answers: list[Any] = [unavailable() for _ in calls]
        with contextlib.suppress(TimeoutError, Refused):  # what was answered until then stays
            async with asyncio.timeout(DEADLINE_SECONDS):
                await self._attempt(calls, answers)
        judged = [_judged(answer) for answer in answers]
        if any(isinstance(answer, Refused) and answer.reason is Reason.STORE_UNAVAILABLE for answer in judged):
            self._doubtful = True
        return judged

    async def _attempt(self, calls: Sequence[ScriptCall], answers: list[Any]) -> None:
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
        self, slots: _Map, calls: Sequence[ScriptCall], places: Iterable[int], answers: list[Any]
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

    async def probe(self) -> list[ScriptReply | Refused]:
        """Try the node of every part of the map; a part without a node cannot be used; see `Topology`."""
        if not self._slots:
            first = await self.attempt([_probe_call(probe_key(0))])  # learns the map
            if not self._slots:
                return first
        answers = await self.attempt([_probe_call(key) for key in _probe_keys(self._slots)])
        return (
            answers if _covers_all(self._slots) else [*answers, unavailable(ClusterDownError("slots without a node"))]
        )

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

    def _lanes(self, node: _Node) -> PipelinedConnections:
        if node not in self._nodes:
            self._nodes[node] = PipelinedConnections(self._pool(*node), allow_eviction=self._access.allow_eviction)
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


def _node_of(slots: _Map, call: ScriptCall) -> _Node | None:
    slot = key_slot(call.keys[0].encode())
    return next((node for first, last, node in slots if first <= slot <= last), None)


def _probe_call(key: str) -> ScriptCall:
    return ScriptCall(script("probe"), (key,))


def _probe_keys(slots: _Map) -> list[str]:
    """Find a key for each node; one with so few slots that none is found soon is left out."""
    missing, keys = {node for _, _, node in slots}, []
    for number in range(MOST_PROBE_KEYS):
        if not missing:
            break
        call = _probe_call(probe_key(number))
        if (node := _node_of(slots, call)) in missing:
            missing.discard(node)
            keys.append(call.keys[0])
    return keys


def _covers_all(slots: _Map) -> bool:
    return sum(last - first + 1 for first, last, _ in slots) == REDIS_CLUSTER_HASH_SLOTS


def _judged(answer: Any) -> ScriptReply | Refused:
    """Pass a reply on; any error of the server means that the call did not do its work."""
    if isinstance(answer, AskError | TryAgainError | ResponseError):
        return unavailable(answer)
    return answer


def _all_good(answers: list[ScriptReply | Refused]) -> list[ScriptReply]:
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
