"""Fixtures: stores on the test run's Redis server, in a database of their own, with a clock that tests move."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest

from otp_service.sandbox.embedded_server import EmbeddedServer
from otp_service.store.scripts import override_clock
from tests.store.redis_servers import RedisServer, folders
from tests.store.replica_store import STILL_CLOCK, ReplicaFactory, Store


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    """Start a server that a test may stop, kill, restart and configure."""
    with folders() as folder, RedisServer(folder) as running:
        yield running


@pytest.fixture
def _still_clock() -> Iterator[None]:
    """Stop the clock of all scripts."""
    with override_clock(STILL_CLOCK):
        yield


@pytest.fixture
async def make_replicas(server: EmbeddedServer) -> AsyncIterator[ReplicaFactory]:
    """Return a factory of stores on one server, each with its own connections."""
    async with contextlib.AsyncExitStack() as stack:

        def make(count: int) -> list[Store]:
            stores = [Store(f"{server.url}?db=3") for _ in range(count)]
            for store in stores:
                stack.push_async_callback(store.close)
            return stores

        yield make


@pytest.fixture
async def store(_still_clock: None, make_replicas: ReplicaFactory) -> Store:
    """Return an empty store with a stopped clock."""
    [store] = make_replicas(1)
    await store.stop_clock()
    return store
