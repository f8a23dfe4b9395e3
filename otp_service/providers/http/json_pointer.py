"""JSON Pointer (RFC 6901): one value of a decoded JSON document, in time linear in the length of the pointer."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

__all__ = ["MAX_POINTER_CHARS", "MISSING", "POINTER", "JsonPointer", "resolve", "scalar_text"]

MAX_POINTER_CHARS: Final = 255

MISSING: Final = object()
"""The document has no value at the pointer; a null is a value."""

POINTER: Final = r"(?:/(?:[^~/]|~[01])*)+"
"""A pointer to a part of a document; the empty pointer, to all of it, is not allowed in the configuration."""

_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,5}", re.ASCII)

JsonPointer = Annotated[
    str,
    Meta(max_length=MAX_POINTER_CHARS, pattern=rf"\A{POINTER}\Z", description='a JSON pointer, such as "/data/id"'),
]


def resolve(document: Any, pointer: str) -> Any:
    """Return the value at a valid pointer, or `MISSING`."""
    value = document
    for token in pointer.split("/")[1:]:
        if isinstance(value, dict):
            value = value.get(token.replace("~1", "/").replace("~0", "~"), MISSING)
        elif isinstance(value, list) and _INDEX.fullmatch(token) and int(token) < len(value):
            value = value[int(token)]
        else:
            return MISSING
    return value


def scalar_text(value: Any) -> str | None:
    """Return a string as it is, and a number, true, false or null as JSON; None for anything else."""
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode() if value is None or isinstance(value, bool | int | float) else None
