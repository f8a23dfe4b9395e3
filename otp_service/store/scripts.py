"""The Lua scripts, one file per transition with the files that it includes, and the calls of them.

`lua/<name>.lua` is a script; its header documents KEYS, ARGV, the reply and the invariant that it holds. A file with a
leading underscore holds functions and constants; a script gets them with the line `--@include _clock _record`.

`override_clock` is for tests: it replaces the clock of every script.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

__all__ = [
    "Command",
    "Script",
    "ScriptCall",
    "all_scripts",
    "eval_commands",
    "evalsha_commands",
    "override_clock",
    "script",
]

Command = tuple[str | bytes | int, ...]
"""A command of Redis and its arguments."""

_INCLUDE: Final = "--@include "
_CLOCK: Final = "_clock"
_clock_override: str | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """A script's name, its full text with the included files, and the SHA-1 digest for EVALSHA."""

    name: str
    text: str
    digest: str


class ScriptCall(msgspec.Struct, frozen=True):
    """One script, the keys it may touch and its arguments."""

    script: Script
    keys: tuple[str, ...]
    args: tuple[str | bytes | int, ...] = ()


def evalsha_commands(calls: Sequence[ScriptCall]) -> list[Command]:
    """Return the EVALSHA command of each call, for a server that knows the scripts."""
    return [("EVALSHA", one.script.digest, len(one.keys), *one.keys, *one.args) for one in calls]


def eval_commands(calls: Sequence[ScriptCall]) -> list[Command]:
    """Return the EVAL command of each call, with the script's text; the server keeps the script."""
    return [("EVAL", one.script.text, len(one.keys), *one.keys, *one.args) for one in calls]


@cache
def script(name: str) -> Script:
    """Load `lua/<name>.lua` with its included files. The result is cached.

    Raises:
        FileNotFoundError: There is no such file.
    """
    text = "\n".join(_expand_includes(_read_source(name)))
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def all_scripts() -> list[Script]:
    """Load every script, sorted by name."""
    return [script(name) for name in _names()]


@cache
def _names() -> list[str]:
    names = (entry.name.removesuffix(".lua") for entry in files(__package__).joinpath("lua").iterdir())
    return sorted(name for name in names if not name.startswith("_"))


@contextlib.contextmanager
def override_clock(lua: str | None) -> Iterator[None]:
    """Replace the clock of every script in this process within the block, so that tests move time instead of waiting.

    Blocks can be nested; the innermost one counts. A changed script has another digest, so a server that knows the
    real scripts does not confuse them.

    Args:
        lua: Lua source that defines `local function now_ms()`, in place of `lua/_clock.lua`. None restores the Redis
            server's own clock within an outer block.
    """
    outer = _clock_override
    _set_clock(lua)
    try:
        yield
    finally:
        _set_clock(outer)


def _set_clock(lua: str | None) -> None:
    global _clock_override  # noqa: PLW0603 - one clock for all scripts of a process
    _clock_override = lua
    script.cache_clear()


def _expand_includes(source: str) -> list[str]:
    lines: list[str] = []
    for line in source.splitlines():
        if line.startswith(_INCLUDE):
            for part in line.removeprefix(_INCLUDE).split():
                lines += _read_source(part).splitlines()
        else:
            lines.append(line)
    return lines


def _read_source(name: str) -> str:
    if name == _CLOCK and _clock_override is not None:
        return _clock_override
    return files(__package__).joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
