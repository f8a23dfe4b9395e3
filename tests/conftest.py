"""Fixtures for all tests: a real Redis server, and the service running in this process."""

from __future__ import annotations

import asyncio
import functools
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import hypothesis
import pytest
import uvloop
from redis.utils import get_lib_version

from otp_service.sandbox.embedded_server import EmbeddedServer
from otp_service.store.pipelined_connection import PipelinedConnections
from tests.running_service import RunningService, ServiceFactory, move_clock_by_key

hypothesis.settings.register_profile("shared machine", deadline=None)  # no test asserts seconds
hypothesis.settings.load_profile("shared machine")


def pytest_collection_finish() -> None:
    """Exclude the objects that imports created from garbage collection: they are many and stay alive."""
    gc.collect()
    gc.freeze()


class ClosingLoop(uvloop.Loop):
    """A loop that lets the transports that were closed end before it does.

    They end in a later turn of the loop. On a busy machine a test could be over before that, and uvloop then fails with
    EBUSY. A transport that nobody has closed is reported as ever.
    """

    def close(self) -> None:
        """Run the turns that are due, and close."""
        if not self.is_closed() and not self.is_running():
            for _ in range(3):
                self.run_until_complete(asyncio.sleep(0))
        super().close()


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run async tests on uvloop, as `serve` does."""
    return ("asyncio", {"loop_factory": ClosingLoop})


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """Run one Valkey (or Redis) server for all tests."""
    with EmbeddedServer("--databases", "4") as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def _movable_clock() -> Iterator[None]:
    """Let tests move the clock of Lua scripts instead of sleeping."""
    with move_clock_by_key():
        yield


@pytest.fixture(scope="session", autouse=True)
def _shared_tls_context() -> Iterator[None]:
    """Let all HTTP clients share one TLS context: loading the certificate authorities takes 20 ms each time."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("httpx._transports.default.create_ssl_context", functools.cache(httpx.create_ssl_context))
        yield


@pytest.fixture(scope="session", autouse=True)
def _version_of_the_client_is_read_once() -> Iterator[None]:
    """Read the version of redis-py once, not for each connection that a test makes."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("redis.utils.get_lib_version", functools.cache(get_lib_version))
        yield


@pytest.fixture
def patient_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a call to the store 30 s: where hundreds at once are counted, a slow machine must not refuse any."""
    defaults = {"allow_eviction": False, "deadline": 30.0}
    monkeypatch.setattr(PipelinedConnections.__init__, "__kwdefaults__", defaults)


@pytest.fixture
async def make_service(server: EmbeddedServer) -> AsyncIterator[ServiceFactory]:
    """Start services with any config on an empty store; they are stopped after the test."""
    factory = ServiceFactory(server.url)
    await factory.empty_store()
    yield factory
    await factory.close()


@pytest.fixture
async def service(make_service: ServiceFactory) -> RunningService:
    """The service with the config of `dev` and a cheap hash."""
    return await make_service()
