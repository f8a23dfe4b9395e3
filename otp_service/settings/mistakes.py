"""What is wrong with a config: one line per mistake, all of them at once.

A mistake says where (a dotted path), what was found and what is allowed, so that the line alone is enough to mend
it. It never says the value of a secret, nor anything that may have been meant as one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

__all__ = ["ConfigInvalid", "Finding", "Mistake", "NotAllowed", "Path", "dotted", "quoted", "shown"]

Path = tuple[str | int, ...]
"""The way from the root of the document: keys, and places (from 0) in lists."""

Finding = tuple[Path, str, str]
"""A mistake that a check found: the path below the struct, what was found, what is allowed."""

LONGEST_SHOWN: Final = 60
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


class Mistake(msgspec.Struct, frozen=True):
    """One mistake; `str()` is its line."""

    path: str
    found: str
    allowed: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.path}: {self.found}; allowed: {self.allowed}"


class ConfigInvalid(Exception):
    """The config has mistakes; its text is one line for each."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        """Carry every mistake, in the order of the settings."""
        super().__init__("\n".join(map(str, mistakes)))
        self.mistakes = mistakes


class NotAllowed(Exception):
    """A value is refused. `allowed` is said by its type, unless the reader knows better."""

    def __init__(self, found: str, allowed: str | None = None) -> None:
        """Say what was `found`, as a clause that stands by itself."""
        super().__init__(found)
        self.found = found
        self.allowed = allowed


def dotted(path: Path) -> str:
    """`("routes", 0, "providers")` as `routes[0].providers`; odd keys are quoted, as in TOML."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{_key(part)}" for part in path)
    return text.removeprefix(".") or "config"


def _key(part: str) -> str:
    return part if _BARE_KEY.fullmatch(part) else json.dumps(part)


def quoted(text: str, longest: int = LONGEST_SHOWN) -> str:
    """Give `text` in quotes, in one line of ASCII, and cut when it is longer than `longest` characters."""
    return json.dumps(text if len(text) <= longest else text[: longest - 3] + "...")


def shown(raw: Any) -> str:
    """Say what stands there, in the spelling of TOML; containers are only named."""
    match raw:
        case bool():
            return "true" if raw else "false"
        case int() | float():
            return str(raw)
        case str():
            return quoted(raw)
        case Mapping():
            return "a table" if raw else "an empty table"
        case list() | tuple():
            return f"a list of {len(raw)}" if raw else "an empty list"
    return f"a {type(raw).__name__}"
