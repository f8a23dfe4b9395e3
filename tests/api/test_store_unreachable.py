"""The store does not exist: what still responds, that nothing is accepted, and how the service recovers."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from otp_service.bootstrap import build_app
from otp_service.sandbox.dev_config import dev_config, merged
from otp_service.sandbox.embedded_server import EmbeddedServer
from otp_service.settings import load
from tests.api.api_requests import (
    JSON_HEADERS,
    NORMALIZE_PHONE,
    REQUEST_BODY,
    REQUEST_CODE,
    UNKNOWN_ID,
    UNLOCK_RECIPIENT,
    VERIFICATIONS,
    VERIFY_CODE,
    bearer_header,
)
from tests.problem_assertions import assert_common_headers, assert_problem
from tests.running_service import CHEAP_HASH, RunningService, ServiceFactory, lifespan

ATTEMPT = {"verification_id": UNKNOWN_ID, "code": "123456"}


class StoreSocket:
    """A socket path at which one server listens after another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.server: EmbeddedServer | None = None

    @property
    def url(self) -> str:
        """The address for the config."""
        return f"unix://{self.path}"

    def listen(self) -> None:
        """Start a new and empty server at the path."""
        self.server = EmbeddedServer()
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(self.server.socket)

    def stop(self) -> None:
        """Stop the server, and lose its data."""
        if self.server is not None:
            self.server.stop()
            self.server = None


@pytest.fixture
async def socket(tmp_path: Path) -> AsyncIterator[StoreSocket]:
    """Return a path at which no server listens yet."""
    made = StoreSocket(tmp_path / "s")
    yield made
    made.stop()


async def wait_until_ready(client: httpx.AsyncClient, seconds: float = 5) -> None:
    """Wait until the service reports that it is ready."""
    async with asyncio.timeout(seconds):
        while (await client.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.02)


async def refused_in_time(client: httpx.AsyncClient) -> None:
    """Assert that all that needs the store gets 503 within two seconds, and all else is served."""
    for method, path, body in (
        ("POST", REQUEST_CODE, REQUEST_BODY),
        ("POST", VERIFY_CODE, ATTEMPT),
        ("POST", UNLOCK_RECIPIENT, {"phone": "081210100055"}),
        ("GET", VERIFICATIONS + UNKNOWN_ID, None),
        ("DELETE", VERIFICATIONS + UNKNOWN_ID, None),
        ("GET", "/readyz", None),
    ):
        for headers in ({}, {"Idempotency-Key": "k"}):
            started = time.monotonic()
            assert_problem(await client.request(method, path, json=body, headers=headers), 503, "store_unavailable")
            assert time.monotonic() - started < 2
    for path in ("/livez", "/metrics", "/.well-known/jwks.json", "/schema", "/schema/openapi.json"):
        response = await client.get(path)
        assert response.status_code == 200
        assert_common_headers(response)
    assert (await client.post(NORMALIZE_PHONE, json={"phone": "081210100055"})).status_code == 200
    assert_problem(await client.post(REQUEST_CODE, content=b"x" * 70_000, headers=JSON_HEADERS), 413, "body_too_large")
    assert_problem(
        await client.post(REQUEST_CODE, json=REQUEST_BODY, headers=bearer_header("nobody")), 401, "key_invalid"
    )


async def test_the_store_is_replaced(socket: StoreSocket) -> None:
    """Requests get 503 while it is away and send nothing; with a new empty server the service recovers by itself."""
    socket.listen()
    factory = ServiceFactory(socket.url)
    try:
        service: RunningService = await factory()
        verification_id, code = await service.request_code()
        socket.stop()
        await refused_in_time(service.client)
        assert len(service.inbox.messages()) == 1

        socket.listen()
        await wait_until_ready(service.client)
        assert_problem(await service.verify(verification_id, code), 404, "verification_unknown")
        verification_id, code = await service.request_code()
        assert (await service.verify(verification_id, code)).status_code == 200
    finally:
        await factory.close()


async def test_the_store_starts_after_the_service(socket: StoreSocket) -> None:
    """The service starts without its store, is not ready, and serves as soon as the store exists."""
    settings = load(merged(dev_config(socket.url), {"hashing": CHEAP_HASH}), {}, plain_secrets=True)
    app = build_app(settings)
    async with lifespan(app):
        transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]  # httpx has its own types of ASGI
        async with httpx.AsyncClient(
            transport=transport, base_url="http://service", headers=bearer_header("dev-key")
        ) as client:
            await refused_in_time(client)
            socket.listen()
            await wait_until_ready(client)
            assert (await client.post(REQUEST_CODE, json=REQUEST_BODY)).status_code == 202


async def test_a_store_that_may_evict_is_not_used(socket: StoreSocket) -> None:
    """A store that may evict would lose wrong codes, so nothing is served until it is reconfigured."""
    socket.listen()
    assert socket.server is not None
    factory = ServiceFactory(socket.url)
    await factory.store.config_set("maxmemory-policy", "allkeys-lru")
    settings = load(merged(dev_config(socket.url), {"hashing": CHEAP_HASH}), {}, plain_secrets=True)
    app = build_app(settings)
    async with lifespan(app):
        transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]  # httpx has its own types of ASGI
        async with httpx.AsyncClient(
            transport=transport, base_url="http://service", headers=bearer_header("dev-key")
        ) as client:
            await refused_in_time(client)
            await factory.store.config_set("maxmemory-policy", "noeviction")
            await wait_until_ready(client)
            assert (await client.post(REQUEST_CODE, json=REQUEST_BODY)).status_code == 202
    await factory.close()


async def test_attempts_at_a_hanging_store_are_refused_together(socket: StoreSocket) -> None:
    """Ten parallel attempts at one verification get their 503 at the same time, not one after another."""
    socket.listen()
    assert socket.server is not None
    factory = ServiceFactory(socket.url)
    service = await factory()
    verification_id, code = await service.request_code()
    os.kill(socket.server.pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(2.5):
            replies = await asyncio.gather(
                *(service.verify(verification_id, service.wrong_code(code)) for _ in range(10))
            )
    finally:
        os.kill(socket.server.pid, signal.SIGCONT)
    assert {reply.status_code for reply in replies} == {503}
    await factory.close()
