"""Every source file has a unique name and is short, and so is every function."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.architecture.source_names import ROOT, parsed, python_files

MAX_FILE_LINES: Final = 300
MAX_FUNCTION_LINES: Final = 50
PARALLEL: Final = ("otp_service/providers/*/*.py", "otp_service/sandbox/simulators/*.py")
"""Parallel packages, whose files may share names."""

SHARED_NAMES: Final = frozenset({"__init__.py", "__main__.py", "conftest.py"})
"""File names with a meaning to Python or pytest."""


def same_names(paths: Iterable[Path]) -> dict[str, list[str]]:
    """Return each file name that several files share, except names that may be shared."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for path in paths:
        if path.name not in SHARED_NAMES and not any(path.match(pattern) for pattern in PARALLEL):
            places[path.name].append(str(path))
    return {name: found for name, found in places.items() if len(found) > 1}


def long_functions(source: str) -> Iterator[str]:
    """Yield the functions of more than 50 lines, without their decorators."""
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            lines = node.end_lineno - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield f"{node.name}: {lines} lines"


def sources() -> Iterator[tuple[Path, str]]:
    """Yield every Python file with its text."""
    for path in python_files():
        yield path, (ROOT / path).read_text(encoding="utf-8")


def test_no_two_files_share_a_name() -> None:
    """A file name identifies one file, except in parallel packages."""
    assert same_names(python_files()) == {}


def test_files_are_short() -> None:
    """No file has more than 300 lines."""
    assert [str(path) for path, source in sources() if len(source.splitlines()) > MAX_FILE_LINES] == []


def test_functions_are_short() -> None:
    """No function has more than 50 lines."""
    assert [f"{path}: {found}" for path, source in sources() for found in long_functions(source)] == []


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (("otp_service/api/wire.py", "otp_service/store/wire.py"), ["wire.py"]),
        (("otp_service/store/lockouts.py", "tests/store/lockouts.py"), ["lockouts.py"]),
        (("otp_service/providers/wire.py", "otp_service/server/wire.py"), ["wire.py"]),
        (("otp_service/providers/eims/wire.py", "otp_service/providers/smshub/wire.py"), []),
        (("otp_service/sandbox/simulators/eims.py", "otp_service/delivery/eims.py"), []),
        (("otp_service/__init__.py", "tests/__init__.py"), []),
        (("tests/api/conftest.py", "tests/store/conftest.py"), []),
    ],
)
def test_a_shared_name_is_found(paths: tuple[str, ...], expected: list[str]) -> None:
    """Two files with one name are found in any two folders, except in parallel packages and for special names."""
    assert list(same_names(map(Path, paths))) == expected


@pytest.mark.parametrize(("lines", "found"), [(50, False), (51, True)])
@pytest.mark.parametrize("define", ["def f():\n", "class C:\n    async def f(self):\n    "])
def test_a_long_function_is_found(define: str, lines: int, found: bool) -> None:
    """50 lines including the `def` are allowed, for functions and for methods."""
    body = "\n".join(["        pass"] * (lines - 1))
    indented = define if define.startswith("def") else define.removesuffix("    ")
    assert bool(list(long_functions(indented + body))) is found
