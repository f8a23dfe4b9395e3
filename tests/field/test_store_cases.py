"""What people in the field ran into with their store (the ids are those of the collection of field cases)."""

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
    """Run a service on a server of its own."""
    with EmbeddedServer() as server:
        factory = ServiceFactory(server.url)
        try:
            yield await factory()
        finally:
            await factory.close()


async def becomes(service: RunningService, status: int, seconds: float = 5) -> str:
    """Wait until `/readyz` answers with a status; what it says then."""
    async with asyncio.timeout(seconds):
        while (response := await service.client.get("/readyz")).status_code != status:
            await asyncio.sleep(0.02)
    return str(response.json().get("detail", ""))


async def served(service: RunningService, phone: str) -> None:
    """Hold the whole flow to work."""
    verification_id, code = await service.request_code(phone)
    assert (await service.verify(verification_id, code)).status_code == 200


async def test_d03_every_connection_is_killed(service: RunningService) -> None:
    """D03: the calls right after CLIENT KILL of every connection are served, and `/readyz` does not flap."""
    for n in range(5):
        await service.store.client_kill_filter(_type="normal", skipme=True)
        assert (await service.client.get("/readyz")).status_code == 200
        await served(service, f"0812-1010-001{n}")


async def full(store: Any) -> None:
    """Leave the server no memory."""
    await store.config_set("maxmemory", "1mb")


async def roomy(store: Any) -> None:
    """Give it memory again."""
    await store.config_set("maxmemory", "0")


async def read_only(store: Any) -> None:
    """Make the server a replica."""
    await store.execute_command("REPLICAOF", "127.0.0.1", "1")


async def primary(store: Any) -> None:
    """Make it a primary again."""
    await store.execute_command("REPLICAOF", "NO", "ONE")


async def alone(store: Any) -> None:
    """Ask for a replica where there is none."""
    await store.config_set("min-replicas-to-write", "1")


async def enough(store: Any) -> None:
    """Ask for none."""
    await store.config_set("min-replicas-to-write", "0")


async def evicting(store: Any) -> None:
    """Let the server forget."""
    await store.config_set("maxmemory-policy", "allkeys-lru")


async def keeping(store: Any) -> None:
    """Let it keep what it has."""
    await store.config_set("maxmemory-policy", "noeviction")


TROUBLES = [
    pytest.param(full, roomy, "out of memory", id="D04 out of memory"),
    pytest.param(read_only, primary, "read-only", id="D05 and D06 a replica"),
    pytest.param(alone, enough, "too few replicas", id="too few replicas"),
    pytest.param(evicting, keeping, "may evict keys (maxmemory-policy allkeys-lru)", id="D10 evicting"),
]


@pytest.mark.parametrize(("spoil", "mend", "said"), TROUBLES)
async def test_not_ready_whenever_calls_are_refused(spoil: Set, mend: Set, said: str) -> None:
    """D04, D05, D06, D10: noticed at once, 503 with what is wrong; nothing was spent; served when it is right again."""
    async with own_service() as service:
        verification_id, code = await service.request_code("0812-1010-0011")
        await spoil(service.store)

        detail = assert_problem(await service.client.get("/readyz"), 503, "store_unavailable")["detail"]
        assert detail == f"The store cannot be used now: {said}."
        assert_problem(await service.request("0812-1010-0022"), 503, "store_unavailable")
        for _ in range(6):  # more than there are attempts
            assert_problem(await service.verify(verification_id, service.wrong_code(code)), 503, "store_unavailable")
        assert (await service.client.get("/livez")).status_code == 200

        await mend(service.store)
        started = time.monotonic()
        await becomes(service, 200)
        assert time.monotonic() - started < 3
        assert len(service.inbox.messages()) == 1
        assert (await service.verify(verification_id, code)).status_code == 200
        await served(service, "0812-1010-0022")


async def test_d10_without_anybody_who_asks() -> None:
    """D10: a policy that changes at run time is noticed within seconds also when nobody asks for `/readyz`."""

    async def guessed(service: RunningService, status: int) -> None:
        async with asyncio.timeout(4):
            while (await service.verify(UNKNOWN_ID, "123456")).status_code != status:
                await asyncio.sleep(0.05)

    async with own_service() as service:
        await evicting(service.store)
        await guessed(service, 503)
        await keeping(service.store)
        await guessed(service, 404)


async def test_d09_everything_is_forgotten(service: RunningService) -> None:
    """D09: after FLUSHALL a code is unknown, new ones are served, and every key has a life."""
    verification_id, code = await service.request_code("0812-1010-0011")
    await service.store.flushall()

    assert_problem(await service.verify(verification_id, code), 404, "verification_unknown")
    await served(service, "0812-1010-0011")
    assert (await service.client.get("/readyz")).status_code == 200
    keys = [key async for key in service.store.scan_iter(count=1000) if not key.startswith(b"test:")]
    assert keys
    assert all([await service.store.pttl(key) > 0 for key in keys])
