"""A strict decoder of the part of CBOR (RFC 8949) that App Attest uses.

The number of items is bounded, and every length is checked against what is left, so no input takes more than some
microseconds. Items of indefinite length, tags, floats, keys that are no text and repeated keys are refused, and so are
bytes after the item. Apple's objects contain none of them.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["MAX_DEPTH", "MAX_ITEMS", "InvalidCbor", "decode_cbor"]

MAX_DEPTH: Final = 4
"""Levels of arrays and maps. An attestation object has three: the object, its statement and the list `x5c`."""

MAX_ITEMS: Final = 64
"""Items of all levels. An attestation has 13, an assertion five; 12 KB of small items would take 8 ms."""

_SIMPLE: Final = 7
_SIMPLE_VALUES: Final = {20: False, 21: True, 22: None}
_FIRST_LONG_ARGUMENT: Final = 24
_LAST_LONG_ARGUMENT: Final = 27


class InvalidCbor(Exception):
    """The bytes are no CBOR, or contain what this decoder refuses."""


def decode_cbor(raw: bytes) -> Any:
    """Return the one item that `raw` contains: an integer, bytes, a text, a list, a dict, a boolean or None.

    Raises:
        InvalidCbor: It is not well-formed, or not of the part that is decoded.
    """
    decoder = _Decoder(raw)
    item = decoder.item(0)
    if decoder.position != len(raw):
        raise InvalidCbor("bytes after the item")
    return item


class _Decoder:
    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._items = 0
        self.position = 0

    def item(self, depth: int) -> Any:
        self._items += 1
        if self._items > MAX_ITEMS:
            raise InvalidCbor("too many items")
        initial = self._read(1)[0]
        kind, info = initial >> 5, initial & 0x1F
        if kind == _SIMPLE and info in _SIMPLE_VALUES:
            return _SIMPLE_VALUES[info]
        argument = self._argument(info)
        match kind:
            case 0:  # an unsigned integer
                return argument
            case 1:  # a negative integer
                return -1 - argument
            case 2:  # bytes
                return self._read(argument)
            case 3:  # a text
                return self._text(argument)
            case 4:  # an array
                self._check_items(argument, depth)
                return [self.item(depth + 1) for _ in range(argument)]
            case 5:  # a map
                self._check_items(2 * argument, depth)
                return self._map(argument, depth + 1)
            case _:
                raise InvalidCbor("a tag, a float or another simple value")

    def _argument(self, info: int) -> int:
        """Return the argument of an initial byte: the value of an integer, or a length."""
        if info < _FIRST_LONG_ARGUMENT:
            return info
        if info > _LAST_LONG_ARGUMENT:
            raise InvalidCbor("an indefinite length")
        return int.from_bytes(self._read(1 << (info - _FIRST_LONG_ARGUMENT)), "big")

    def _read(self, count: int) -> bytes:
        if count > len(self._raw) - self.position:
            raise InvalidCbor("the end is missing")
        start, self.position = self.position, self.position + count
        return self._raw[start : self.position]

    def _text(self, count: int) -> str:
        try:
            return self._read(count).decode()
        except UnicodeDecodeError:
            raise InvalidCbor("a text that is not UTF-8") from None

    def _check_items(self, count: int, depth: int) -> None:
        """Check that this many items fit into the rest of the data, which bounds the memory that they need."""
        if depth >= MAX_DEPTH:
            raise InvalidCbor("too many levels")
        if count > len(self._raw) - self.position:
            raise InvalidCbor("the end is missing")

    def _map(self, pairs: int, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for _ in range(pairs):
            key = self.item(depth)
            if not isinstance(key, str) or key in found:
                raise InvalidCbor("a key that is no text, or is repeated")
            found[key] = self.item(depth)
        return found
