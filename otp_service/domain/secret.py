"""A type for secret texts (a gateway's password, a key, the URL of a store), and one for structs with private members.

Only `reveal()` returns a secret text. Whatever converts values to text by itself (`repr`, `str`, format strings, log
renderers, tracebacks with locals) gets `***`; whatever serializes values (pickle, JSON and MessagePack encoders) fails.
"""

from __future__ import annotations

import hmac
from typing import Any, Final, NoReturn, Self, SupportsIndex

import msgspec

__all__ = ["MaskedStruct", "Secret"]

MASK: Final = "***"


class Secret:
    """An immutable secret text. Comparison takes constant time; there is no hash and no order."""

    __slots__ = ("__text",)
    __text: str

    def __init__(self, text: str) -> None:
        object.__setattr__(self, "_Secret__text", text)

    def reveal(self) -> str:
        """Return the text. Call it where the text is used, and do not store the result."""
        return self.__text

    def __repr__(self) -> str:
        """Return `***`, whatever the length."""
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        """Return `***`, whatever the format."""
        return MASK

    def __eq__(self, other: object) -> bool:
        """Compare in constant time; a plain text never equals a secret."""
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.__text.encode(), other.__text.encode())

    __hash__ = None  # type: ignore[assignment]  # dict lookups do not compare in constant time

    def __setattr__(self, name: str, value: object) -> NoReturn:
        """Refuse: a secret is immutable."""
        raise AttributeError("a secret is immutable")

    def __delattr__(self, name: str) -> NoReturn:
        """Refuse: a secret is immutable."""
        raise AttributeError("a secret is immutable")

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Refuse to be pickled or copied by value."""
        raise TypeError("a secret cannot be serialized")

    def __copy__(self) -> Self:
        """Return itself: it is immutable, and the default would use pickle."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return itself."""
        return self


class MaskedStruct(msgspec.Struct, frozen=True):
    """A struct whose `__repr__` hides members; `rich` prints all members of any other struct, whatever its `repr`."""

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return no member."""
        return []
