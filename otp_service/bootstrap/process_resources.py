"""What a process keeps when it loads another config: the client and probe of the store, the hash pool, issuer keys."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Hashable
from dataclasses import dataclass, field
from typing import Final

from otp_service.bootstrap.configured_names import ConfiguredNames
from otp_service.bootstrap.hash_capacity import build_hash_pool
from otp_service.crypto.hashing import HashPool
from otp_service.service.token_issuers import FetchedKeys
from otp_service.settings import Settings
from otp_service.store.connection import Access
from otp_service.store.readiness import StoreReadiness
from otp_service.store.topology import Topology, connect

__all__ = ["METRICS_VARIABLE", "ProcessResources", "build_resources", "build_topology"]

METRICS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable with the folder in which worker processes share their metrics and their locks of cores."""


@dataclass(frozen=True, slots=True)
class ProcessResources:
    """What is built from `[redis]` and `[hashing]`, and serves every application of the process.

    `issuer_keys`: the key sets of the current token issuers, by what they depend on. `names`: what has gauges.
    """

    topology: Topology
    readiness: StoreReadiness
    hash_pool: HashPool
    issuer_keys: dict[Hashable, FetchedKeys] = field(default_factory=dict)
    names: ConfiguredNames = field(default_factory=ConfiguredNames)

    @contextlib.asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Probe the store; at the end, close its connections and stop the threads that hash."""
        await self.readiness.start()
        try:
            yield
        finally:
            await self.readiness.stop()
            await self.topology.close()
            self.hash_pool.close()


def build_topology(settings: Settings) -> Topology:
    """Build the client of the configured store; it connects at the first command."""
    redis = settings.redis
    access = Access(redis.allow_eviction, redis.ca_file, redis.sentinel_username, redis.sentinel_password)
    return connect(redis.url.reveal(), access)


def build_resources(settings: Settings) -> ProcessResources:
    """Build the resources of one process; nothing runs before their lifespan."""
    topology = build_topology(settings)
    return ProcessResources(
        topology=topology,
        readiness=StoreReadiness(topology, allow_eviction=settings.redis.allow_eviction),
        hash_pool=build_hash_pool(settings, os.environ.get(METRICS_VARIABLE)),
    )
