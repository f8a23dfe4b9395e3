"""The lifespan of an ASGI application that is started and stopped by other code than the server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["AsgiApp", "AsgiLifespan"]

AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI application, of any framework."""


class AsgiLifespan:
    """Starts and stops an application by the lifespan messages of ASGI; both run in one task of their own."""

    def __init__(self, app: AsgiApp) -> None:
        """Prepare the lifespan of `app`."""
        self._app = app
        self._incoming: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._outgoing: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the application; return when it can answer requests.

        Raises:
            RuntimeError: The application did not start.
        """
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        self._task = asyncio.ensure_future(self._serve(scope))
        await self._exchange("startup", self._task)

    async def stop(self) -> None:
        """Stop the application; return when everything of it has ended. One that did not start is only ended."""
        if self._task is None:
            return
        if not self._task.done():
            await self._exchange("shutdown", self._task)
        await asyncio.gather(self._task, return_exceptions=True)

    async def _serve(self, scope: dict[str, Any]) -> None:
        await self._app(scope, self._incoming.get, self._outgoing.put)

    async def _exchange(self, phase: str, task: asyncio.Task[None]) -> None:
        """Send the message of a phase; wait until the application sends one, or ends."""
        await self._incoming.put({"type": f"lifespan.{phase}"})
        message = asyncio.ensure_future(self._outgoing.get())
        await asyncio.wait({message, task}, return_when=asyncio.FIRST_COMPLETED)
        if not message.done():
            message.cancel()
            raise RuntimeError(f"the application ended during its {phase}") from task.exception()
        if message.result()["type"] != f"lifespan.{phase}.complete":
            raise RuntimeError(f"the {phase} of the application failed: {message.result().get('message', '')}")
