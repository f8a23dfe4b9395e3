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
from tests.service_process import ServiceProcess

DEADLINE_SECONDS = 1.0
"""The deadlines of head, body and write in this configuration."""


KEEP_ALIVE_SECONDS = 2.0


CONFIG = f"""
[server]
head_timeout_seconds = {DEADLINE_SECONDS}
body_timeout_seconds = {DEADLINE_SECONDS}
write_timeout_seconds = {DEADLINE_SECONDS}
keep_alive_seconds = {KEEP_ALIVE_SECONDS}
"""


ServeApp = Callable[..., AbstractAsyncContextManager[str]]


def write_config(folder: Path, config: str = CONFIG) -> Path:
    """Write a config file, and return its path."""
    path = folder / "server.toml"
    path.write_text(config, encoding="utf-8")
    return path


def address_in_log(service: ServiceProcess) -> str:
    """Return the address that the log reports, or "" if the service does not listen yet."""
    found = re.search(r"^(http://127\.0\.0\.1:\d+)", service.log, re.MULTILINE)
    return found[1] if found else ""


@contextlib.asynccontextmanager
async def serve_app(app: Any, **limits: Any) -> AsyncIterator[str]:
    """Serve an ASGI application with these limits in this process; yields its URL."""
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
