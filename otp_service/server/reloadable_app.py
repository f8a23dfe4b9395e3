"""An ASGI application that is replaced while it serves: SIGHUP builds the next one, beside the running one.

The next application starts completely before it gets requests. Requests in progress finish on the one that began them;
then it stops. Connections and the listening socket belong to the server, so no connection is closed or refused.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from otp_service.observability import LOG
from otp_service.server.asgi_lifespan import AsgiApp, AsgiLifespan

__all__ = ["RELOAD_SIGNAL", "ReloadableApp"]

MAX_DRAIN_SECONDS: Final = 60.0
"""A request takes less: 10 s for its head, 10 s for its body, then hashes and the store. After it the old application
stops anyway."""


class ReloadSignal:
    """SIGHUP before there is an event loop: it is remembered, because it would end the process by default."""

    def __init__(self) -> None:
        self._was_received = False

    def hold(self) -> None:
        """Remember the signal from now on."""
        signal.signal(signal.SIGHUP, self._receive)

    def pop(self) -> bool:
        """Return whether the signal was received, and forget it."""
        received, self._was_received = self._was_received, False
        return received

    def _receive(self, *_: object) -> None:
        self._was_received = True


RELOAD_SIGNAL: Final = ReloadSignal()
"""The one of this process."""


class _Generation:
    """One application, and how many requests it is answering.

    Attributes:
        app: The application.
        lifespan: Starts and stops it.
        requests: How many it is answering.
        unused: Is set when the last of them has ended.
    """

    def __init__(self, app: AsgiApp) -> None:
        self.app = app
        self.lifespan = AsgiLifespan(app)
        self.requests = 0
        self.unused = asyncio.Event()

    async def retire(self) -> None:
        """Stop the application when it has answered its requests. It gets no more."""
        try:
            async with asyncio.timeout(MAX_DRAIN_SECONDS):
                while self.requests:
                    self.unused.clear()
                    await self.unused.wait()
        except TimeoutError:
            LOG.warning("old_application_still_answers", requests=self.requests)
        await self.lifespan.stop()


class ReloadableApp:
    """The ASGI application that the server runs; it passes each request to the current application."""

    def __init__(
        self,
        first: AsgiApp,
        rebuild: Callable[[], AsgiApp | None],
        resources: Callable[[], AbstractAsyncContextManager[None]],
    ) -> None:
        """Serve `first`.

        Args:
            first: The application to start with.
            rebuild: Builds the next application, in a thread; None: there is none, and the current one goes on.
            resources: What all applications share; entered before the first starts, and left after the last has ended.
        """
        self._current = _Generation(first)
        self._rebuild = rebuild
        self._resources = resources
        self._wanted = asyncio.Event()
        self._retiring: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one ASGI connection: a request, or the lifespan of the server."""
        if scope["type"] == "lifespan":
            await self._run(receive, send)
            return
        generation = self._current
        generation.requests += 1
        try:
            await generation.app(scope, receive, send)
        finally:
            generation.requests -= 1
            if not generation.requests:
                generation.unused.set()

    async def _run(self, receive: Any, send: Any) -> None:
        """Answer the lifespan messages of the server, and reload between them."""
        await receive()
        async with self._resources():
            try:
                await self._current.lifespan.start()
            except Exception as error:
                LOG.exception("start_failed")
                await send({"type": "lifespan.startup.failed", "message": type(error).__name__})
                return
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGHUP, self._wanted.set)
            if RELOAD_SIGNAL.pop():
                self._wanted.set()
            reloading = asyncio.create_task(self._reload_forever(), name="config-reload")
            await send({"type": "lifespan.startup.complete"})
            await receive()
            loop.remove_signal_handler(signal.SIGHUP)
            RELOAD_SIGNAL.hold()  # a late one must not end the process
            reloading.cancel()
            await asyncio.gather(reloading, return_exceptions=True)
            await asyncio.gather(self._current.retire(), *self._retiring)
        await send({"type": "lifespan.shutdown.complete"})

    async def _reload_forever(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self._reload()
            except Exception:
                LOG.exception("config_reload_failed")

    async def _reload(self) -> None:
        """Replace the current application, unless the next one cannot be built or does not start."""
        app = await asyncio.to_thread(self._rebuild)
        if app is None:
            return
        following = _Generation(app)
        try:
            await following.lifespan.start()
        except BaseException:
            await following.lifespan.stop()
            raise
        previous, self._current = self._current, following
        LOG.info("config_reloaded")
        task = asyncio.create_task(previous.retire(), name="old-application")
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)
