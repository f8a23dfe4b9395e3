"""Failures of the store; cases from public bug reports, with their ids."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from otp_service.sandbox.embedded_server import EmbeddedServer
from tests.api.api_requests import UNKNOWN_ID
from tests.problem_assertions import assert_problem
from tests.running_service import RunningService, ServiceFactory

Set = Callable[[Any], Awaitable[Any]]


@contextlib.asynccontextmanager
async def own_service() -> AsyncIterator[RunningService]:
    """Run a service with a store of its own."""
    with EmbeddedServer() as server:
        factory = ServiceFactory(server.url)
        try:
            yield await factory()
        finally:
            await factory.close()


async def wait_for_readiness(service: RunningService, status: int, seconds: float = 5) -> str:
    """Wait until `/readyz` has a status; return its body."""
    async with asyncio.timeout(seconds):
        while (response := await service.client.get("/readyz")).status_code != status:
            await asyncio.sleep(0.02)
    return str(response.json().get("detail", ""))


async def assert_flow_works(service: RunningService, phone: str) -> None:
    """Request and verify a code."""
    verification_id, code = await service.request_code(phone)
    assert (await service.verify(verification_id, code)).status_code == 200


async def test_d03_every_connection_is_killed(service: RunningService) -> None:
    """D03: requests right after CLIENT KILL of all connections succeed, and `/readyz` stays 200."""
    for n in range(5):
        await service.store.client_kill_filter(_type="normal", skipme=True)
        assert (await service.client.get("/readyz")).status_code == 200
        await assert_flow_works(service, f"0812-1010-001{n}")


async def use_up_memory(store: Any) -> None:
    """Set `maxmemory` below what the server uses."""
    await store.config_set("maxmemory", "1mb")


async def free_memory(store: Any) -> None:
    """Remove the memory limit."""
    await store.config_set("maxmemory", "0")


async def make_replica(store: Any) -> None:
    """Make the server a replica."""
    await store.execute_command("REPLICAOF", "127.0.0.1", "1")


async def make_primary(store: Any) -> None:
    """Make the server a primary again."""
    await store.execute_command("REPLICAOF", "NO", "ONE")


async def require_replica(store: Any) -> None:
    """Require a replica for writes; there is none."""
    await store.config_set("min-replicas-to-write", "1")


async def require_no_replica(store: Any) -> None:
    """Require no replica for writes."""
    await store.config_set("min-replicas-to-write", "0")


async def allow_eviction(store: Any) -> None:
    """Set a policy that evicts keys."""
    await store.config_set("maxmemory-policy", "allkeys-lru")


async def forbid_eviction(store: Any) -> None:
    """Set the policy `noeviction`."""
    await store.config_set("maxmemory-policy", "noeviction")


FAILURES = [
    pytest.param(use_up_memory, free_memory, "out of memory", id="D04 out of memory"),
    pytest.param(make_replica, make_primary, "read-only", id="D05 and D06 a replica"),
    pytest.param(require_replica, require_no_replica, "too few replicas", id="too few replicas"),
    pytest.param(allow_eviction, forbid_eviction, "may evict keys (maxmemory-policy allkeys-lru)", id="D10 evicting"),
]


@pytest.mark.parametrize(("break_store", "repair_store", "reason"), FAILURES)
async def test_not_ready_while_writes_fail(break_store: Set, repair_store: Set, reason: str) -> None:
    """D04, D05, D06, D10: 503 with the reason at once, no attempt is counted, and service resumes after the repair."""
    async with own_service() as service:
        verification_id, code = await service.request_code("0812-1010-0011")
        await break_store(service.store)

        detail = assert_problem(await service.client.get("/readyz"), 503, "store_unavailable")["detail"]
        assert detail == f"The store cannot be used now: {reason}."
        assert_problem(await service.request("0812-1010-0022"), 503, "store_unavailable")
        for _ in range(6):  # more than the allowed attempts
            assert_problem(await service.verify(verification_id, service.wrong_code(code)), 503, "store_unavailable")
        assert (await service.client.get("/livez")).status_code == 200

        await repair_store(service.store)
        started = time.monotonic()
        await wait_for_readiness(service, 200)
        assert time.monotonic() - started < 3
        assert len(service.inbox.messages()) == 1
        assert (await service.verify(verification_id, code)).status_code == 200
        await assert_flow_works(service, "0812-1010-0022")


async def test_d10_a_policy_change_is_noticed_without_polling() -> None:
    """D10: a policy that changes at run time is noticed within seconds, also if no client polls `/readyz`."""

    async def wait_for_verify_status(service: RunningService, status: int) -> None:
        async with asyncio.timeout(4):
            while (await service.verify(UNKNOWN_ID, "123456")).status_code != status:
                await asyncio.sleep(0.05)

    async with own_service() as service:
        await allow_eviction(service.store)
        await wait_for_verify_status(service, 503)
        await forbid_eviction(service.store)
        await wait_for_verify_status(service, 404)


async def test_d09_flushall(service: RunningService) -> None:
    """D09: after FLUSHALL old codes are unknown, new codes work, and every key has a TTL."""
    verification_id, code = await service.request_code("0812-1010-0011")
    await service.store.flushall()

    assert_problem(await service.verify(verification_id, code), 404, "verification_unknown")
    await assert_flow_works(service, "0812-1010-0011")
    assert (await service.client.get("/readyz")).status_code == 200
    keys = [key async for key in service.store.scan_iter(count=1000) if not key.startswith(b"test:")]
    assert keys
    assert all([await service.store.pttl(key) > 0 for key in keys])
