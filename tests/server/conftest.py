"""Fixtures: `otp-service dev` with short deadlines, and any ASGI application on the HTTP server."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.server.server_under_test import ServeApp, address_in_log, serve_app, write_config
from tests.service_process import START_SECONDS, ServiceProcess


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """Start the process, wait until it listens, and stop it at the end of the package."""
    folder = tmp_path_factory.mktemp("server")
    running = ServiceProcess(folder, "dev", "--port", "0", "--config", str(write_config(folder)))
    try:
        deadline = time.monotonic() + START_SECONDS
        while not address_in_log(running) and time.monotonic() < deadline:
            time.sleep(0.05)
        yield running
    finally:
        running.end()


@pytest.fixture
def url(service: ServiceProcess) -> str:
    """Return the URL of the service."""
    return address_in_log(service)


@pytest.fixture
def served() -> ServeApp:
    """Return `serve_app`, which serves any ASGI application with given limits in this process."""
    return serve_app
