"""What a field's type says to the walker.

A field is written as its type with msgspec's bounds, `Annotated[int, Meta(ge=10, le=600)]`, and where that does not
do, with a mark of this module: `Read` (a reader of its own), `Before` (another spelling of the raw value), `OneOf` (a
table of one of several kinds), `REST` (the field takes every key that has no other place), `HIDDEN` (the value is never
shown). `Meta(description=...)` is how a mistake says what is allowed; without one it is worked out from the bounds.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Meta, inspect

from otp_service.settings.mistakes import Path

__all__ = ["HIDDEN", "REST", "Before", "Form", "Mark", "OneOf", "Read", "form_of", "is_struct"]

_M = TypeVar("_M")
_UNIONS: Final = (Union, types.UnionType)


@dataclass(frozen=True, slots=True)
class Read:
    """Reads the raw value instead of msgspec; raises `NotAllowed`. Gets the raw value, its path and the context."""

    value: Callable[[Any, Path, Any], Any]


@dataclass(frozen=True, slots=True)
class Before:
    """Turns another spelling of the raw value into the one that is read; leaves what it does not know."""

    change: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class OneOf:
    """A table whose struct is told by the text under `key`.

    `struct` finds it: None for a text that stands for nothing; raises `NotAllowed` when there is more to say. `names`
    lists the texts that stand for something.
    """

    key: str
    struct: Callable[[str], type[msgspec.Struct] | None]
    names: Callable[[], Iterable[str]]


class Mark(Enum):
    """The marks without a content of their own."""

    REST = auto()
    HIDDEN = auto()


REST: Final = Mark.REST
HIDDEN: Final = Mark.HIDDEN


@dataclass(frozen=True, slots=True)
class Form:
    """A field's type, taken apart: the type itself, and everything that stands beside it."""

    base: Any
    marks: tuple[Any, ...] = ()

    def mark(self, kind: type[_M]) -> _M | None:
        """Give the mark of this kind; the outermost wins."""
        return next((mark for mark in reversed(self.marks) if isinstance(mark, kind)), None)

    def has(self, mark: Mark) -> bool:
        """Tell whether it is marked so."""
        return mark in self.marks

    def bounded(self, base: Any) -> Any:
        """Give `base` with this form's bounds, for msgspec to judge."""
        for mark in self.marks:
            if isinstance(mark, Meta):
                base = Annotated[base, mark]
        return base

    @property
    def allowed(self) -> str:
        """What a mistake says is allowed here."""
        said = [mark.description for mark in self.marks if isinstance(mark, Meta) and mark.description]
        return said[-1] if said else self._derived()

    def _derived(self) -> str:
        if is_struct(self.base) or get_origin(self.base) is Mapping:
            return "a table"
        if get_origin(self.base) is tuple:
            return "a list"
        return _bounds(inspect.type_info(self.bounded(self.base)))


def form_of(kind: Any) -> Form:
    """Take a type apart. `X | None` is X: a key that is absent is None, and TOML has no other way to write it."""
    if get_origin(kind) is Annotated:
        base, *marks = get_args(kind)
        inner = form_of(base)
        return Form(inner.base, (*inner.marks, *marks))
    if get_origin(kind) in _UNIONS:
        kinds = [arm for arm in get_args(kind) if arm is not types.NoneType]
        if len(kinds) == 1:
            return form_of(kinds[0])
    return Form(kind)


def is_struct(kind: Any) -> bool:
    """Tell whether `kind` is a msgspec struct."""
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _bounds(info: inspect.Type) -> str:
    match info:
        case inspect.IntType(ge=int(low), le=int(high)) | inspect.FloatType(ge=low, le=high) if None not in (low, high):
            return f"{low} to {high}"
        case inspect.FloatType(gt=low, le=high) if None not in (low, high):
            return f"above {low}, at most {high}"
        case inspect.StrType(min_length=int(low), max_length=int(high)):
            return f"{low} to {high} characters"
        case inspect.LiteralType(values=values):
            return " or ".join(json.dumps(value) for value in values)
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return "a whole number"
    return "text"
