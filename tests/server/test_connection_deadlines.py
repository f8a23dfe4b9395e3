"""No client can hold a connection by being slow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.server.raw_http_client import LIVEZ, PHONE, RawConnection, assert_problem, post, raw_connection
from tests.server.server_under_test import DEADLINE_SECONDS, KEEP_ALIVE_SECONDS, ServeApp

SLACK = 2.0
"""Seconds that a busy machine may be late."""


@contextmanager
def takes(seconds: float) -> Iterator[None]:
    """Assert that the context takes as long as a deadline, and no longer."""
    started = time.monotonic()
    yield
    assert seconds - 0.1 <= time.monotonic() - started <= seconds + SLACK


async def trickle(wire: RawConnection, data: bytes) -> None:
    """Send one byte every 50 ms."""
    for place in range(len(data)):
        if not await wire.send(data[place : place + 1]):
            return
        await asyncio.sleep(0.05)


async def test_c15_a_silent_connection(url: str) -> None:
    """C15: a connection that sends nothing is closed without a response at the deadline of the head."""
    async with raw_connection(url) as wire:
        with takes(DEADLINE_SECONDS):
            assert await wire.read_to_end() == b""


async def test_c15_half_a_head(url: str) -> None:
    """C15: an incomplete head gets 408 at its deadline, on a new connection and on a used one."""
    async with raw_connection(url) as wire:
        for _ in range(2):
            assert (await wire.exchange(LIVEZ)).status == 200
        with takes(DEADLINE_SECONDS):
            assert_problem(await wire.exchange(LIVEZ[:-1]), 408, "request_timeout")
        assert await wire.read_to_end() == b""
    async with raw_connection(url) as wire:
        await asyncio.sleep(DEADLINE_SECONDS / 2)
        with takes(DEADLINE_SECONDS / 2):  # it runs from the opening of the connection
            assert_problem(await wire.exchange(LIVEZ[:10]), 408, "request_timeout")


@pytest.mark.parametrize("key", [b"dev-key", b"wrong-key"])
async def test_c15_half_a_body(url: str, key: bytes) -> None:
    """C15: an incomplete body gets 408 at its deadline, with any API key."""
    async with raw_connection(url) as wire:
        with takes(DEADLINE_SECONDS):
            assert_problem(await wire.exchange(post(PHONE, key=key)[:-1]), 408, "request_timeout")
        assert await wire.read_to_end() == b""


@pytest.mark.parametrize("start", [LIVEZ[:10], post(PHONE)[: -len(PHONE)], LIVEZ + LIVEZ[:10]])
async def test_slow_sending_does_not_extend_a_deadline(url: str, start: bytes) -> None:
    """A head or a body that arrives byte by byte has the same deadline as any other."""
    async with raw_connection(url) as wire:
        with takes(DEADLINE_SECONDS):
            await wire.send(start)
            task = asyncio.create_task(trickle(wire, b" " * 200))
            answered = await wire.read_to_end()
        assert b"HTTP/1.1 408" in answered
        await task


async def test_an_idle_connection(url: str) -> None:
    """An idle connection is closed after the configured time; empty lines do not count as a request."""
    async with raw_connection(url) as wire:
        assert (await wire.exchange(LIVEZ)).status == 200
        await wire.send(b"\r\n")
        with takes(KEEP_ALIVE_SECONDS):
            assert await wire.read_to_end() == b""


async def _long(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"a" * 30_000_000, "more_body": True})
    await send({"type": "http.response.body", "body": b"a" * 30_000_000})


async def _short(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"a" * 1000})


@pytest.mark.parametrize("app", [_long, _short])
async def test_responses_that_are_not_read(served: ServeApp, app: Any) -> None:
    """A client that sends requests and does not read the responses is dropped at the write deadline."""
    async with served(app, write_seconds=0.5) as url, raw_connection(url) as wire:
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # of every socket transport
        with takes(0.5):
            while await wire.send(LIVEZ * 1000):
                await asyncio.sleep(0)
