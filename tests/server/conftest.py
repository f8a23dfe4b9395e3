"""`otp-service dev` with short deadlines, for all tests of this package; and any ASGI application on our server."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from otp_service.server.connections import ServerLimits
from otp_service.server.http_protocol import HttpConnectionFactory
from tests.cli.process import START_SECONDS, Service

SECONDS = 1.0
"""The head, body and write deadlines of `dev` here."""

KEEP_ALIVE_SECONDS = 2.0
CONFIG = f"""
[server]
head_timeout_seconds = {SECONDS}
body_timeout_seconds = {SECONDS}
write_timeout_seconds = {SECONDS}
keep_alive_seconds = {KEEP_ALIVE_SECONDS}
"""
Served = Callable[..., AbstractAsyncContextManager[str]]


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The process; it listens when a test gets it."""
    folder = tmp_path_factory.mktemp("server")
    running = Service(folder, "dev", "--port", "0", "--config", str(written(folder)))
    try:
        deadline = time.monotonic() + START_SECONDS
        while not address(running) and time.monotonic() < deadline:
            time.sleep(0.05)
        yield running
    finally:
        running.end()


@pytest.fixture
def url(service: Service) -> str:
    """Where it listens."""
    return address(service)


def written(folder: Path, config: str = CONFIG) -> Path:
    """Write a config down."""
    path = folder / "server.toml"
    path.write_text(config, encoding="utf-8")
    return path


def address(service: Service) -> str:
    """Read from the log where a service listens; empty until it does."""
    found = re.search(r"^(http://127\.0\.0\.1:\d+)", service.log, re.MULTILINE)
    return found[1] if found else ""


@pytest.fixture
def served() -> Served:
    """Serve an application within limits, in this process."""
    return _served


@contextlib.asynccontextmanager
async def _served(app: Any, **limits: Any) -> AsyncIterator[str]:
    connections: Any = HttpConnectionFactory(ServerLimits(**limits))
    config = uvicorn.Config(app, port=0, http=connections, lifespan="off", ws="none", log_config=None)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield "http://127.0.0.1:%d" % server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task
