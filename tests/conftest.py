"""What every test may use: a real server of our own, and a whole service around it in this process."""

from __future__ import annotations

import functools
import gc
from collections.abc import AsyncIterator, Iterator

import httpx
import hypothesis
import pytest

from otp_service.sandbox.embedded_server import EmbeddedServer
from tests.running_service import RunningService, ServiceFactory, move_clock_by_key

hypothesis.settings.register_profile("shared machine", deadline=None)  # no test asserts seconds
hypothesis.settings.load_profile("shared machine")


def pytest_collection_finish() -> None:
    """Leave what the imports made out of every later collection of garbage: it is large, and it stays."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Run async tests on the loop that the service is served on."""
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """One real Valkey (or Redis) server for the whole run."""
    with EmbeddedServer("--databases", "4") as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def _movable_clock() -> Iterator[None]:
    """Let tests move the clock that scripts read, instead of sleeping."""
    with move_clock_by_key():
        yield


@pytest.fixture(scope="session", autouse=True)
def _trust_read_once() -> Iterator[None]:
    """Let all HTTP clients share what they trust by default: each would take 20 ms to read the same authorities."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("httpx._transports.default.create_ssl_context", functools.cache(httpx.create_ssl_context))
        yield


@pytest.fixture
async def make_service(server: EmbeddedServer) -> AsyncIterator[ServiceFactory]:
    """Make services with configs of one's own on an empty store; they are stopped at the end."""
    factory = ServiceFactory(server.url)
    await factory.empty_store()
    yield factory
    await factory.close()


@pytest.fixture
async def service(make_service: ServiceFactory) -> RunningService:
    """The service as `dev` configures it, but for a cheap hash."""
    return await make_service()
