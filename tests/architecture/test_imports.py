"""Rules about imports that import contracts cannot express."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.architecture.source_names import ROOT, lua_files, parsed, python_files

PROJECT: Final = frozenset({"otp_service", "tests"})
NOT_FOR_TESTS: Final = frozenset({"unittest", "mock", "fakeredis"})
"""Tests use the real server and the simulators, because a fake does not show races."""


def imported(source: str) -> Iterator[tuple[int, str, str]]:
    """Yield the line, the module and the name of each import; the name is empty for `import module`."""
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, node.module or "", alias.name) for alias in node.names)


def bad_imports(path: Path, source: str) -> Iterator[str]:
    """Yield each import of a conftest, of another module's private name, of the tests, of a fake or of `binascii`."""
    for line, module, name in imported(source):
        top, last = module.partition(".")[0], module.rpartition(".")[2]
        if "conftest" in {last, name}:
            yield f"{path}:{line}: move `{name or module}` from the conftest to a helper module"
        if top in PROJECT and name.startswith("_") and not name.startswith("__"):
            yield f"{path}:{line}: `{name}` is private to `{module}`"
        if top == "tests" and path.parts[0] == "otp_service":
            yield f"{path}:{line}: the package does not import its tests"
        if top in NOT_FOR_TESTS:
            yield f"{path}:{line}: use a real server or a simulator, not `{top}`"
        if top == "binascii" and path.parts[0] == "otp_service":
            yield f"{path}:{line}: catch ValueError: base64 raises it itself for text that is not ASCII"


def unused_scripts(scripts: list[Path], sources: str) -> list[str]:
    """Return the Lua scripts that no Python source names; a leading underscore marks a part of other scripts."""
    return [str(path) for path in scripts if not path.stem.startswith("_") and f'"{path.stem}"' not in sources]


def test_imports_follow_the_rules() -> None:
    """No module imports a conftest, a private name of another module, a fake, or from the package its tests."""
    sources = ((path, (ROOT / path).read_text(encoding="utf-8")) for path in python_files())
    wrong = [found for path, source in sources for found in bad_imports(path, source)]
    assert not wrong, "\n".join(wrong)


def test_every_lua_script_is_called() -> None:
    """Each Lua script is loaded by its name in `otp_service.store`."""
    sources = "".join(
        (ROOT / path).read_text(encoding="utf-8") for path in python_files() if path.match("otp_service/store/*.py")
    )
    assert unused_scripts(lua_files(), sources) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("tests/api/test_a.py", "from tests.api.conftest import hashes"),
        ("tests/api/test_a.py", "from .conftest import hashes"),
        ("tests/api/test_a.py", "from tests.api import conftest"),
        ("tests/api/test_a.py", "import tests.conftest as shared"),
        ("tests/api/test_a.py", "def late():\n    from tests.conftest import server"),
        ("tests/api/test_a.py", "from otp_service.store.scripts import _source"),
        ("otp_service/api/app.py", "from otp_service.api.auth import _scope"),
        ("otp_service/api/app.py", "from tests.running_service import NUMBER"),
        ("tests/api/test_a.py", "from unittest.mock import patch"),
        ("tests/api/test_a.py", "import fakeredis.aioredis"),
        ("otp_service/api/app.py", "import binascii"),
    ],
)
def test_a_bad_import_is_found(path: str, source: str) -> None:
    """Each rule finds its violation, in every form of an import."""
    assert len(list(bad_imports(Path(path), source))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import pytest",
        "from tests.conftest_helpers import server",
        "from uvicorn._types import Scope",
        "from otp_service import __version__",
        "from tests.running_service import NUMBER",
    ],
)
def test_a_good_import_is_accepted(source: str) -> None:
    """Libraries may be imported as they are, and helper modules of the tests by tests."""
    assert list(bad_imports(Path("tests/api/test_a.py"), source)) == []


def test_an_unused_script_is_found() -> None:
    """A script without a caller is listed; a part of other scripts is not."""
    scripts = [Path("store/lua/start.lua"), Path("store/lua/old.lua"), Path("store/lua/_record.lua")]
    assert unused_scripts(scripts, 'script("start")') == ["store/lua/old.lua"]
