"""A proxy in front of Redis that counts round trips, and can lose calls and replies or change them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from otp_service.store.scripts import script

PAUSE_SECONDS = 0.02
"""After which two writes are read one by one."""


class LossyProxy:
    """Forwards bytes between its own unix socket and the server's.

    With `drops_replies` nothing comes back; with `closes_on_reply` a connection is closed when a reply arrives. From
    the first write with the bytes `stops_reading_at` on, a connection reads nothing, and `stopped` is set.
    `round_trips` counts the writes of the service, and `lost` the calls that `lose` has lost. `change` gets what the
    server sends, and returns what the service is to get; before that, it gets `first` as a piece of its own.
    """

    def __init__(self, path: Path, target: str, database: int = 0) -> None:
        self.url = f"unix://{path}?db={database}"
        self.drops_replies = False
        self.closes_on_reply = False
        self.change: Callable[[bytes], bytes] = bytes
        self.first = b""
        self.stops_reading_at = b""
        self.stopped = asyncio.Event()
        self._ended = asyncio.Event()
        self.round_trips = 0
        self.lost = 0
        self._path, self._target = path, target
        self._clients: set[asyncio.StreamWriter] = set()
        self._digest, self._times, self._before = b"", 0, False

    def lose(self, name: str, times: int = 1, *, before: bool = False) -> None:
        """Lose the next calls of a script: their replies, or with `before` the calls themselves."""
        self._digest, self._times, self._before = script(name).digest.encode(), times, before

    def say(self, data: bytes) -> None:
        """Send bytes on every connection, as if the server had sent them."""
        for client in self._clients:
            client.write(data)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[LossyProxy]:
        """Serve within the block."""
        server = await asyncio.start_unix_server(self._serve, self._path)
        try:
            yield self
        finally:
            self._ended.set()
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(self._target)
        lost = asyncio.Event()
        self._clients.add(writer)

        async def up() -> None:
            while data := await reader.read(1 << 20):
                self.round_trips += 1
                if self.stops_reading_at and self.stops_reading_at in data:
                    reader._transport.pause_reading()  # type: ignore[attr-defined]
                    self.stopped.set()
                    await self._ended.wait()
                    break
                if self._times and self._digest in data:
                    self._times, self.lost = self._times - 1, self.lost + 1
                    lost.set()
                    if self._before:
                        writer.close()
                        break
                far_writer.write(data)
            far_writer.close()

        async def down() -> None:
            while data := await far_reader.read(1 << 20):
                if lost.is_set() or self.closes_on_reply:
                    far_writer.close()
                    break
                await self._say_first(writer)
                if not self.drops_replies:
                    writer.write(self.change(data))
            writer.close()

        with contextlib.suppress(OSError):
            await asyncio.gather(up(), down())
        self._clients.discard(writer)

    async def _say_first(self, writer: asyncio.StreamWriter) -> None:
        if self.first:
            writer.write(self.first)
            await asyncio.sleep(PAUSE_SECONDS)
