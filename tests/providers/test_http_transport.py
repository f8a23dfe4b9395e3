"""The HTTP transport against real servers: what is kept, what is never repeated, and what is known to be unwritten."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from otp_service.providers.http_connection import MAX_HEAD_BYTES
from otp_service.providers.http_transport import SingleUseTransport, TlsContext
from tests.providers.scripted_http_server import OK, Server, answer, close, once_then, raw
from tests.store.tls_proxy import CertificateAuthority

KEEPALIVE_SECONDS = 3.0


@contextlib.asynccontextmanager
async def client(transport: SingleUseTransport | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """Make a client over the transport."""
    async with httpx.AsyncClient(transport=transport or SingleUseTransport(KEEPALIVE_SECONDS), trust_env=False) as made:
        yield made


async def ended(server: Server, count: int) -> None:
    """Wait until the server has seen `count` connections end."""
    async with asyncio.timeout(5):
        while server.ended < count:
            await asyncio.sleep(0)


async def test_a_connection_is_kept() -> None:
    """Three requests in a row go over one connection."""
    async with Server(answer) as server, client() as http:
        for _ in range(3):
            assert (await http.get(server.url)).json() == {}
        assert (server.connections, server.requests) == (1, 3)


async def test_nothing_is_kept_when_turned_off() -> None:
    """With 0 seconds each request has a connection of its own, closed after its answer."""
    async with Server(answer) as server, client(SingleUseTransport(0)) as http:
        for _ in range(3):
            await http.get(server.url)
        await ended(server, 3)
        assert server.connections == 3


async def test_an_old_connection_is_not_used() -> None:
    """A connection that was idle for the keepalive time is closed, and a new one made."""
    now = 100.0
    async with Server(answer) as server, client(SingleUseTransport(3, clock=lambda: now)) as http:
        await http.get(server.url)
        now += 2.9
        await http.get(server.url)
        now += 3.0
        await http.get(server.url)
        await ended(server, 1)
        assert (server.connections, server.requests) == (2, 3)


async def test_requests_at_the_same_time_have_connections_of_their_own() -> None:
    """Ten parallel requests never share a connection; later ones use what they left."""
    async with Server(answer) as server, client() as http:
        await asyncio.gather(*(http.get(server.url) for _ in range(10)))
        assert server.connections == 10
        await asyncio.gather(*(http.get(server.url) for _ in range(10)))
        assert (server.connections, server.requests) == (10, 20)


@pytest.mark.parametrize("unasked", [b"", b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"])
async def test_a_connection_closed_while_idle_is_replaced(unasked: bytes) -> None:
    """What the server has closed, or said unasked, is seen before anything is written: a new connection is made."""
    async with Server(answer) as server, client() as http:
        await http.get(server.url)
        server.writers[0].write(unasked)
        server.writers[0].close()
        await server.writers[0].wait_closed()
        assert (await http.get(server.url)).status_code == 200
        assert (server.connections, server.requests) == (2, 2)


def serve_one(listener: socket.socket) -> socket.socket:
    """Accept one connection, answer one request on it, and return it open."""
    connection, _ = listener.accept()
    connection.recv(65536)
    connection.sendall(OK)
    return connection


async def test_a_close_that_the_event_loop_has_not_seen_yet() -> None:
    """The kernel is asked before a kept connection is used: the loop may not have read that the server closed it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        async with client() as http:
            first = asyncio.create_task(asyncio.to_thread(serve_one, listener))
            await http.get(url)
            connection = await first
            second = asyncio.get_running_loop().run_in_executor(None, serve_one, listener)
            connection.close()
            response = await http.get(url)
            (await second).close()
    assert response.status_code == 200


@pytest.mark.parametrize("kept", [False, True], ids=["new", "kept"])
async def test_closed_without_an_answer_is_not_repeated(kept: bool) -> None:
    """A connection that ends after the request was written is an error, also a kept one; nothing is sent again."""
    async with Server(once_then(close) if kept else close) as server, client() as http:
        if kept:
            await http.get(server.url)
        request = http.build_request("GET", server.url)
        with pytest.raises(httpx.ReadError):
            await http.send(request)
        assert request.extensions["written"] is True
        assert (server.connections, server.requests) == (1, 2 if kept else 1)


async def test_closed_after_the_head() -> None:
    """The part of the body that came is read; then the error."""
    head = b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"code":"0"}'
    async with Server(raw(head, keep=False)) as server, client() as http:
        response = await http.send(http.build_request("GET", server.url), stream=True)
        parts = []
        with pytest.raises(httpx.ReadError):
            parts += [part async for part in response.aiter_bytes()]
        await response.aclose()
        assert response.status_code == 200


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\0"])
async def test_a_header_with_a_line_end_is_not_sent(end: str) -> None:
    """What would become a second header, or a second request, is refused before a connection is made."""
    async with Server(answer) as server, client() as http:
        request = http.build_request("GET", server.url, headers={"Authorization": f"Bearer x{end}Injected: y"})
        with pytest.raises(httpx.LocalProtocolError):
            await http.send(request)
        assert "written" not in request.extensions
        assert server.connections == 0


async def test_no_connection_is_nothing_written() -> None:
    """A refused connection leaves `written` unset."""
    async with Server(answer) as server:
        url = server.url
    async with client() as http:
        request = http.build_request("GET", url)
        with pytest.raises(httpx.ConnectError):
            await http.send(request)
        assert "written" not in request.extensions


@pytest.mark.parametrize(
    ("text", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nTrailer: x\r\n\r\n", b"{}"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"{}"),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", b""),
    ],
    ids=["chunked", "interim", "empty"],
)
async def test_framings_that_keep_the_connection(text: bytes, body: bytes) -> None:
    """The body is read by its framing, and the connection is used again."""
    async with Server(raw(text)) as server, client() as http:
        for _ in range(2):
            assert (await http.get(server.url)).content == body
        assert server.connections == 1


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 200 OK\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
    ],
    ids=["until closed", "HTTP 1.0", "Connection: close"],
)
async def test_framings_that_end_the_connection(text: bytes) -> None:
    """The body is whole, and the next request has a new connection."""
    async with Server(raw(text, keep=False)) as server, client() as http:
        for _ in range(2):
            assert (await http.get(server.url)).content == b"{}"
        assert server.connections == 2


@pytest.mark.parametrize(
    "text",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * MAX_HEAD_BYTES,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * (MAX_HEAD_BYTES // 6 + 1),
    ],
    ids=["not HTTP", "long header", "many headers"],
)
async def test_what_is_not_an_answer(text: bytes) -> None:
    """It is refused as soon as it is known, and the connection closed."""
    async with Server(raw(text)) as server, client() as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(server.url)
        await ended(server, 1)


async def test_more_than_one_answer_ends_the_connection() -> None:
    """Data beyond the answer belongs to nothing: the answer counts, the connection is not used again."""
    async with Server(raw(OK + OK)) as server, client() as http:
        for _ in range(2):
            with contextlib.suppress(httpx.RemoteProtocolError):
                assert (await http.get(server.url)).content == b"{}"
        assert server.connections == 2


async def test_a_cancelled_call_closes_its_connection() -> None:
    """A call that is given up leaves no connection on which its answer could meet another request."""
    started = asyncio.Event()

    async def hang(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _number: int) -> bool:
        started.set()
        return True

    async with Server(hang) as server, client() as http:
        task = asyncio.create_task(http.get(server.url))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await ended(server, 1)
        assert server.requests == 1


async def test_a_body_that_is_not_read_is_not_buffered() -> None:
    """A server that sends without end is stopped by the socket, and closing the response closes the connection."""
    sent = 0

    async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int) -> bool:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        for _ in range(10_000):
            writer.write(b"x" * 65536)
            sent += 65536
            await writer.drain()
        return False

    async with Server(flood) as server, client() as http:
        response = await http.send(http.build_request("GET", server.url), stream=True)
        for _ in range(200):
            await asyncio.sleep(0)
        assert sent < 100 * 65536
        await response.aclose()
        await ended(server, 1)


async def test_a_tls_session_is_resumed(tmp_path: Path) -> None:
    """The second connection to a server resumes the session of the first."""
    authority = CertificateAuthority(tmp_path, "ours")
    transport = SingleUseTransport(0, tls=lambda: TlsContext(str(authority.file)))
    async with Server(answer, authority.context()) as server, client(transport) as http:
        for _ in range(3):
            assert (await http.get(server.url)).status_code == 200
        assert server.resumed == [False, True, True]


async def test_a_certificate_that_is_not_trusted(tmp_path: Path) -> None:
    """A server that cannot prove its name gets nothing: the request is not written."""
    stranger = CertificateAuthority(tmp_path, "another")
    async with Server(answer, stranger.context()) as server, client() as http:
        request = http.build_request("GET", server.url)
        with pytest.raises(httpx.ConnectError):
            await http.send(request)
        assert "written" not in request.extensions
        assert server.requests == 0
