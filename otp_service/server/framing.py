"""How much of what has arrived goes to the parser next, and how much of a request is not its content.

The parser takes whatever it is given, across requests, without saying where one ended. So it is given slices that end
where a head or a body does: then the bytes of a head are counted exactly, and nothing of a later request is read
before the earlier one is answered. Slices never change what the parser understands, only when it is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from otp_service.domain.errors import Reason, Refused

__all__ = ["MAX_HEADERS", "MAX_HEAD_BYTES", "MAX_TRAILERS", "RequestFraming"]

MAX_HEAD_BYTES: Final = 64 * 1024
"""Request line and headers: as much as a body may have; common proxies send less than 32 KiB."""

MAX_HEADERS: Final = 100
MAX_TRAILERS: Final = 20

MAX_OVERHEAD_BYTES: Final = 16 * 1024
"""What a chunked body may have besides content: sizes, extensions, trailers (Go's server allows as much)."""

OVERHEAD_PER_BYTE: Final = 16
"""Overhead that each byte of content pays for: enough for chunks of one byte with sizes of eight digits."""

_CHUNKED_SLICE: Final = 4096
_HEAD_END: Final = b"\r\n\r\n"


class RequestFraming:
    """Counts one request after the other on a connection."""

    __slots__ = ("_chunked", "_content", "_excess", "_head_bytes", "_in_head", "_left", "_tail")

    def __init__(self) -> None:
        """Begin before the first request."""
        self.next_request()

    def next_request(self) -> None:
        """Begin anew: what follows is a head."""
        self._in_head, self._head_bytes, self._tail = True, 0, b""
        self._chunked, self._left, self._content, self._excess = False, 0, 0, 0

    def head_complete(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Learn from the headers, which the parser has judged, how long the body is."""
        self._in_head = False
        for name, value in headers:
            if name == b"transfer-encoding":
                self._chunked = True
            elif name == b"content-length":
                self._left = int(value)

    def slice_end(self, data: bytes, start: int) -> int:
        """Return where the slice of `data` ends that begins at `start`."""
        if self._in_head:
            return min(self._head_end(data, start), start + max(1, MAX_HEAD_BYTES - self._head_bytes))
        return min(len(data), start + (_CHUNKED_SLICE if self._chunked else max(1, self._left)))

    def _head_end(self, data: bytes, start: int) -> int:
        """Find the empty line behind `start`, which may have begun in what came before."""
        border = self._tail + data[start : start + len(_HEAD_END) - 1]
        if (found := border.find(_HEAD_END)) >= 0:
            return start + found + len(_HEAD_END) - len(self._tail)
        found = data.find(_HEAD_END, start)
        return len(data) if found < 0 else found + len(_HEAD_END)

    def content(self, size: int) -> None:
        """Count content of the body."""
        self._content += size
        self._left -= size

    def slice_parsed(self, data: bytes, start: int, end: int) -> None:
        """Count a slice that the parser has taken and that has not completed what it belongs to. Raises `Refused`."""
        if self._in_head:
            self._head_bytes += end - start
            self._tail = (self._tail + data[max(start, end - len(_HEAD_END) + 1) : end])[1 - len(_HEAD_END) :]
            if self._head_bytes >= MAX_HEAD_BYTES:
                raise Refused(
                    Reason.HEADERS_TOO_LARGE,
                    f"Send at most {MAX_HEAD_BYTES} bytes before the body, line ends included.",
                )
        elif self._chunked:
            paid, self._content = self._content * (1 + OVERHEAD_PER_BYTE), 0
            self._excess = max(0, self._excess + end - start - paid)
            if self._excess > MAX_OVERHEAD_BYTES:
                raise Refused(Reason.REQUEST_MALFORMED, "Send larger chunks, without extensions and trailers.")
