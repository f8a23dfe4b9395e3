"""What holds for every source file: its name is its own, it is short, and no test imports from a conftest."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.architecture.source_names import ROOT, python_files

MAX_FILE_LINES: Final = 300
MAX_FUNCTION_LINES: Final = 50
PARALLEL: Final = ("otp_service/providers/*/*.py", "otp_service/sandbox/simulators/*.py")
"""Packages that play the same part beside each other: their files may share names."""

SHARED_NAMES: Final = frozenset({"__init__.py", "__main__.py", "conftest.py"})
"""Names that Python and pytest look for."""


def same_names(paths: Iterable[Path]) -> dict[str, list[str]]:
    """Return the file names that several files have, but for those that may."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for path in paths:
        if path.name not in SHARED_NAMES and not any(path.match(pattern) for pattern in PARALLEL):
            places[path.name].append(str(path))
    return {name: found for name, found in places.items() if len(found) > 1}


def conftest_imports(source: str) -> Iterator[int]:
    """Yield the lines that import a conftest, or from one."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        modules = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            modules.append(node.module or "")
        if any(module.rpartition(".")[2] == "conftest" for module in modules):
            yield node.lineno


def long_functions(source: str) -> Iterator[str]:
    """Yield the functions of more than 50 lines, decorators left out."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            lines = node.end_lineno - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield f"{node.name}: {lines} lines"


def sources() -> Iterator[tuple[Path, str]]:
    """Yield every Python file with its text."""
    for path in python_files():
        yield path, (ROOT / path).read_text(encoding="utf-8")


def test_no_two_files_share_a_name() -> None:
    """A file name leads to one file, but for packages that play the same part."""
    assert same_names(python_files()) == {}


def test_no_test_imports_a_conftest() -> None:
    """What tests share stands in modules with names; a conftest has fixtures and hooks only."""
    assert [f"{path}:{line}" for path, source in sources() for line in conftest_imports(source)] == []


def test_files_are_short() -> None:
    """A file of more than 300 lines is two ideas."""
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
    """Two files of one name are found wherever they are, but for parallel packages and names with a meaning."""
    assert list(same_names(map(Path, paths))) == expected


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from tests.api.conftest import hashes", True),
        ("from .conftest import hashes", True),
        ("from tests.api import conftest", True),
        ("import tests.conftest as shared", True),
        ("def late():\n    from tests.conftest import server", True),
        ("import pytest", False),
        ("from tests.conftest_helpers import server", False),
    ],
)
def test_an_import_of_a_conftest_is_found(source: str, found: bool) -> None:
    """In every form that an import has."""
    assert bool(list(conftest_imports(source))) is found


@pytest.mark.parametrize(("lines", "found"), [(50, False), (51, True)])
@pytest.mark.parametrize("define", ["def f():\n", "class C:\n    async def f(self):\n    "])
def test_a_long_function_is_found(define: str, lines: int, found: bool) -> None:
    """50 lines with the one that names it are allowed, decorators not counted; methods count as functions do."""
    body = "\n".join(["        pass"] * (lines - 1))
    indented = define if define.startswith("def") else define.removesuffix("    ")
    assert bool(list(long_functions(indented + body))) is found
