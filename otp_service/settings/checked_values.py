"""Values in a cross-check: the stand-in for one that was refused, and helpers that leave refused ones out."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import NoReturn, TypeVar

from otp_service.providers.config_parsing import Path

T = TypeVar("T")


class InvalidUsed(Exception):
    """A check used a value that was refused."""


class Invalid:
    """Stands for a value that was refused. Any use of it raises `InvalidUsed`."""

    def _raise(self, *_: object) -> NoReturn:
        raise InvalidUsed

    __getattr__ = __eq__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = _raise
    __str__ = __format__ = __hash__ = __iter__ = __len__ = __bool__ = __getitem__ = _raise
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __floordiv__ = __rfloordiv__ = _raise


def is_valid(*values: object) -> bool:
    """Whether none of the values was refused."""
    return not any(isinstance(value, Invalid) for value in values)


def valid_items(items: Iterable[T]) -> Iterator[tuple[int, T]]:
    """Yield the valid items of a list with their indexes; nothing if the list itself was refused."""
    if is_valid(items):
        yield from ((index, item) for index, item in enumerate(items) if is_valid(item))


def duplicates(keyed: Iterable[tuple[Path, tuple[Hashable, ...]]]) -> Iterator[tuple[Path, Path]]:
    """Yield the path of each item whose key an earlier item has, with the path of that item."""
    first: dict[tuple[Hashable, ...], Path] = {}
    for path, key in keyed:
        if is_valid(*key) and first.setdefault(key, path) is not path:
            yield path, first[key]
