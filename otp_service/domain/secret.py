"""Text that must not be seen: a gateway's password, a key, the URL of a store with its credentials.

A `Secret` is opened at one place only, by `reveal()`, where it is used. Everything that turns values into text by
itself (`repr`, `str`, format strings, log renderers, tracebacks with locals) gets `***`, and everything that turns
values into bytes (pickle, JSON and MessagePack encoders) fails instead of writing it down.
"""

from __future__ import annotations

import hmac
from typing import Any, Final, NoReturn, Self, SupportsIndex

__all__ = ["Secret"]

MASK: Final = "***"


class Secret:
    """Frozen, hidden text. Equality takes the same time wherever two secrets differ; there is no hash and no order."""

    __slots__ = ("__text",)
    __text: str

    def __init__(self, text: str) -> None:
        """Hide `text`."""
        object.__setattr__(self, "_Secret__text", text)

    def reveal(self) -> str:
        """Hand over the text itself: call it where it is used, and do not keep what it gives."""
        return self.__text

    def __repr__(self) -> str:
        """Show nothing, not even the length."""
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        """Show nothing, whatever the format."""
        return MASK

    def __eq__(self, other: object) -> bool:
        """Compare in constant time; plain text is never equal to a secret."""
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.__text.encode(), other.__text.encode())

    __hash__ = None  # type: ignore[assignment]  # a dict's key would be compared in a time that tells

    def __setattr__(self, name: str, value: object) -> NoReturn:
        """Refuse: a secret is frozen."""
        raise AttributeError("a secret is frozen")

    def __delattr__(self, name: str) -> NoReturn:
        """Refuse: a secret is frozen."""
        raise AttributeError("a secret is frozen")

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Refuse to be pickled."""
        raise TypeError("a secret is not serialisable")

    def __copy__(self) -> Self:
        """Give itself: it is frozen, and copying goes by way of pickling otherwise."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Give itself."""
        return self
