"""Every primary is probed: one that evicts, or does not report its policy, is not used, whenever it appears."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from otp_service.domain.errors import Refused
from otp_service.domain.limits import Window
from otp_service.store import readiness as readiness_module
from otp_service.store.connection import Access
from otp_service.store.readiness import StoreReadiness, probe
from otp_service.store.scripts import override_clock
from otp_service.store.topology import Topology, connect
from tests.store.redis_servers import HOST, MASTER, RedisServer, cluster, sentinels, wait_for_reply
from tests.store.replica_store import ReplicaFactory, Store

WIDE = Window(10**6, 60)


@contextlib.asynccontextmanager
async def watch_store(url: str, **access: Any) -> AsyncIterator[tuple[Topology, StoreReadiness]]:
    """Watch a store within the block."""
    options = Access(**access)
    topology = connect(url, options)
    watch = StoreReadiness(topology, allow_eviction=options.allow_eviction)
    await watch.start()
    try:
        yield topology, watch
    finally:
        await watch.stop()
        await topology.close()


async def detail_of(ask: Callable[[], Awaitable[None]]) -> str:
    """Call, and return the refusal's detail; "" without a refusal."""
    try:
        await ask()
    except Refused as refused:
        return refused.detail
    return ""


async def reports(watch: StoreReadiness, words: str, seconds: float = 8) -> None:
    """Wait until `ready` reports exactly these words ("": no problem)."""
    expected = f"The store cannot be used now: {words}." if words else ""
    async with asyncio.timeout(seconds):
        while await detail_of(watch.ready) != expected:
            await asyncio.sleep(0.05)


def calls_are_allowed(watch: StoreReadiness) -> bool:
    """Return whether calls are allowed."""
    try:
        watch.check()
    except Refused:
        return False
    return True


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Collect log events."""
    lines: list[tuple[str, str]] = []

    class Log:
        def info(self, event: str, problems: str = "", **_: Any) -> None:
            lines.append((event, problems))

        warning = error = exception = info

    monkeypatch.setattr(readiness_module, "LOG", Log())
    return lines


async def test_every_primary_of_a_cluster_is_probed(logged: list[tuple[str, str]]) -> None:
    """One of three that may evict closes the store, at the start or later; an unreachable one is reported."""
    with override_clock(None), cluster() as nodes:
        url = f"redis+cluster://{HOST}:{nodes[0].port}"
        nodes[2].ask("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
        async with watch_store(url) as (_, watch):
            await reports(watch, "may evict keys (maxmemory-policy volatile-lru)")
            assert not calls_are_allowed(watch)
            nodes[2].ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
            await reports(watch, "")
            assert calls_are_allowed(watch)
            nodes[1].ask("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
            await reports(watch, "may evict keys (maxmemory-policy allkeys-random)")
            assert not calls_are_allowed(watch)
            nodes[1].ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
            await reports(watch, "")
            nodes[1].kill()  # it has no replica
            await reports(watch, "not reachable")
            assert calls_are_allowed(watch)  # calls to the others are served
            events = [event for event, _ in logged]
            assert events == ["store_refused", "store_ready", "store_refused", "store_ready", "store_not_ready"]


async def test_a_primary_after_a_failover_that_evicts_is_not_used() -> None:
    """The replica that takes over has another policy: no call succeeds until the policy is corrected."""
    with override_clock(None), sentinels() as (servers, watchers):
        addresses = ",".join(f"{HOST}:{watcher.port}" for watcher in watchers)
        servers[1].ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lfu")
        store = Store(f"redis+sentinel://{addresses}/{MASTER}")
        watch = StoreReadiness(store.topology, allow_eviction=False)
        await watch.start()
        try:
            await reports(watch, "")
            assert (await store.acquire_limit("s", WIDE))[0] == b"acquired"
            servers[0].kill()
            wait_for_reply("role:master", servers[1], "INFO", "replication")
            for _ in range(20):
                with pytest.raises(Refused):
                    await store.acquire_limit("s", WIDE)
            await reports(watch, "may evict keys (maxmemory-policy allkeys-lfu)")
            assert not calls_are_allowed(watch)
            servers[1].ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
            await reports(watch, "")
            assert (await store.acquire_limit("s", WIDE))[0] == b"acquired"
        finally:
            await watch.stop()
            await store.close()


@pytest.mark.parametrize("rule", ["-info", "-info -config"])
async def test_an_unknown_policy_is_not_safe(own_server: RedisServer, rule: str) -> None:
    """A managed server that forbids INFO is refused with that reason, unless `allow_eviction` accepts the risk."""
    own_server.ask("ACL", "SETUSER", "otp", "on", ">pw", "~*", "&*", "+@all", *rule.split())
    url = f"unix://otp:pw@{own_server.socket}"
    async with watch_store(url) as (_, watch):
        await reports(watch, "eviction policy unknown")
        assert not calls_are_allowed(watch)
    async with watch_store(url, allow_eviction=True) as (topology, watch):
        await reports(watch, "")
        assert calls_are_allowed(watch)
        assert not (await probe(topology, allow_eviction=True)).problems


async def test_other_problems_are_reported_in_words(own_server: RedisServer, tmp_path: Any) -> None:
    """A wrong password, a forbidden command, a full disk, a server that stops and comes back."""
    own_server.ask("ACL", "SETUSER", "weak", "on", ">pw", "~*", "+@all", "-setrange")
    async with watch_store(f"unix://weak:wrong@{own_server.socket}") as (_, watch):
        await reports(watch, "credentials refused")
        assert not calls_are_allowed(watch)
    async with watch_store(f"unix://weak:pw@{own_server.socket}") as (_, watch):
        await reports(watch, "a command is not permitted")
    async with watch_store(f"unix://{own_server.socket}") as (_, watch):
        await reports(watch, "")
        own_server.kill()
        await reports(watch, "not reachable")
        assert calls_are_allowed(watch)  # it was usable before: the call itself reports the problem
        own_server.start()
        await reports(watch, "")


async def test_a_probe_creates_no_key(make_replicas: ReplicaFactory) -> None:
    """The database is empty after it."""
    [store] = make_replicas(1)
    await store.redis.flushdb()
    for _ in range(3):
        assert await store.topology.probe() == [[b"noeviction"]]
    assert await store.redis.keys("*") == []


async def test_many_readiness_calls_do_not_load_the_store(own_server: RedisServer) -> None:
    """A thousand calls at once are two probes; a flood over half a second is a few dozen."""
    async with watch_store(f"unix://{own_server.socket}") as (topology, watch):
        await reports(watch, "")
        made = 0
        ask = topology.probe

        async def counted() -> Any:
            nonlocal made
            made += 1
            return await ask()

        topology.probe = counted  # type: ignore[method-assign]  # counts the calls of one instance
        await asyncio.gather(*(watch.ready() for _ in range(1000)))
        assert made <= 2
        until = asyncio.get_running_loop().time() + 0.5
        asked = 0
        while asyncio.get_running_loop().time() < until:
            await watch.ready()
            asked += 1
            await asyncio.sleep(0)
        assert asked > 100
        assert made <= 30
