"""A port on loopback that a simulator can close and reopen, as a gateway does during an outage.

It can be bound before there is an event loop, so that the sandbox knows the addresses of all its gateways, and finds
a port that is in use, before it starts any of them.

While it is closed, a process that asks for any free port does not get this one (Linux): a second socket is bound to it
that never listens, so connections are refused.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from collections.abc import Callable
from typing import Final

__all__ = ["LOOPBACK", "MAX_HEAD_BYTES", "ListeningPort"]

LOOPBACK: Final = "127.0.0.1"
MAX_HEAD_BYTES: Final = 64 * 1024
BACKLOG: Final = 1024


class ListeningPort:
    """The port of one server; `number` is 0 until it is bound, and constant afterwards."""

    def __init__(
        self,
        connected: Callable[[asyncio.StreamReader, asyncio.StreamWriter], None],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Call `connected` for each connection; with `tls`, each begins with TLS."""
        self.number = 0
        self._connected = connected
        self._tls = tls
        self._wanted = False
        self._placeholder: socket.socket | None = None
        self._bound: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._opening: asyncio.Task[None] | None = None

    @property
    def listening(self) -> bool:
        """True if a connection is accepted now."""
        return self._server is not None

    def bind(self, number: int = 0) -> None:
        """Bind the port `number`; 0 is the port that it had before, or else any free port.

        Raises:
            OSError: The port is in use.
        """
        number = number or self.number
        if self._placeholder is None and sys.platform == "linux":  # elsewhere two sockets may not bind one number
            self._placeholder = _bound_socket(number)
            number = self._placeholder.getsockname()[1]
        self._bound = socket.create_server((LOOPBACK, number), backlog=BACKLOG)
        self.number = self._bound.getsockname()[1]

    async def open(self, number: int = 0) -> None:
        """Listen on the bound port, or bind `number` first, as `bind` does."""
        if self._bound is None:
            self.bind(number)
        self._wanted = True
        await self._listen()

    def stop_listening(self) -> None:
        """Refuse new connections; open connections stay open."""
        self._wanted = False
        if self._server is not None:
            self._server.close()
            self._server = None

    def resume_listening(self) -> bool:
        """Start to listen again; return False if another process has the port now."""
        self._wanted = True
        if self._server is None and self._opening is None:
            try:
                self.bind()
            except OSError:
                return False
            self._opening = asyncio.get_running_loop().create_task(self._listen())
        return True

    async def close(self) -> None:
        """Stop listening and release the port, also if it is only bound or is being reopened."""
        self.stop_listening()
        if self._opening is not None:
            await self._opening
        for one in filter(None, (self._bound, self._placeholder)):
            one.close()
        self._bound = self._placeholder = None

    async def _listen(self) -> None:
        bound, self._bound = self._bound, None
        self._server = await asyncio.start_server(
            self._connected, sock=bound, limit=MAX_HEAD_BYTES, backlog=BACKLOG, ssl=self._tls
        )
        self._opening = None
        if not self._wanted:
            self.stop_listening()


def _bound_socket(number: int) -> socket.socket:
    bound = socket.socket()
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((LOOPBACK, number))
    except OSError:
        bound.close()
        raise
    return bound
