"""Connection failures: nothing is sent twice, no caller waits endlessly, and connections recover by themselves."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from otp_service.domain.errors import Reason, Refused
from otp_service.domain.limits import Window
from otp_service.sandbox.embedded_server import EmbeddedServer
from otp_service.store.keys import limit_key
from otp_service.store.pipelined_connection import CONNECTIONS, MAX_WAITING, PipelinedConnections
from otp_service.store.scripts import ScriptCall, script
from tests.lossy_proxy import LossyProxy
from tests.store.redis_servers import RedisServer
from tests.store.replica_store import ReplicaFactory, Store, open_store

WIDE = Window(10**6, 60)
PATIENCE = 2.0
LIST = limit_key("x", "s")
COUNT = ScriptCall(script("rate_limit_acquire"), (LIST,), ("1000000 60000",))


@pytest.fixture
async def proxy(server: EmbeddedServer, tmp_path: Path) -> AsyncIterator[LossyProxy]:
    """Run a proxy between a store and the test run's server, whose third database is empty."""
    async with (
        LossyProxy(tmp_path / "p", server.socket, database=3).running() as running,
        open_store(f"{server.url}?db=3") as store,
    ):
        await store.redis.flushdb()
        yield running


async def connect_all(store: Store) -> None:
    """Use every connection once: they take turns."""
    for _ in range(2 * CONNECTIONS):
        await store.acquire_limit("warm", WIDE)


async def refused(store: Store, seconds: float = PATIENCE) -> Reason:
    """Send a call that must be refused within two seconds, or within `seconds`."""
    started = time.monotonic()
    with pytest.raises(Refused) as caught:
        await store.acquire_limit("s", WIDE)
    assert time.monotonic() - started < seconds
    assert (caught.value.retry_after_ms or 0) > 0
    return caught.value.reason


@pytest.mark.parametrize("connected", [True, False])
async def test_a_server_that_hangs_is_refused_in_time_and_comes_back(own_server: RedisServer, connected: bool) -> None:
    """Refused within two seconds, with a connection or without; then every reply belongs to its call."""
    async with open_store(f"unix://{own_server.socket}") as store:
        if connected:
            await connect_all(store)
        os.kill(own_server.process.pid, signal.SIGSTOP)
        try:
            assert set(await asyncio.gather(*(refused(store) for _ in range(3)))) == {Reason.STORE_UNAVAILABLE}
        finally:
            os.kill(own_server.process.pid, signal.SIGCONT)

        for n in range(1, 30):
            assert (await store.acquire_limit("after", Window(n, 60)))[0] == b"acquired"
            assert (await store.acquire_limit("after", Window(n, 60)))[0] == b"denied"
        assert len(await asyncio.gather(*(store.acquire_limit("last", WIDE) for _ in range(300)))) == 300
        assert await store.redis.llen(limit_key("x", "last")) == 300


async def test_a_server_that_stopped_is_refused_and_its_successor_is_used(own_server: RedisServer) -> None:
    """Every connection is lost, repeatedly: meanwhile each call is refused at once, then all work."""
    async with open_store(f"unix://{own_server.socket}") as store:
        for _ in range(3):
            await connect_all(store)
            own_server.kill()
            for _ in range(3 * CONNECTIONS):
                assert await refused(store) is Reason.STORE_UNAVAILABLE
            own_server.start()

            for _ in range(3 * CONNECTIONS):
                assert (await store.acquire_limit("s", WIDE))[0] == b"acquired"
        await asyncio.gather(*(store.acquire_limit("s", WIDE) for _ in range(200)))


async def test_unknown_scripts_are_loaded_again(own_server: RedisServer) -> None:
    """After SCRIPT FLUSH every call of a batch runs, and runs once."""
    async with open_store(f"unix://{own_server.socket}") as store:
        await connect_all(store)
        await store.redis.script_flush()

        await asyncio.gather(*(store.acquire_limit("s", WIDE) for _ in range(100)))

        assert await store.redis.llen(LIST) == 100


@pytest.mark.parametrize("cut", [False, True], ids=["silence", "a closed connection"])
async def test_a_call_is_not_sent_again_when_its_reply_is_lost(
    proxy: LossyProxy, make_replicas: ReplicaFactory, cut: bool
) -> None:
    """The script ran and its reply was lost: refused, and it ran exactly once."""
    [direct] = make_replicas(1)
    async with open_store(proxy.url) as store:
        await connect_all(store)
        proxy.closes_on_reply, proxy.drops_replies = cut, not cut

        for calls in (1, 2):
            assert await refused(store) is Reason.STORE_UNAVAILABLE
            assert await direct.redis.llen(LIST) == calls

        proxy.closes_on_reply = proxy.drops_replies = False
        await store.acquire_limit("s", WIDE)
        assert await direct.redis.llen(LIST) == 3


async def test_calls_of_one_moment_are_one_round_trip(proxy: LossyProxy) -> None:
    """Waiting calls are sent together: a hundred in one round trip, with replies in order."""
    async with open_store(proxy.url) as store:
        await connect_all(store)
        before = proxy.round_trips

        answers = await asyncio.gather(*(store.acquire_limit("s", Window(50, 60)) for _ in range(100)))

        assert proxy.round_trips == before + 1
        assert [answer[0] for answer in answers] == [b"acquired"] * 50 + [b"denied"] * 50


@pytest.mark.usefixtures("patient_store")
async def test_too_many_calls_are_refused_unsent(own_server: RedisServer) -> None:
    """A full queue answers `overloaded` at once; the calls in it are served."""
    async with open_store(f"unix://{own_server.socket}") as store:
        with pytest.raises(Refused) as whole:
            await store.topology.send([COUNT] * (MAX_WAITING + 1))
        waiting = store.topology.send([COUNT] * MAX_WAITING)
        with pytest.raises(Refused) as one:
            await store.topology.send([COUNT])

        assert {whole.value.reason, one.value.reason} == {Reason.OVERLOADED}
        assert len(await waiting) == MAX_WAITING
        assert await store.redis.llen(LIST) == MAX_WAITING


async def test_a_call_past_its_deadline_is_not_sent_later(
    own_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its caller was refused while it waited for its turn: it never runs."""
    deadline = 2.5  # longer than in production: a slow machine has as long again until two deadlines are over
    defaults = {"allow_eviction": False, "deadline": deadline}
    monkeypatch.setattr(PipelinedConnections.__init__, "__kwdefaults__", defaults)
    async with open_store(f"unix://{own_server.socket}") as store:
        await connect_all(store)
        os.kill(own_server.process.pid, signal.SIGSTOP)
        try:
            busy = []
            for _ in range(CONNECTIONS):
                busy.append(asyncio.create_task(refused(store, 2 * deadline)))
                await asyncio.sleep(0.01)
            late = asyncio.create_task(store.acquire_limit("late", WIDE))
            await asyncio.sleep(0.01)
            late.cancel()
            # it waits for a connection, but not for two deadlines
            busy.append(asyncio.create_task(refused(store, 2 * deadline)))
            await asyncio.gather(*busy)
        finally:
            os.kill(own_server.process.pid, signal.SIGCONT)

        await connect_all(store)
        assert await store.redis.llen(limit_key("x", "late")) == 0


async def test_an_error_of_one_script_affects_only_its_caller(own_server: RedisServer) -> None:
    """A call that the server refuses is `store_unavailable`; the others in the batch get their replies."""
    async with open_store(f"unix://{own_server.socket}") as store:
        await connect_all(store)
        await store.redis.set(LIST, "not a list")

        fine = asyncio.create_task(store.acquire_limit("other", WIDE))
        assert await refused(store) is Reason.STORE_UNAVAILABLE

        assert (await fine)[0] == b"acquired"


async def test_a_server_that_became_a_replica_is_disconnected(own_server: RedisServer) -> None:
    """A refused write is `store_unavailable`, and works again when the server is the primary again."""
    async with open_store(f"unix://{own_server.socket}") as store:
        await store.acquire_limit("s", WIDE)
        own_server.ask("REPLICAOF", "127.0.0.1", "1")
        assert await refused(store) is Reason.STORE_UNAVAILABLE
        own_server.ask("REPLICAOF", "NO", "ONE")

        assert (await store.acquire_limit("s", WIDE))[0] == b"acquired"


async def test_the_password_of_the_url_is_used(own_server: RedisServer) -> None:
    """Calls work with it; with another one they are refused, whatever is tried next."""
    own_server.ask("CONFIG", "SET", "requirepass", "s3cr/t")
    async with open_store(f"unix://:s3cr%2Ft@{own_server.socket}") as store:
        assert (await store.acquire_limit("s", WIDE))[0] == b"acquired"
    async with open_store(f"unix://:wrong@{own_server.socket}") as store:
        assert {await refused(store) for _ in range(2 * CONNECTIONS)} == {Reason.STORE_UNAVAILABLE}


async def test_known_scripts_are_not_sent_again(own_server: RedisServer, tmp_path: Path) -> None:
    """A connection to a server that knows them sends none; to one that misses one, that one."""
    async with LossyProxy(tmp_path / "p", str(own_server.socket)).running() as proxy:
        async with open_store(f"unix://{own_server.socket}") as first:
            await connect_all(first)
        proxy.stops_reading_at = b"LOAD"
        async with open_store(proxy.url) as second:
            await connect_all(second)
        assert not proxy.stopped.is_set()
        own_server.ask("SCRIPT", "FLUSH")
        async with open_store(proxy.url) as third:
            assert await refused(third) is Reason.STORE_UNAVAILABLE
        assert proxy.stopped.is_set()
