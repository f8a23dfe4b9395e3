"""Slices end where a head or a body ends, however the bytes arrive."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from otp_service.server.framing import RequestFraming

HEADS = [b"\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\r\n\r\nGET / HTTP/1.1\r\nX: \r\n\r\n"]


def slices(framing: RequestFraming, pieces: list[bytes]) -> list[bytes]:
    """Cut pieces of heads into slices."""
    found = []
    for piece in pieces:
        start = 0
        while start < len(piece):
            end = framing.slice_end(piece, start)
            found.append(piece[start:end])
            framing.count_slice(piece, start, end)
            start = end
    return found


@given(st.lists(st.sampled_from(HEADS), max_size=8), st.lists(st.integers(1, 9), min_size=1, max_size=40))
def test_no_slice_goes_beyond_an_empty_line(heads: list[bytes], sizes: list[int]) -> None:
    """A slice never continues after an empty line, wherever the pieces are cut."""
    data = b"".join(heads)
    pieces: list[bytes] = []
    while data:
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(data[:size])
        data = data[size:]
    found = slices(RequestFraming(), pieces)
    assert b"".join(found) == b"".join(heads)
    passed = b""
    for part in found:
        assert b"\r\n\r\n" not in (passed[-3:] + part)[:-1]
        passed += part


@given(st.integers(1, 20_000), st.integers(1, 70_000))
def test_a_declared_body_is_one_slice_of_each_piece(length: int, size: int) -> None:
    """The last slice of a body contains nothing that follows the body."""
    framing = RequestFraming()
    framing.head_complete([(b"content-length", str(length).encode())])
    left, piece = length, b"a" * size
    while left:
        end = framing.slice_end(piece, 0)
        assert end == min(size, left)
        framing.count_content(end)
        left -= end
