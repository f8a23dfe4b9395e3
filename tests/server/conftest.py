"""`otp-service dev` with short deadlines, for all tests of this package; and any ASGI application on our server."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.server.server_under_test import Served, _served, address, written
from tests.service_process import START_SECONDS, Service


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


@pytest.fixture
def served() -> Served:
    """Serve an application within limits, in this process."""
    return _served
