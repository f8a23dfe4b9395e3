"""The parts of a field's declaration: its type, its bounds, its `Parse`, and the text for what it allows."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin

import msgspec
from msgspec import Meta

from otp_service.providers.config_parsing import Parse
from otp_service.settings.deployment_model import OTHER_KEYS


@dataclass(frozen=True, slots=True)
class Declaration:
    """`Annotated[base, ...] | None` as it is used: TOML has no null, so an optional key is one that may be absent."""

    base: Any
    metadata: tuple[Any, ...] = ()

    @classmethod
    def of(cls, field_type: Any) -> Self:
        """Split a field's type into its parts."""
        if get_origin(field_type) is Annotated:
            base, *metadata = get_args(field_type)
            inner = cls.of(base)
            return cls(inner.base, (*inner.metadata, *metadata))
        if get_origin(field_type) in (Union, types.UnionType):
            members = [member for member in get_args(field_type) if member is not types.NoneType]
            if len(members) == 1:
                return cls.of(members[0])
        return cls(field_type)

    @property
    def parse(self) -> Parse | None:
        """The field's own syntax."""
        return next((one for one in self.metadata if isinstance(one, Parse)), None)

    @property
    def takes_other_keys(self) -> bool:
        """Whether the field contains the keys of its table that no other field has."""
        return OTHER_KEYS in self.metadata

    @property
    def is_struct(self) -> bool:
        """Whether the field is a table with declared keys."""
        return isinstance(self.base, type) and issubclass(self.base, msgspec.Struct)

    @property
    def bounds(self) -> list[Meta]:
        """The field's bounds, innermost first."""
        return [one for one in self.metadata if isinstance(one, Meta)]

    @property
    def description(self) -> str | None:
        """The outermost description."""
        return next((meta.description for meta in reversed(self.bounds) if meta.description), None)

    def with_bounds(self, base: Any) -> Any:
        """Return `base` with the field's bounds, for msgspec."""
        for meta in self.bounds:
            base = Annotated[base, meta]
        return base

    @property
    def allowed(self) -> str:
        """What an error text says is allowed: the description, or else the type and its bounds."""
        if self.description:
            return self.description
        if self.is_struct or get_origin(self.base) is Mapping:
            return "a table"
        if get_origin(self.base) is tuple:
            return "a list"
        if get_origin(self.base) is Literal:
            return " or ".join(sorted(json.dumps(value) for value in get_args(self.base)))
        for meta in self.bounds:
            if meta.gt is not None:
                return f"above {meta.gt}, at most {meta.le}"
            if meta.ge is not None:
                return f"{meta.ge} to {meta.le}"
        return {bool: "true or false", int: "a whole number"}.get(self.base, "text")
