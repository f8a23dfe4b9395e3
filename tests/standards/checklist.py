"""The checklist of standards as values, and as a Markdown table: `python -m tests.standards.checklist`."""

from __future__ import annotations

import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

__all__ = ["LINES", "Line", "read_checklist", "table"]

LINES = 36
"""How many lines the checklist has."""
FILE = Path(__file__).with_name("checklist.toml")


@dataclass(frozen=True, slots=True)
class Line:
    """One demand, its source, the ids of the tests that hold it, and what the service does instead ("" for nothing)."""

    number: int
    demand: str
    source: str
    tests: tuple[str, ...]
    decision: str = ""


def read_checklist() -> tuple[Line, ...]:
    """Read all lines, in their order in the file."""
    document = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return tuple(Line(**entry | {"tests": tuple(entry["tests"])}) for entry in document["line"])


def table(lines: tuple[Line, ...]) -> str:
    """Return the lines as a Markdown table."""
    rows = ["| | demand | source | tests and decisions |", "|---|---|---|---|"]
    for line in lines:
        held = [f"`{test}`" for test in line.tests] + ([line.decision] if line.decision else [])
        rows.append(f"| {line.number} | {line.demand} | {line.source} | {'<br>'.join(held)} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table(read_checklist()))
