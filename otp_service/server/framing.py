"""Cut received bytes into slices for the parser, and limit the bytes of a request that are not body content.

The parser reads across the end of a request and does not report where it was. So it gets slices that end where a head
or a body ends. Then the bytes of a head are counted exactly, and no byte of a later request is parsed before the
earlier one is answered. Slicing does not change what the parser reads, only when.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from otp_service.domain.errors import Reason, Refused

__all__ = ["MAX_HEADERS", "MAX_HEAD_BYTES", "MAX_TRAILERS", "RequestFraming"]

MAX_HEAD_BYTES: Final = 64 * 1024
"""Request line and headers, as large as a body may be; common proxies send less than 32 KiB."""

MAX_HEADERS: Final = 100
MAX_TRAILERS: Final = 20

MAX_OVERHEAD_BYTES: Final = 16 * 1024
"""What a chunked body may contain besides content: sizes, extensions, trailers (the limit of Go's server)."""

OVERHEAD_PER_BYTE: Final = 16
"""More overhead that each byte of content allows: enough for chunks of one byte with sizes of eight digits."""

_CHUNKED_SLICE_BYTES: Final = 4096
_HEAD_END: Final = b"\r\n\r\n"


class RequestFraming:
    """Counts the bytes of the requests of one connection, one request after the other."""

    __slots__ = ("_chunked", "_content", "_excess", "_head_bytes", "_in_head", "_left", "_tail")

    def __init__(self) -> None:
        """Start before the head of the first request."""
        self.next_request()

    def next_request(self) -> None:
        """Reset: the next byte is part of a head."""
        self._in_head, self._head_bytes, self._tail = True, 0, b""
        self._chunked, self._left, self._content, self._excess = False, 0, 0, 0

    def head_complete(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Get the length of the body from the headers, which the parser has validated."""
        self._in_head = False
        for name, value in headers:
            if name == b"transfer-encoding":
                self._chunked = True
            elif name == b"content-length":
                self._left = int(value)

    def slice_end(self, data: bytes, start: int) -> int:
        """Return the end of the slice of `data` that starts at `start`."""
        if not self._in_head:
            return min(len(data), start + (_CHUNKED_SLICE_BYTES if self._chunked else max(1, self._left)))
        found = data.find(_HEAD_END, start)
        end = len(data) if found < 0 else found + len(_HEAD_END)
        if self._tail:  # the empty line may begin in earlier data
            boundary = self._tail + data[start : start + len(_HEAD_END) - 1]
            if (found := boundary.find(_HEAD_END)) >= 0:
                end = start + found + len(_HEAD_END) - len(self._tail)
        return min(end, start + max(1, MAX_HEAD_BYTES - self._head_bytes))

    def count_content(self, size: int) -> None:
        """Count `size` bytes of body content."""
        self._content += size
        self._left -= size

    def count_slice(self, data: bytes, start: int, end: int) -> None:
        """Count a parsed slice that did not complete its head or body.

        Raises:
            Refused: The head or the overhead of the body is too large.
        """
        if self._in_head:
            self._head_bytes += end - start
            self._tail = (self._tail + data[max(start, end - len(_HEAD_END) + 1) : end])[1 - len(_HEAD_END) :]
            if self._head_bytes >= MAX_HEAD_BYTES:
                raise Refused(
                    Reason.HEADERS_TOO_LARGE,
                    f"Send at most {MAX_HEAD_BYTES} bytes of request line and headers, line ends included.",
                )
        elif self._chunked:
            allowed, self._content = self._content * (1 + OVERHEAD_PER_BYTE), 0
            self._excess = max(0, self._excess + end - start - allowed)
            if self._excess > MAX_OVERHEAD_BYTES:
                raise Refused(Reason.REQUEST_MALFORMED, "Send larger chunks, without extensions and trailers.")
