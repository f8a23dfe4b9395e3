"""HTTP with a bound on what comes before a body: request line and headers.

uvicorn's httptools reads headers without an end, so anybody who can connect could fill the memory with them, before
anything of ours has seen the request. A body is bounded by `api/edge.py`.
"""

from __future__ import annotations

from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["MAX_HEAD_BYTES", "BoundedHttp"]

MAX_HEAD_BYTES: Final = 64 * 1024
"""As much as a body may have; common proxies send less than 32 KiB."""

_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nCache-Control: no-store\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


class BoundedHttp(HttpToolsProtocol):
    """A connection that ends when a head is longer than `MAX_HEAD_BYTES`, give or take what comes at once."""

    _head_bytes = 0
    _in_head = True

    def data_received(self, data: bytes) -> None:
        """Read on, unless the head that is being read is too long already."""
        super().data_received(data)
        if not self._in_head:
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_headers_complete(self) -> None:
        """Count no more: what follows is a body."""
        self._in_head, self._head_bytes = False, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Begin anew with the next request on the same connection."""
        super().on_message_complete()
        self._in_head = True
