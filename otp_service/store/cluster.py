"""A Redis cluster: each call goes to the node that has the hash slot of its first key."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Iterable, Sequence
from typing import Any

from redis.asyncio import ConnectionPool
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import ClusterDownError, MovedError

from otp_service.domain.errors import Reason, Refused
from otp_service.store.connection import Access, run_command
from otp_service.store.keys import probe_key
from otp_service.store.pipelined_connection import DEADLINE_SECONDS, PipelinedConnections
from otp_service.store.replies import ScriptReply, raise_refusals, unavailable, with_refusals
from otp_service.store.scripts import ScriptCall, script

__all__ = ["Cluster", "probe_call"]

RELOAD_SLOTS_SECONDS = 0.2
"""The minimum interval between loads of the slot map because a node does not reply."""

MAX_PROBE_KEYS = 1 << 15

_Node = tuple[str, int]
_SlotMap = list[tuple[int, int, _Node]]
"""First slot, last slot and node of each range."""


class Cluster:
    """A `Topology` of many servers.

    The slot map is loaded again when a node replies MOVED, and when one does not reply: a replica may have taken over
    its slots.
    """

    def __init__(self, seeds: list[_Node], options: dict[str, Any], access: Access) -> None:
        """Connect later; nothing is sent yet.

        Args:
            seeds: Host and port of nodes to load the slot map from.
            options: Options of every connection.
            access: The options of `[redis]` besides the URL.
        """
        self._seeds = seeds
        self._access = access
        self._options = options
        self._command_nodes = list(seeds)
        self._connections: dict[_Node, PipelinedConnections] = {}
        self._slots: _SlotMap = []
        self._maybe_outdated = False
        self._loading = asyncio.Lock()
        self._loaded_at = -math.inf

    async def send(self, calls: Sequence[ScriptCall]) -> list[ScriptReply]:
        """See `Topology`."""
        return raise_refusals(await self.send_each(calls))

    async def send_each(self, calls: Sequence[ScriptCall]) -> list[ScriptReply | Refused]:
        """Send one batch per node, all at once; calls that a node has moved go to the node it names. See `Topology`."""
        replies: list[Any] = [unavailable() for _ in calls]
        with contextlib.suppress(TimeoutError, Refused):  # the replies received until then stay
            async with asyncio.timeout(DEADLINE_SECONDS):
                await self._send_to_nodes(calls, replies)
        results = with_refusals(replies)
        if any(isinstance(reply, Refused) and reply.reason is Reason.STORE_UNAVAILABLE for reply in results):
            self._maybe_outdated = True
        return results

    async def _send_to_nodes(self, calls: Sequence[ScriptCall], replies: list[Any]) -> None:
        """Put the replies into `replies` as they arrive."""
        if not self._slots or (self._maybe_outdated and self._age() > RELOAD_SLOTS_SECONDS):
            await self._load_slots(self._slots)
        slots = self._slots
        await self._send_by_node(slots, calls, range(len(calls)), replies)
        moved = [n for n, reply in enumerate(replies) if isinstance(reply, MovedError | ClusterDownError)]
        if moved:
            await self._load_slots(slots)
            await self._send_by_node(self._slots, calls, moved, replies)

    async def _send_by_node(
        self, slots: _SlotMap, calls: Sequence[ScriptCall], indexes: Iterable[int], replies: list[Any]
    ) -> None:
        by_node: dict[_Node, list[int]] = {}
        for n in indexes:
            if node := _node_of(slots, calls[n]):
                by_node.setdefault(node, []).append(n)
            else:
                replies[n] = unavailable()

        async def send_to(node: _Node, indexes: list[int]) -> None:
            try:
                node_replies = await self._connections_to(node).send([calls[n] for n in indexes])
            except Refused as refused:
                node_replies = [refused] * len(indexes)
            for n, reply in zip(indexes, node_replies, strict=True):
                replies[n] = reply

        await asyncio.gather(*(send_to(node, indexes) for node, indexes in by_node.items()))

    async def probe(self) -> list[ScriptReply | Refused]:
        """Probe the node of every range of slots; slots without a node count as a failed probe. See `Topology`."""
        if not self._slots:
            first = await self.send_each([probe_call(0)])  # loads the map
            if not self._slots:
                return first
        replies = await self.send_each(_probe_calls(self._slots))
        return (
            replies if _covers_all(self._slots) else [*replies, unavailable(ClusterDownError("slots without a node"))]
        )

    async def node_keys(self) -> list[str]:
        """Return a key of the node of every range of slots. See `Topology`."""
        await self.send([probe_call(0)])  # loads the map
        return [call.keys[0] for call in _probe_calls(self._slots)]

    async def command(self, *words: str) -> Any:
        """Run the command on the first node that answers; a node that does not is tried last the next time."""
        for _ in range(len(self._command_nodes)):
            node = self._command_nodes[0]
            pool = self._pool(*node)
            try:
                return await run_command(pool, words)
            except BaseException as problem:
                self._command_nodes = [*(other for other in self._command_nodes if other != node), node]
                if not isinstance(problem, Refused):
                    raise
            finally:
                await pool.aclose()
        raise unavailable()

    async def close(self) -> None:
        """Close the connections to every node."""
        await asyncio.gather(*(connections.close() for connections in self._connections.values()))

    def _connections_to(self, node: _Node) -> PipelinedConnections:
        if node not in self._connections:
            self._connections[node] = PipelinedConnections(
                self._pool(*node), allow_eviction=self._access.allow_eviction
            )
        return self._connections[node]

    def _pool(self, host: str, port: int) -> ConnectionPool:
        return ConnectionPool(host=host, port=port, **self._options)

    def _age(self) -> float:
        return asyncio.get_running_loop().time() - self._loaded_at

    async def _load_slots(self, known: _SlotMap) -> None:
        """Load the map from any node, unless another call has replaced `known` meanwhile."""
        async with self._loading:
            if self._slots is not known:
                return
            ranges = await self.command("CLUSTER", "SLOTS")
            self._slots = [(int(first), int(last), self._address(primary)) for first, last, primary, *_ in ranges]
            self._maybe_outdated, self._loaded_at = False, asyncio.get_running_loop().time()
            nodes = {node for _, _, node in self._slots}
            self._command_nodes = list(dict.fromkeys((*self._command_nodes, *nodes)))
            self._command_nodes = [node for node in self._command_nodes if node in nodes or node in self._seeds]
            for gone in set(self._connections) - nodes:
                await self._connections.pop(gone).close()

    def _address(self, primary: Sequence[Any]) -> _Node:
        return (primary[0].decode() if primary[0] else self._seeds[0][0], int(primary[1]))


def _node_of(slots: _SlotMap, call: ScriptCall) -> _Node | None:
    slot = key_slot(call.keys[0].encode())
    return next((node for first, last, node in slots if first <= slot <= last), None)


def probe_call(number: int) -> ScriptCall:
    """Return a call of the script `probe`; `number` spreads the key over the slots."""
    return ScriptCall(script("probe"), (probe_key(number),))


def _probe_calls(slots: _SlotMap) -> list[ScriptCall]:
    """Return a probe of each node; a node with so few slots that no key is found soon is left out."""
    missing, calls = {node for _, _, node in slots}, []
    for number in range(MAX_PROBE_KEYS):
        if not missing:
            break
        call = probe_call(number)
        if (node := _node_of(slots, call)) in missing:
            missing.discard(node)
            calls.append(call)
    return calls


def _covers_all(slots: _SlotMap) -> bool:
    return sum(last - first + 1 for first, last, _ in slots) == REDIS_CLUSTER_HASH_SLOTS
