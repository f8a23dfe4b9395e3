"""Waiting, with a time limit, for something that happens by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx


async def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until `condition` returns true.

    Raises:
        TimeoutError: The condition is still false after `seconds`.
    """
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def wait_for_status(url: str, path: str, status: int, seconds: float = 20.0) -> None:
    """Wait until a GET of `path` is answered with `status`; a server that does not listen yet is asked again.

    Raises:
        TimeoutError: There is no such response within `seconds`.
    """
    async with asyncio.timeout(seconds), httpx.AsyncClient(base_url=url, trust_env=False) as client:
        while True:
            try:
                if (await client.get(path)).status_code == status:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.02)


async def wait_for_sample(client: httpx.AsyncClient, sample: str) -> None:
    """Wait until `/metrics` has `sample`: it is updated after what a caller sees."""
    async with asyncio.timeout(30):
        while sample not in (await client.get("/metrics")).text:
            await asyncio.sleep(0.05)
