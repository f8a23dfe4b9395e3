"""A service with short deadlines, and any ASGI application on the server."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import uvicorn

from otp_service.server.connections import ServerLimits
from otp_service.server.http_protocol import HttpConnectionFactory
from tests.service_process import Service

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


def written(folder: Path, config: str = CONFIG) -> Path:
    """Write a config down."""
    path = folder / "server.toml"
    path.write_text(config, encoding="utf-8")
    return path


def address(service: Service) -> str:
    """Read from the log where a service listens; empty until it does."""
    found = re.search(r"^(http://127\.0\.0\.1:\d+)", service.log, re.MULTILINE)
    return found[1] if found else ""


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
