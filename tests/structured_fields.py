"""A strict parser of the structured fields (RFC 9651) that RateLimit headers use: lists of strings with parameters."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["FieldItem", "parse_quota_list"]

_STRING: Final = r'"((?:[ !#-\[\]-~]|\\["\\])*)"'
_PARAMETER: Final = r"; *([a-z*][a-z0-9_.*-]*)=(-?[0-9]{1,15})"
_ITEM: Final = re.compile(rf"{_STRING}((?:{_PARAMETER})*)")
_SEPARATOR: Final = re.compile(r"[ \t]*,[ \t]*")


class FieldItem(NamedTuple):
    """A string with its parameters, which are integers."""

    value: str
    parameters: dict[str, int]


def parse_quota_list(text: str) -> list[FieldItem]:
    """Parse a list by the algorithm of RFC 9651, 4.2.1, where only strings and integers may occur.

    Raises:
        ValueError: It is no such list, is empty, or repeats a parameter.
    """
    items, at = [], 0
    while True:
        found = _ITEM.match(text, at)
        if found is None:
            raise ValueError(f"no item at {at} of {text!r}")
        pairs = re.findall(_PARAMETER, found[2])
        if len(dict(pairs)) != len(pairs):
            raise ValueError(f"a repeated parameter at {at} of {text!r}")
        items.append(FieldItem(re.sub(r"\\(.)", r"\1", found[1]), {name: int(value) for name, value in pairs}))
        at = found.end()
        if at == len(text):
            return items
        separator = _SEPARATOR.match(text, at)
        if separator is None:
            raise ValueError(f"no separator at {at} of {text!r}")
        at = separator.end()
