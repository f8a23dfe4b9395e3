"""The names that source files define, read from their syntax trees; and the words of a name."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("otp_service", "tests")


class DefinedName(NamedTuple):
    """A name and the line that defines it; line 0 is the name of the file."""

    name: str
    line: int


def python_files() -> list[Path]:
    """Return the Python files of the package and of its tests, relative to the root of the repository."""
    return sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def lua_files() -> list[Path]:
    """Return the Lua scripts, relative to the root of the repository."""
    return sorted(path.relative_to(ROOT) for path in (ROOT / "otp_service").rglob("*.lua"))


@functools.cache
def parsed(source: str) -> ast.Module:
    """Return the syntax tree of a source file: several checks read each file."""
    return ast.parse(source)


def defined_names(source: str) -> Iterator[DefinedName]:
    """Yield the classes, functions, arguments, variables, attributes and aliases that a module defines."""
    for node in ast.walk(parsed(source)):
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                yield DefinedName(node.name, node.lineno)
            case ast.arg():
                yield DefinedName(node.arg, node.lineno)
            case ast.Name(ctx=ast.Store()):
                yield DefinedName(node.id, node.lineno)
            case ast.Attribute(ctx=ast.Store()):
                yield DefinedName(node.attr, node.lineno)
            case ast.alias(asname=str(name)):
                yield DefinedName(name, getattr(node, "lineno", 0))
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                yield DefinedName(name, node.lineno)


def words_of(name: str) -> list[str]:
    """Split a name into its words, in lower case: `_WrongCode`, `wrong_code` and `WRONG_CODE` have the same two."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]


def replacement(name: str, words: Mapping[str, str], names: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the first forbidden word in a name and its replacement, or None if the name is allowed."""
    whole = name.lstrip("_")
    if whole in names:
        return whole, names[whole]
    spelled = f"_{'_'.join(words_of(name))}_"
    return next(((word, instead) for word, instead in words.items() if f"_{word}_" in spelled), None)
