"""SIGTERM: complete requests are answered, incomplete ones are dropped, and idle connections delay nothing."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import time
from collections.abc import Callable

import pytest

from tests.cli.service_config import API_KEY, ConfigWriter, api_client
from tests.server.raw_http_client import LIVEZ, PHONE, post, raw_connection, rss_kib
from tests.server.test_connection_limits import WAITING, many
from tests.service_process import ServiceProcess
from tests.waits import wait_until

Serve = Callable[..., ServiceProcess]
REQUEST = b'{"phone": "0812101%05d", "purpose": "login"}'


@pytest.mark.parametrize("workers", [1, 2])
async def test_incomplete_requests_are_dropped(serve: Serve, write_config: ConfigWriter, workers: int) -> None:
    """With idle connections, partial requests and answers that are not read, it ends in less than 5 s, status 0."""
    service = serve(write_config(server=f"workers = {workers}"))
    url = await service.ready()
    async with contextlib.AsyncExitStack() as connections:
        for data in (*WAITING.values(), b"GET /metrics HTTP/1.1\r\n\r\n" * 300):
            await connections.enter_async_context(many(url, 20, data))
        await asyncio.sleep(0.2)
        began = time.monotonic()
        service.send(signal.SIGTERM)
        assert await service.status() == 0
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("workers", [1, 2])
async def test_f09_requests_in_progress_are_answered(serve: Serve, write_config: ConfigWriter, workers: int) -> None:
    """F09: at SIGTERM, 12 requests in progress get 202, while idle connections and partial requests are dropped."""
    service = serve(write_config(server=f"workers = {workers}", memory_kib=32_768))
    url = await service.ready()
    async with api_client(url) as client, many(url, 20, b"GET /livez HTTP/1.1\r\n"):
        bodies = [{"phone": "0812101%05d" % number, "purpose": "login"} for number in range(12)]
        requests = [asyncio.create_task(client.post("/v1/request-code", json=body)) for body in bodies]
        await asyncio.wait(requests, return_when=asyncio.FIRST_COMPLETED)  # the others wait for hashes
        began = time.monotonic()
        service.send(signal.SIGTERM)
        answers = await asyncio.gather(*requests)
        assert [answer.status_code for answer in answers] == [202] * 12
        assert await service.status() == 0
    assert time.monotonic() - began < 9  # a partial head would end by itself after 10 s


async def test_the_rest_of_a_body_can_arrive_after_sigterm(serve: Serve, write_config: ConfigWriter) -> None:
    """A body that is complete shortly after the signal gets a response, and the connection is closed."""
    service = serve(write_config())
    data = post(REQUEST % 1, path=b"/v1/request-code", key=API_KEY.encode())
    async with raw_connection(await service.ready()) as wire:
        await wire.send(data[:-5])
        service.send(signal.SIGTERM)
        answer = await wire.exchange(data[-5:])
        assert answer.status == 202
        assert await wire.read_to_end() == b""
    assert await service.status() == 0


@pytest.mark.parametrize("workers", [2])
async def test_1000_partial_request_heads(serve: Serve, write_config: ConfigWriter, workers: int) -> None:
    """With 1,000 partial heads, 400 valid requests are answered, memory stays bounded, and SIGTERM takes under 5 s."""
    service = serve(write_config(server=f"workers = {workers}"))
    url = await service.ready()
    if workers == 2:
        await wait_until(lambda: service.log.count("Started server process") == 2)
    pids = [int(pid) for pid in re.findall(r"Started server process \[(\d+)\]", service.log)]
    before = sum(map(rss_kib, pids))
    async with many(url, 1000, LIVEZ[:-2]):
        for _ in range(200):
            async with raw_connection(url) as wire:
                assert (await wire.exchange(LIVEZ)).status == 200
                assert (await wire.exchange(post(PHONE, key=API_KEY.encode()))).status == 200
        grown = sum(map(rss_kib, pids)) - before
        began = time.monotonic()
        service.send(signal.SIGTERM)
        assert await service.status() == 0
        took = time.monotonic() - began
    assert grown < 30_000
    assert took < 5
