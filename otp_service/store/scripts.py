"""The Lua files, read once, with what they include put in front, and the digest by which the server knows each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

__all__ = ["Script", "all_scripts", "script"]

_INCLUDE = "--@include "


@dataclass(frozen=True, slots=True)
class Script:
    """One transition: its name, its whole text and the SHA-1 that EVALSHA wants."""

    name: str
    text: str
    digest: str


@cache
def script(name: str) -> Script:
    """Read `lua/<name>.lua`; the line `--@include a b` puts `a.lua` and `b.lua` in its place."""
    text = "\n".join(_expanded(_source(name)))
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def all_scripts() -> list[Script]:
    """Read every transition there is; files with a leading `_` are parts of them."""
    names = (entry.name.removesuffix(".lua") for entry in files(__package__).joinpath("lua").iterdir())
    return [script(name) for name in sorted(names) if not name.startswith("_")]


def _expanded(source: str) -> list[str]:
    lines: list[str] = []
    for line in source.splitlines():
        if line.startswith(_INCLUDE):
            for part in line.removeprefix(_INCLUDE).split():
                lines += _source(part).splitlines()
        else:
            lines.append(line)
    return lines


def _source(name: str) -> str:
    return files(__package__).joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
