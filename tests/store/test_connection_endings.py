"""How connections to the store end: when they are closed, when they fail, and while the server hangs."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import ConnectionPool

from otp_service.domain.errors import Reason, Refused
from otp_service.sandbox.embedded_server import EmbeddedServer
from otp_service.store.connection import Access, connection_pool
from otp_service.store.keys import limit_key
from otp_service.store.pipelined_connection import CONNECTIONS, PipelinedConnections
from otp_service.store.scripts import ScriptCall
from tests.lossy_proxy import LossyProxy
from tests.store.redis_servers import HOST, RedisServer
from tests.store.replica_store import Store, open_store
from tests.store.test_pipelined_connections import COUNT, connect_all, refused
from tests.store.tls_proxy import CertificateAuthority
from tests.waits import wait_until

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def test_closing_refuses_waiting_calls(own_server: RedisServer) -> None:
    """Calls in progress at the end are refused at once; none waits endlessly."""
    store = Store(f"unix://{own_server.socket}")
    await connect_all(store)
    os.kill(own_server.process.pid, signal.SIGSTOP)
    try:
        waiting = []
        for _ in range(2 * CONNECTIONS):
            waiting.append(asyncio.create_task(refused(store)))
            await asyncio.sleep(0.005)
        started = time.monotonic()
        await store.close()
        assert await asyncio.gather(*waiting) == [Reason.STORE_UNAVAILABLE] * (2 * CONNECTIONS)
        assert time.monotonic() - started < 0.5
    finally:
        os.kill(own_server.process.pid, signal.SIGCONT)


NOT_CLOSED = """
import sys
import uvloop
from redis.asyncio import ConnectionPool
from otp_service.store.cluster import probe_call
from otp_service.store.pipelined_connection import PipelinedConnections
async def main():
    connections = PipelinedConnections(ConnectionPool.from_url(sys.argv[1]))
    await connections.send([probe_call(0)])
uvloop.run(main())
"""


def test_a_loop_that_ends_closes_the_connections(server: EmbeddedServer) -> None:
    """Also without `close`, as after an error: the loop waits for open transports, and the process would never end."""
    words = [sys.executable, "-W", "error", "-c", NOT_CLOSED, server.url]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> list[Streams]:
    """Return the list of the streams to unix sockets that the test opens; their sockets take little at a time."""
    found: list[Streams] = []
    connect = asyncio.open_unix_connection

    async def recorded(path: str) -> Streams:
        reader, writer = await connect(path)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        found.append((reader, writer))
        return reader, writer

    monkeypatch.setattr(asyncio, "open_unix_connection", recorded)
    return found


async def assert_closed(streams: list[Streams], within: float = 0) -> None:
    """Assert that no transport is open after some seconds; one that was aborted ends in the next turn of the loop."""
    assert streams
    for _, writer in streams:
        await asyncio.sleep(0)
        async with asyncio.timeout(within):
            await writer.wait_closed()


async def test_close_ends_whatever_a_connection_is_doing(server: EmbeddedServer, streams: list[Streams]) -> None:
    """Also in a handshake, in which redis-py can take the cancellation for an error; no transport is left open."""
    for steps in range(1, 41):
        pool = ConnectionPool.from_url(server.url)
        connections = PipelinedConnections(pool)
        call = connections.send([COUNT])
        for _ in range(steps):
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            await connections.close()
        with contextlib.suppress(Refused):
            await call
    await assert_closed(streams)


@pytest.mark.parametrize("ends_by", ["close", "deadline"])
async def test_a_transport_does_not_wait_for_a_server_that_stops_reading(
    own_server: RedisServer, tmp_path: Path, streams: list[Streams], ends_by: str
) -> None:
    """A server that hangs while the scripts are sent, which are more than the socket takes: the transport ends."""
    async with asyncio.timeout(20), LossyProxy(tmp_path / "p", str(own_server.socket)).running() as proxy:
        proxy.stops_reading_at = b"LOAD"
        deadline = 0.5 if ends_by == "deadline" else 30.0
        connections = PipelinedConnections(ConnectionPool.from_url(proxy.url), deadline=deadline)
        call = connections.send([COUNT])
        try:
            await proxy.stopped.wait()
            to_proxy = [each for each in streams if each[1].get_extra_info("peername") == str(tmp_path / "p")]
            if ends_by == "close":
                await connections.close()
            with pytest.raises(Refused):
                await call
            await assert_closed(to_proxy, 0 if ends_by == "close" else 1)  # the call is refused a moment before
        finally:
            await connections.close()


@pytest.mark.parametrize("turns", range(8))
async def test_a_close_that_is_canceled_ends_the_connections(
    own_server: RedisServer, tmp_path: Path, streams: list[Streams], turns: int
) -> None:
    """As when it has a time limit: nobody closes them again. One of them is being opened meanwhile."""
    async with asyncio.timeout(20), LossyProxy(tmp_path / "p", str(own_server.socket)).running() as proxy:
        connections = PipelinedConnections(ConnectionPool.from_url(proxy.url), deadline=30.0)
        for _ in range(CONNECTIONS - 1):
            await connections.send([COUNT])
        proxy.stops_reading_at = b"INFO"
        call = connections.send([COUNT])
        await proxy.stopped.wait()
        to_proxy = [each for each in streams if each[1].get_extra_info("peername") == str(tmp_path / "p")]
        assert len(to_proxy) == CONNECTIONS

        closing = asyncio.create_task(connections.close())
        for _ in range(turns):
            await asyncio.sleep(0)
        closing.cancel()
        await asyncio.gather(closing, call, return_exceptions=True)
        try:
            if turns:  # it has begun
                await assert_closed(to_proxy, 0.5)
        finally:
            await connections.close()


async def test_a_refused_call_that_was_not_sent_whole_never_runs(
    own_server: RedisServer, streams: list[Streams]
) -> None:
    """The rest of it waits in the transport when its caller is refused; then the server goes on."""
    connections = PipelinedConnections(ConnectionPool.from_url(f"unix://{own_server.socket}"), deadline=1.0)
    for _ in range(2 * CONNECTIONS):
        await connections.send([COUNT])
    large = ScriptCall(COUNT.script, (limit_key("x", "large"),), ("1000000 60000", "x" * 50_000))
    os.kill(own_server.process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(Refused):
            await connections.send([large])
    finally:
        os.kill(own_server.process.pid, signal.SIGCONT)
    assert own_server.ask("PING") == "+PONG"
    await connections.close()
    await assert_closed(streams)
    assert own_server.ask("EXISTS", limit_key("x", "large")) == ":0"


async def test_a_connection_that_times_out_gives_no_reply(own_server: RedisServer, streams: list[Streams]) -> None:
    """ETIMEDOUT of TCP is a TimeoutError: every call of the batch is refused, none gets the reply None."""
    async with open_store(f"unix://{own_server.socket}") as store:
        await connect_all(store)
        os.kill(own_server.process.pid, signal.SIGSTOP)
        try:
            calls = [asyncio.create_task(refused(store)) for _ in range(3)]
            await asyncio.sleep(0.05)
            for _, writer in streams:
                connection = writer.transport.get_protocol()
                writer.transport.abort()
                connection.connection_lost(TimeoutError(errno.ETIMEDOUT, "Connection timed out"))
            async with asyncio.timeout(0.5):
                assert await asyncio.gather(*calls) == [Reason.STORE_UNAVAILABLE] * 3
        finally:
            os.kill(own_server.process.pid, signal.SIGCONT)


@contextlib.contextmanager
def server_that_hangs(context: ssl.SSLContext) -> Iterator[int]:
    """Accept one connection over TLS on a port, and then read and answer nothing; not even the end of TLS."""
    ended = threading.Event()
    with socket.create_server((HOST, 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as plain, context.wrap_socket(plain, server_side=True):
                ended.wait(30)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        ended.set()
        thread.join()


@pytest.mark.parametrize("ends_by", ["close", "deadline"])
async def test_a_transport_does_not_wait_for_a_tls_server_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends_by: str
) -> None:
    """It hangs in the handshake of Redis, in which redis-py disconnects by itself."""
    authority = CertificateAuthority(tmp_path, "own")
    opened: list[Streams] = []
    connect = asyncio.open_connection

    async def recorded(*args: Any, **kwargs: Any) -> Streams:
        opened.append(await connect(*args, **kwargs))
        return opened[-1]

    monkeypatch.setattr(asyncio, "open_connection", recorded)
    with server_that_hangs(authority.context()) as port:
        pool = connection_pool(f"rediss://:password@{HOST}:{port}/0", Access(ca_file=str(authority.file)))
        connections = PipelinedConnections(pool, deadline=1.0 if ends_by == "deadline" else 30.0)
        call = connections.send([COUNT])
        await wait_until(lambda: bool(opened))
        if ends_by == "close":
            await connections.close()
        with pytest.raises(Refused):
            await call
        await assert_closed(opened, 1)  # TLS ends in a few turns of the loop
        await connections.close()
