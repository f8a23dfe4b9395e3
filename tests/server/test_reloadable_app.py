"""An application that is replaced while it serves: which application answers which request, and when each one stops."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from otp_service.server.asgi_lifespan import AsgiLifespan
from otp_service.server.reloadable_app import RELOAD_SIGNAL, ReloadableApp
from tests.waits import wait_until


class RecordedApp:
    """An ASGI application that records its start, its requests and its stop; a request lasts until `finish` is set."""

    def __init__(self, name: str, events: list[str], fault: str = "") -> None:
        self.name = name
        self.finish = asyncio.Event()
        self._events = events
        self._fault = fault

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request or the lifespan."""
        if scope["type"] == "http":
            self._events.append(f"{self.name} began")
            await self.finish.wait()
            self._events.append(f"{self.name} answered")
            return
        await receive()
        if self._fault == "raises":
            raise ValueError("no start")
        if self._fault == "fails":
            await send({"type": "lifespan.startup.failed", "message": "no start"})
            return
        self._events.append(f"{self.name} started")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._events.append(f"{self.name} stopped")
        await send({"type": "lifespan.shutdown.complete"})


@pytest.fixture(autouse=True)
def signal_handler() -> Iterator[None]:
    """Keep the handler of the test process."""
    before = signal.getsignal(signal.SIGHUP)
    RELOAD_SIGNAL.pop()
    yield
    RELOAD_SIGNAL.pop()
    signal.signal(signal.SIGHUP, before)


class Reloads:
    """A running `ReloadableApp` that is replaced by prepared applications."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.following: list[RecordedApp | None] = []
        self.first = self.prepared("first")
        self.app = ReloadableApp(self.first, self._rebuild, self._resources)
        self.server = AsgiLifespan(self.app)
        self.rebuilt = 0

    def prepared(self, name: str, fault: str = "") -> RecordedApp:
        """Return an application; all of them record into `events`."""
        return RecordedApp(name, self.events, fault)

    def request(self) -> asyncio.Task[None]:
        """Begin a request."""
        call: Any = self.app({"type": "http"}, None, None)
        return asyncio.create_task(call)

    async def reload(self, app: RecordedApp | None) -> None:
        """Send SIGHUP, after which `app` is built, and wait until it was."""
        self.following.append(app)
        expected = self.rebuilt + 1
        os.kill(os.getpid(), signal.SIGHUP)
        await wait_until(lambda: self.rebuilt == expected)
        await asyncio.sleep(0.02)

    def _rebuild(self) -> RecordedApp | None:
        self.rebuilt += 1
        return self.following.pop(0)

    @contextlib.asynccontextmanager
    async def _resources(self) -> AsyncIterator[None]:
        self.events.append("resources opened")
        yield
        self.events.append("resources closed")


async def test_a_request_ends_where_it_began() -> None:
    """The old application answers its request and stops after it; new requests go to the new one meanwhile."""
    reloads = Reloads()
    await reloads.server.start()
    old = reloads.request()
    await asyncio.sleep(0)
    second = reloads.prepared("second")
    await reloads.reload(second)
    assert reloads.events == ["resources opened", "first started", "first began", "second started"]
    new = reloads.request()
    second.finish.set()
    await new
    reloads.first.finish.set()
    await old
    await wait_until(lambda: reloads.events[-1] == "first stopped")
    await reloads.server.stop()
    assert reloads.events[4:] == [
        *("second began", "second answered", "first answered", "first stopped"),
        *("second stopped", "resources closed"),
    ]


@pytest.mark.parametrize("fault", ["raises", "fails", "not built"])
async def test_an_application_that_does_not_start_is_not_used(fault: str) -> None:
    """The old one goes on, and the next reload works."""
    reloads = Reloads()
    reloads.first.finish.set()
    await reloads.server.start()
    await reloads.reload(None if fault == "not built" else reloads.prepared("broken", fault))
    await reloads.request()
    third = reloads.prepared("third")
    third.finish.set()
    await reloads.reload(third)
    await reloads.request()
    await reloads.server.stop()
    assert reloads.events[2:] == [
        *("first began", "first answered", "third started", "first stopped"),
        *("third began", "third answered", "third stopped", "resources closed"),
    ]


async def test_every_application_stops_before_the_resources() -> None:
    """At the end of the server, applications that still answer requests are waited for."""
    reloads = Reloads()
    await reloads.server.start()
    old = reloads.request()
    await asyncio.sleep(0)
    await reloads.reload(reloads.prepared("second"))
    stopping = asyncio.create_task(reloads.server.stop())
    await asyncio.sleep(0.05)
    assert "resources closed" not in reloads.events
    reloads.first.finish.set()
    await asyncio.gather(old, stopping)
    assert reloads.events[-4:] == ["second stopped", "first answered", "first stopped", "resources closed"]


async def test_a_signal_before_the_start_is_not_lost() -> None:
    """SIGHUP before there is an event loop leads to a reload as soon as the first application serves."""
    RELOAD_SIGNAL.hold()
    os.kill(os.getpid(), signal.SIGHUP)
    reloads = Reloads()
    reloads.following.append(reloads.prepared("second"))
    await reloads.server.start()
    await wait_until(lambda: "first stopped" in reloads.events)
    await reloads.server.stop()
    assert reloads.events[1:4] == ["first started", "second started", "first stopped"]


async def test_a_first_application_that_does_not_start() -> None:
    """The server is told, and the resources are closed."""
    reloads = Reloads()
    reloads.app = ReloadableApp(reloads.prepared("broken", "raises"), reloads._rebuild, reloads._resources)
    with pytest.raises(RuntimeError, match="the startup of the application failed: RuntimeError"):
        await AsgiLifespan(reloads.app).start()
    await wait_until(lambda: reloads.events == ["resources opened", "resources closed"])
