"""Which server has the keys: one server, the primary that Sentinels name, or a cluster.

The URL of the config decides: `redis://`, `rediss://`, `unix://`, `redis+sentinel://host:26379[,host...]/service[/db]`
or `redis+cluster://host[,host...]` (`rediss+` for TLS).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, Protocol
from urllib.parse import urlsplit

from redis.asyncio import ConnectionPool
from redis.asyncio.sentinel import SentinelConnectionPool

from otp_service.domain.errors import Refused
from otp_service.store.cluster import Cluster, probe_call
from otp_service.store.connection import Access, addresses, cluster_options, connection_pool, run_command
from otp_service.store.pipelined_connection import PipelinedConnections
from otp_service.store.replies import ScriptReply, with_refusals
from otp_service.store.scripts import ScriptCall

__all__ = ["Topology", "connect"]


class Topology(Protocol):
    """Sends script calls to the server that has their keys."""

    def send(self, calls: Sequence[ScriptCall]) -> Awaitable[list[ScriptReply]]:
        """Send `calls`, and return their replies in the same order.

        Raises:
            Refused: `store_unavailable` or `overloaded`: at least one call failed. Others may have run.
        """

    async def send_each(self, calls: Sequence[ScriptCall]) -> list[ScriptReply | Refused]:
        """Send independent `calls`, so that an unreachable node of a cluster does not affect the others.

        Returns:
            In the same order, each call's reply or the `Refused` that `send` would raise for it. The effect of a call
            with `store_unavailable` is unknown.
        """

    async def probe(self) -> list[ScriptReply | Refused]:
        """Run the script `probe` on every primary, and return each reply, or why that server cannot be used."""

    async def node_keys(self) -> list[str]:
        """Return a key in a slot of each primary, to run a script on all of them. Raises `Refused` as `send` does."""

    async def command(self, *words: str) -> Any:
        """Run an administrative command (INFO, CONFIG GET) on one server. Raises `Refused` as `send` does."""

    async def close(self) -> None:
        """Close every connection."""


def connect(url: str, access: Access = Access()) -> Topology:  # noqa: B008 - frozen
    """Return the topology for `url`, which the settings have checked; no connection is made yet."""
    parts = urlsplit(url)
    if parts.scheme.endswith("+cluster"):
        return Cluster(addresses(parts.netloc, 6379), cluster_options(url, access), access)
    return SingleServer(connection_pool(url, access), access)


class SingleServer:
    """A `Topology` of one server at a time: a standalone one, or the current primary according to Sentinel."""

    def __init__(self, pool: ConnectionPool, access: Access) -> None:
        """Send through connections of `pool`."""
        self._pool = pool
        self._access = access
        self._connections: PipelinedConnections | None = None

    def send(self, calls: Sequence[ScriptCall]) -> asyncio.Future[list[ScriptReply]]:
        """See `Topology`."""
        return (self._connections or self._connect()).send(calls, refuse_errors=True)

    async def send_each(self, calls: Sequence[ScriptCall]) -> list[ScriptReply | Refused]:
        """See `Topology`. Without a connection all calls fail alike."""
        try:
            return with_refusals(await (self._connections or self._connect()).send(calls))
        except Refused as refused:
            return [refused] * len(calls)

    def _connect(self) -> PipelinedConnections:
        """Return the connections, now that there is an event loop."""
        self._connections = PipelinedConnections(self._pool, allow_eviction=self._access.allow_eviction)
        return self._connections

    async def probe(self) -> list[ScriptReply | Refused]:
        """See `Topology`."""
        return await self.send_each([probe_call(0)])

    async def node_keys(self) -> list[str]:
        """See `Topology`."""
        return list(probe_call(0).keys)

    async def command(self, *words: str) -> Any:
        """See `Topology`."""
        return await run_command(self._pool, words)

    async def close(self) -> None:
        """Close all connections, also those to Sentinels."""
        if self._connections is not None:
            await self._connections.close()
        await self._pool.aclose()
        if isinstance(self._pool, SentinelConnectionPool):
            await self._pool.sentinel_manager.aclose()
