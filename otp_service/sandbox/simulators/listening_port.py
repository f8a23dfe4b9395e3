"""A port on loopback that is taken, left and taken again: what a gateway that goes down and comes back looks like.

It can be bound before there is an event loop, so that who starts several of them knows every address, and hears of a
port that somebody else has, before anything runs.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

__all__ = ["LOOPBACK", "MAX_HEAD_BYTES", "ListeningPort"]

LOOPBACK: Final = "127.0.0.1"
MAX_HEAD_BYTES: Final = 64 * 1024
BACKLOG: Final = 1024


class ListeningPort:
    """Where one server listens; `number` is 0 until it has a port, which it keeps."""

    def __init__(self, connected: Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]) -> None:
        """Give every connection to `connected`."""
        self.number = 0
        self._connected = connected
        self._wanted = False
        self._bound: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._opening: asyncio.Task[None] | None = None

    @property
    def listening(self) -> bool:
        """Whether a connection would be taken now."""
        return self._server is not None

    def bind(self, number: int = 0) -> None:
        """Take the port `number`; 0: the one that it had before, or else any that is free. Raises OSError."""
        self._bound = socket.create_server((LOOPBACK, number or self.number), backlog=BACKLOG)
        self.number = self._bound.getsockname()[1]

    async def open(self, number: int = 0) -> None:
        """Listen on what is bound, or on the port `number`, as `bind` takes it."""
        if self._bound is None:
            self.bind(number)
        self._wanted = True
        await self._listen()

    def leave(self) -> None:
        """Listen no more; connections that there are stay."""
        self._wanted = False
        if self._server is not None:
            self._server.close()
            self._server = None

    def come_back(self) -> bool:
        """Listen again, in a moment; False: somebody else has the port now."""
        self._wanted = True
        if self._server is None and self._opening is None:
            try:
                self.bind()
            except OSError:
                return False
            self._opening = asyncio.get_running_loop().create_task(self._listen())
        return True

    async def close(self) -> None:
        """Leave it, also when it was only bound, or is just coming back."""
        self.leave()
        if self._opening is not None:
            await self._opening
        if self._bound is not None:
            self._bound.close()
            self._bound = None

    async def _listen(self) -> None:
        bound, self._bound = self._bound, None
        self._server = await asyncio.start_server(self._connected, sock=bound, limit=MAX_HEAD_BYTES, backlog=BACKLOG)
        self._opening = None
        if not self._wanted:
            self.leave()
