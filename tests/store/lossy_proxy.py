"""A proxy in front of Redis that counts what goes through and can lose replies."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path


class LossyProxy:
    """Forwards bytes between its own unix socket and the server's."""

    def __init__(self, path: Path, target: str) -> None:
        self.url = f"unix://{path}?db=3"
        self.swallows = False
        self.cuts = False
        self.turns = 0
        self._path = path
        self._target = target

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[LossyProxy]:
        """Serve within the block."""
        server = await asyncio.start_unix_server(self._serve, self._path)
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(self._target)
        with contextlib.suppress(OSError):
            await asyncio.gather(self._up(reader, far_writer), self._down(far_reader, writer, far_writer))

    async def _up(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(1 << 20):
            self.turns += 1
            sink.write(data)
        sink.close()

    async def _down(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, far_writer: asyncio.StreamWriter
    ) -> None:
        while data := await source.read(1 << 20):
            if self.cuts:
                far_writer.close()
                break
            if not self.swallows:
                sink.write(data)
        sink.close()
