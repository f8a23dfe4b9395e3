"""A sandbox process on free ports, which most of these tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.sandbox.sandbox_client import OVERLAY, SandboxClient, sandbox_http_client
from tests.service_process import ServiceProcess


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServiceProcess, Path]]:
    """Start `otp-service sandbox` with cheap hashes and short timeouts; return it with the config that it writes."""
    folder = tmp_path_factory.mktemp("sandbox")
    over, written = folder / "over.toml", folder / "otp.toml"
    over.write_text(OVERLAY)
    service = ServiceProcess(folder, "sandbox", "--port", "0", "--config", str(over), "--write-config", str(written))
    try:
        yield service, written
    finally:
        service.end()


@pytest.fixture
async def sandbox(running: tuple[ServiceProcess, Path]) -> AsyncIterator[SandboxClient]:
    """Return a client of the sandbox; reset all scripts after the test."""
    service, written = running
    async with sandbox_http_client(await service.ready()) as client:
        found = SandboxClient(service, client, written)
        yield found
        for name in await found.gateways():
            await found.script(name, {"next": [], "always": None})
