"""What arrives on a connection to the store: in parts, too much, at the wrong time, or the server's last word."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from otp_service.domain.errors import Reason, Refused
from otp_service.domain.limits import Window
from otp_service.store.pipelined_connection import CONNECTIONS
from otp_service.store.scripts import ScriptCall, script
from tests.log_capture import captured_logs
from tests.lossy_proxy import LossyProxy
from tests.store.redis_servers import RedisServer, free_ports
from tests.store.replica_store import Store, open_store
from tests.store.test_pipelined_connections import COUNT, LIST, WIDE, connect_all, refused
from tests.waits import wait_until

AT_ONCE = 0.5
"""Seconds: much less than the deadline of a call."""

PUSH = b">4\r\n$6\r\nMOVING\r\n:1\r\n:15\r\n$14\r\n127.0.0.1:6379\r\n"
"""What a server with maintenance notifications says before it moves (RESP3)."""


@pytest.fixture
async def proxy(own_server: RedisServer, tmp_path: Path) -> AsyncIterator[LossyProxy]:
    """Run a proxy in front of a server of its own."""
    async with LossyProxy(tmp_path / "p", str(own_server.socket)).running() as running:
        yield running


@pytest.fixture
async def store(proxy: LossyProxy) -> AsyncIterator[Store]:
    """Open a store through the proxy, with every connection open."""
    async with open_store(proxy.url) as opened:
        await connect_all(opened)
        yield opened


def connections_in(stats: str) -> int:
    """Return how many connections the server has accepted, by its reply to INFO."""
    return int(stats.partition("total_connections_received:")[2].split()[0])


async def test_a_reply_in_parts_is_one_reply(own_server: RedisServer, proxy: LossyProxy, store: Store) -> None:
    """The call waits for the rest, and gets the whole reply."""
    rest = b""

    def held_back(data: bytes) -> bytes:
        nonlocal rest
        rest = data[-3:]
        return data[:-3]

    proxy.change = held_back
    call = asyncio.create_task(store.acquire_limit("s", WIDE))
    await wait_until(lambda: bool(rest))
    assert not (await asyncio.wait([call], timeout=0.05))[0]
    proxy.change = bytes
    proxy.say(rest)

    assert (await call)[0] == b"acquired"
    assert own_server.ask("LLEN", LIST) == ":1"


@pytest.mark.parametrize("said", [b"+OK\r\n", b"+O", b"*2\r\n", PUSH], ids=["a reply", "a part", "a head", "a push"])
async def test_bytes_that_nothing_asked_for_end_the_connection(
    own_server: RedisServer, proxy: LossyProxy, store: Store, said: bytes
) -> None:
    """Otherwise they would be read as the reply to the next call. New connections replace those, and no call fails."""
    before = own_server.ask("INFO", "stats")
    proxy.say(said)
    await asyncio.sleep(0.05)

    await connect_all(store)

    assert connections_in(own_server.ask("INFO", "stats")) == connections_in(before) + CONNECTIONS + 1  # this one


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data + b"+OK\r\n",
        lambda data: data + b"+O",
        lambda _: b"-LOADING Redis is loading the dataset in memory\r\n",
        lambda data: b"?" + data,
    ],
    ids=["one too many", "a part too many", "the server is not ready", "no reply at all"],
)
async def test_a_wrong_reply_refuses_the_batch_and_ends_the_connection(
    own_server: RedisServer, proxy: LossyProxy, store: Store, change: Callable[[bytes], bytes]
) -> None:
    """Every call of the batch is refused at once, also those whose reply has come; none is sent again."""
    proxy.change = change
    calls = [asyncio.create_task(refused(store, AT_ONCE)) for _ in range(3)]
    assert await asyncio.gather(*calls) == [Reason.STORE_UNAVAILABLE] * 3
    assert own_server.ask("LLEN", LIST) == ":3"
    proxy.change = bytes
    for n in range(4, 4 + 2 * CONNECTIONS):
        await store.acquire_limit("s", WIDE)
        assert own_server.ask("LLEN", LIST) == f":{n}"


@pytest.mark.parametrize("apart", [True, False], ids=["before it", "in one piece with it"])
async def test_a_push_is_no_reply(own_server: RedisServer, proxy: LossyProxy, store: Store, *, apart: bool) -> None:
    """A server may send one beside a reply. Each call gets the reply to itself, over the same connections."""
    before = own_server.ask("INFO", "stats")
    if apart:
        proxy.first = PUSH
    else:
        proxy.change = lambda data: PUSH + data

    assert (await store.acquire_limit("first", Window(1, 60)))[0] == b"acquired"
    for n in range(1, 1 + 2 * CONNECTIONS):
        assert (await store.acquire_limit("first", Window(1, 60)))[0] == b"denied"
        assert (await store.acquire_limit("s", WIDE))[0] == b"acquired"
        assert own_server.ask("LLEN", LIST) == f":{n}"
    assert connections_in(own_server.ask("INFO", "stats")) == connections_in(before) + 1 + 2 * CONNECTIONS  # of `ask`


async def test_the_server_is_asked_for_no_notifications() -> None:
    """redis-py would ask for them on TCP; a server that does not know the command counts an error for it."""
    [port] = free_ports(1)
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder), port=port) as server:
        async with open_store(f"redis://127.0.0.1:{port}") as store:
            await connect_all(store)
        assert "errorstat_" not in server.ask("INFO", "errorstats")
        assert "cmdstat_client|setinfo" in server.ask("INFO", "commandstats")


async def test_bytes_behind_the_handshake_refuse_the_call(own_server: RedisServer, proxy: LossyProxy) -> None:
    """They came before any call: the connection is not used."""
    proxy.change = lambda data: data + b"+OK\r\n" if b"maxmemory_policy" in data else data
    async with open_store(proxy.url) as store:
        assert await refused(store, AT_ONCE) is Reason.STORE_UNAVAILABLE
        assert own_server.ask("LLEN", LIST) == ":0"
        proxy.change = bytes
        await connect_all(store)


async def test_a_call_that_is_canceled_while_a_connection_opens_is_not_sent(own_server: RedisServer) -> None:
    """The connection is there for other calls."""
    async with open_store(f"unix://{own_server.socket}") as store:
        os.kill(own_server.process.pid, signal.SIGSTOP)
        call = asyncio.create_task(store.acquire_limit("s", WIDE))
        await asyncio.sleep(0.05)
        call.cancel()
        [opening] = [task for task in asyncio.all_tasks() if task.get_name() == "store-connection"]
        os.kill(own_server.process.pid, signal.SIGCONT)
        await opening
        await connect_all(store)
        assert own_server.ask("LLEN", LIST) == ":0"


async def test_an_unknown_script_is_not_sent_for_a_caller_that_is_gone(own_server: RedisServer, store: Store) -> None:
    """The server did not run the call: nobody waits for it any more, so its text is not sent."""
    own_server.ask("SCRIPT", "FLUSH")
    os.kill(own_server.process.pid, signal.SIGSTOP)
    gone, waiting = (asyncio.create_task(store.acquire_limit(name, WIDE)) for name in ("s", "other"))
    await asyncio.sleep(0.05)
    gone.cancel()
    os.kill(own_server.process.pid, signal.SIGCONT)
    assert (await waiting)[0] == b"acquired"
    assert own_server.ask("LLEN", LIST) == ":0"


async def test_a_connection_that_the_server_has_closed_is_replaced(own_server: RedisServer, store: Store) -> None:
    """While it was idle, as after the server's `timeout`: no call fails."""
    own_server.ask("CLIENT", "KILL", "TYPE", "normal")
    await asyncio.sleep(0.05)
    for n in range(1, 1 + 2 * CONNECTIONS):
        await store.acquire_limit("s", WIDE)
        assert own_server.ask("LLEN", LIST) == f":{n}"


async def test_a_call_that_cannot_be_encoded_affects_only_its_batch(own_server: RedisServer, store: Store) -> None:
    """It is a fault of this service: refused at once, nothing of the batch is sent, and every connection goes on."""
    wrong: Any = object()
    with captured_logs() as written:  # to the terminal, the traceback of each may take longer than the time limit
        for _ in range(2 * CONNECTIONS):
            with pytest.raises(Refused):
                async with asyncio.timeout(AT_ONCE):
                    await store.topology.send([COUNT, ScriptCall(COUNT.script, (LIST,), (wrong,))])
    assert written.getvalue().count('"store_calls_not_sent"') == 2 * CONNECTIONS
    assert own_server.ask("LLEN", LIST) == ":0"
    await connect_all(store)


async def test_a_refused_write_ends_the_connection_also_beside_an_unknown_script(
    own_server: RedisServer, store: Store
) -> None:
    """The server is a replica now. It knows the script that writes, and is sent the text of the one that reads."""
    own_server.ask("SCRIPT", "FLUSH")
    own_server.ask("SCRIPT", "LOAD", COUNT.script.text)
    own_server.ask("REPLICAOF", "127.0.0.1", "1")
    before = own_server.ask("INFO", "stats")

    written, length = await store.topology.send_each([COUNT, ScriptCall(script("provider_queue_length"), ("queue",))])
    own_server.ask("REPLICAOF", "NO", "ONE")
    await connect_all(store)

    assert isinstance(written, Refused)
    assert length == [0]
    assert connections_in(own_server.ask("INFO", "stats")) == connections_in(before) + 1 + 2  # of `ask`


async def test_no_calls_have_no_replies(store: Store) -> None:
    """At once: nothing is sent, and no connection is used."""
    async with asyncio.timeout(AT_ONCE):
        assert await store.topology.send([]) == []


async def test_calls_after_the_end_are_refused_at_once(store: Store) -> None:
    """No connection is left to send them."""
    await store.close()
    assert await refused(store, AT_ONCE) is Reason.STORE_UNAVAILABLE
