"""The real application in the test process, called over ASGI, with a real store.

Its clock is the clock of the store plus what a test adds with `advance`. Its Argon2id parameters are the cheapest that
exist; a test that needs realistic ones sets them in its config.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import httpx
from litestar.types import ASGIApp
from redis.asyncio import Redis

from otp_service.bootstrap import build_app
from otp_service.providers.inbox import Inbox, InboxMessage
from otp_service.sandbox.dev_config import API_KEY, dev_config, merged
from otp_service.sandbox.try_page import try_page_layer
from otp_service.settings import load
from otp_service.store.scripts import override_clock

CLOCK_KEY = "test:clock"
STOPPED_CLOCK_KEY = "test:stopped-clock"
CHEAP_HASH = {"time_cost": 1, "memory_kib": 8, "allow_weak": True, "max_waiting": 4096}
NUMBER = "0812-1010-0055"
E164 = "+6281210100055"


@contextlib.contextmanager
def move_clock_by_key() -> Iterator[None]:
    """Make Lua scripts add the milliseconds under `test:clock` to the server's time, or to that of a stopped clock."""
    lua = f"""
    local function now_ms()
      local set = redis.call('MGET', '{CLOCK_KEY}', '{STOPPED_CLOCK_KEY}')
      local time = redis.call('TIME')
      local now = tonumber(set[2] or time[1] * 1000 + math.floor(time[2] / 1000))
      return now + tonumber(set[1] or 0)
    end
    """
    with override_clock(lua):
        yield


@contextlib.asynccontextmanager
async def lifespan(app: ASGIApp) -> AsyncIterator[None]:
    """Run the startup and the shutdown of an ASGI application, as a server does."""
    incoming: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    outgoing: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    scope: Any = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    task: asyncio.Task[None] = asyncio.ensure_future(app(scope, incoming.get, outgoing.put))  # type: ignore[arg-type]  # Litestar's types of ASGI are narrower
    await incoming.put({"type": "lifespan.startup"})
    assert (await outgoing.get())["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:
        await incoming.put({"type": "lifespan.shutdown"})
        assert (await outgoing.get())["type"] == "lifespan.shutdown.complete"
        await task


class MovableClock:
    """The Unix time of this machine, plus what a test has added."""

    def __init__(self) -> None:
        self.added_seconds = 0.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return time.time() + self.added_seconds


class RunningService:
    """A running service, with a client that has its API key, its store and its inbox provider."""

    def __init__(self, app: ASGIApp, store: Redis, inbox: Inbox, clock: MovableClock) -> None:
        self.app = app
        self.clock = clock
        self.store: Any = store  # replies are bytes here, which the types of the client do not express
        self.inbox = inbox
        self.client = self.caller(API_KEY)

    def caller(self, key: str | None, address: str = "127.0.0.1") -> httpx.AsyncClient:
        """Return a client with this API key (None: no key) that calls from `address`."""
        transport = httpx.ASGITransport(app=self.app, client=(address, 40000))  # type: ignore[arg-type]  # httpx has its own types of ASGI
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.AsyncClient(transport=transport, base_url="http://service", headers=headers)

    async def request(self, phone: str = NUMBER, purpose: str = "login", **members: Any) -> httpx.Response:
        """Call request-code for `phone`, or for a member `email`, and return the response."""
        recipient = {} if "email" in members else {"phone": phone}
        return await self.client.post("/v1/request-code", json={**recipient, "purpose": purpose, **members})

    async def verify(self, verification_id: str, code: str) -> httpx.Response:
        """Call verify-code and return the response."""
        return await self.client.post("/v1/verify-code", json={"verification_id": verification_id, "code": code})

    async def request_code(self, phone: str = NUMBER, purpose: str = "login", **members: Any) -> tuple[str, str]:
        """Request a code, which must be accepted; return the verification id and the code from the inbox."""
        response = await self.request(phone, purpose, **members)
        assert response.status_code == 202, response.text
        verification_id = response.json()["verification_id"]
        return verification_id, await self.code_of(verification_id)

    async def message_of(self, verification_id: str, seconds: float = 20.0) -> InboxMessage:
        """Wait for the message of a verification."""
        async with asyncio.timeout(seconds):
            while True:
                for message in self.inbox.messages():
                    if message.id == verification_id:
                        return message
                await asyncio.sleep(0.001)

    async def code_of(self, verification_id: str) -> str:
        """Wait for the message of a verification and return its code."""
        message = await self.message_of(verification_id)
        found = re.search(r"\d(?:, \d){3,9}" if message.channel == "voice" else r"\d{4,10}", message.text)
        assert found, message.text
        return found[0].replace(", ", "")

    def wrong_code(self, code: str) -> str:
        """Return a wrong code: of the same length, with every digit changed."""
        return "".join(str((int(digit) + 1) % 10) for digit in code)

    async def advance(self, seconds: float) -> None:
        """Move the clocks forward: the one that Lua scripts read, and the one by which API keys expire."""
        self.clock.added_seconds += seconds
        await self.store.incrby(CLOCK_KEY, int(seconds * 1000))

    async def stop_clock(self) -> None:
        """Stop the clock that Lua scripts read: from now on only `advance` moves it, however slow the machine is."""
        seconds, microseconds = await self.store.time()
        await self.store.set(STOPPED_CLOCK_KEY, seconds * 1000 + microseconds // 1000)


class ServiceFactory:
    """Starts services on one store, and stops them all on `close`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.store = Redis.from_url(url)
        self.clock = MovableClock()
        self._stack = contextlib.AsyncExitStack()

    async def __call__(self, config: Mapping[str, Any] | None = None) -> RunningService:
        """Start a service with the config of `otp-service dev`, overridden by `config`; wait until it is ready."""
        base = merged(dev_config(self.url), {"hashing": CHEAP_HASH})
        settings = load(merged(base, config or {}), {}, plain_secrets=True)
        inbox = Inbox("inbox")
        app = build_app(settings, inner_middleware=try_page_layer(inbox), inbox=inbox, now=self.clock)
        await self._stack.enter_async_context(lifespan(app))
        service = RunningService(app, self.store, inbox, self.clock)
        async with asyncio.timeout(20):
            while (await service.client.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.001)
        return service

    async def empty_store(self) -> None:
        """Delete everything in the store, which belongs to the tests."""
        await self.store.flushall()

    async def close(self) -> None:
        """Stop every service and close the store."""
        await self._stack.aclose()
        await self.store.aclose()
