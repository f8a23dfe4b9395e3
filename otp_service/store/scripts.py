"""The Lua scripts, one file per transition with the files that it includes, and the calls of them.

`lua/<name>.lua` is a script; its header documents KEYS, ARGV, the reply and the invariant that it holds. A file with a
leading underscore holds only definitions: functions and constants, each beginning with `local` at the start of a line.
A script names such files in the line `--@include _clock _record`, and gets only those definitions that it uses, also
indirectly: the server makes all functions of a script each time it runs, and unused ones took 9 % of its time. Such a
line may also stand behind an end that a script nearly always takes, or in a block that is rarely entered.

`override_clock` is for tests: it replaces the clock of every script.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

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

_INCLUDE: Final = re.compile(r"^ *--@include (.*)\n", re.MULTILINE)
_DEFINITION: Final = re.compile(r"(?:(?!local ).*\n)*local .*\n(?:(?!local |--).*\n)*")
_DEFINED: Final = re.compile(r"^local (?:function )?([\w, ]+)", re.MULTILINE)
_NAME: Final = re.compile(r"[A-Za-z_]\w*")
_COMMENT: Final = re.compile(r"--.*")
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
    text = _expand_includes(_read_source(name))
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


def _expand_includes(source: str) -> str:
    """Return the source with definitions that it uses in place of each of its include lines."""
    while includes := list(_INCLUDE.finditer(source)):
        line = includes[-1]
        used = "".join(_used_definitions(line[1].split(), source))
        source = source[: line.start()] + used + source[line.end() :]
    return source


def _used_definitions(included: Sequence[str], source: str) -> list[str]:
    """Return those definitions of included files that the source uses, also indirectly, in their order."""
    definitions = [one for name in included for one in _definitions(_read_source(name))]
    used, names = [], set(_identifiers(source))
    for definition in reversed(definitions):  # one uses only those before it
        if not names.isdisjoint(definition.names):
            used.append(definition.text)
            names |= definition.identifiers
    return used[::-1]


class _Definition(NamedTuple):
    """`local function f(...)` or `local A, B = ...` with the comment above it, the names, and all words in it."""

    text: str
    names: frozenset[str]
    identifiers: frozenset[str]


@cache
def _definitions(text: str) -> list[_Definition]:
    found = []
    for definition in _DEFINITION.findall(text):
        [names] = _DEFINED.findall(definition)
        found.append(_Definition(definition, frozenset(_NAME.findall(names)), _identifiers(definition)))
    return found


def _identifiers(text: str) -> frozenset[str]:
    """Return all words outside comments: also those in strings, so at worst a definition is kept that is not used."""
    return frozenset(_NAME.findall(_COMMENT.sub("", text)))


@cache
def _read_file(name: str) -> str:
    return files(__package__).joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")


def _read_source(name: str) -> str:
    if name == _CLOCK and _clock_override is not None:
        return f"{_clock_override}\n"
    return _read_file(name)
