"""The checklist of standards is complete: each line has tests that exist and run, or a decision that says why not."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.standards.checklist import LINES, Line, read_checklist, table

ROOT = Path(__file__).parents[2]
SKIPPING = {"skip", "skipif", "xfail"}


def decorators(function: ast.AST) -> set[str]:
    """Return the last names of the decorators of a function, such as `skipif` of `@pytest.mark.skipif(...)`."""
    found = getattr(function, "decorator_list", [])
    called = (one.func if isinstance(one, ast.Call) else one for one in found)
    return {one.attr for one in called if isinstance(one, ast.Attribute)}


def asserts(function: ast.AST) -> bool:
    """Return whether a test can fail: it asserts, expects an exception, or calls a function that is named for that."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        called = node.func if isinstance(node, ast.Call) else None
        name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
        if name.startswith(("assert", "check", "raises", "expect")):
            return True
    return False


def find_test(test_id: str) -> ast.AST | None:
    """Return the function of a test id (`path::name`), or None."""
    path, _, name = test_id.partition("::")
    if not (ROOT / path).is_file():
        return None
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return next((node for node in functions if node.name == name), None)


def test_every_line_is_there_once() -> None:
    """The numbers are 1 to 36, in order."""
    assert [line.number for line in read_checklist()] == list(range(1, LINES + 1))


@pytest.mark.parametrize("line", read_checklist(), ids=lambda line: str(line.number))
def test_line(line: Line) -> None:
    """It names tests or a decision; each test exists, can fail, and is skipped nowhere."""
    assert line.tests or line.decision
    assert line.demand and line.source
    for test_id in line.tests:
        function = find_test(test_id)
        assert function is not None, f"{test_id} does not exist"
        assert asserts(function), f"{test_id} asserts nothing"
        assert not decorators(function) & SKIPPING, f"{test_id} may be skipped"


def test_a_missing_test_is_noticed() -> None:
    """A test that was renamed, a file that was moved, and a function without an assertion are found."""
    assert find_test("tests/standards/test_checklist.py::test_renamed") is None
    assert find_test("tests/standards/moved.py::test_line") is None
    assert not asserts(ast.parse("def test_nothing():\n    print(1)"))


def test_the_table_has_a_row_for_each_line() -> None:
    """The Markdown table has a heading and one row of four columns for each line."""
    rows = table(read_checklist()).splitlines()

    assert len(rows) == LINES + 2
    assert all(row.count(" | ") >= 3 for row in rows[2:])
