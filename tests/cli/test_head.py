"""What comes before a body is bounded, for whoever can connect."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from tests.cli.conftest import ConfigWriter, caller
from tests.cli.process import Service
from tests.cli.test_serve import opened

Serve = Callable[..., Service]


async def test_an_endless_head_is_cut_off(serve: Serve, write_config: ConfigWriter) -> None:
    """Headers without an end get 431 and a closed connection within the first megabyte; others are served on."""
    service = serve(write_config())
    url = await service.ready()
    reader, writer = await opened(url)
    writer.write(b"GET /livez HTTP/1.1\r\nHost: otp\r\n")
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < 4_000_000 and not reader.at_eof():
            writer.write(b"X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 200)
            sent += 9_000
            await writer.drain()
            await asyncio.sleep(0)
    answer = b""
    with contextlib.suppress(ConnectionError):
        answer = await asyncio.wait_for(reader.read(), 5)
    writer.transport.abort()

    assert sent < 4_000_000
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")
    async with caller(url) as client:
        for _ in range(5):  # on one connection: each head counts by itself
            assert (await client.get("/livez", headers={"X-Filler": "a" * 30_000})).status_code == 200
