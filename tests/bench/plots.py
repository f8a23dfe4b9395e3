"""The figures as SVG: one file for each letter, a row for each line with its median, spread and target."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Final

from tests.bench.figures import Line, shown

__all__ = ["svg_of", "write_plots"]

WIDTH: Final = 960
LABELS: Final = 520
SCALE: Final = 340
ROW: Final = 24
STYLE: Final = "font: 12px sans-serif"


def write_plots(lines: Sequence[Line], folder: Path) -> None:
    """Write `<letter>.svg` for every letter that has values."""
    folder.mkdir(parents=True, exist_ok=True)
    for letter, found in groupby((line for line in lines if line.values), key=lambda line: line.name[0]):
        (folder / f"{letter}.svg").write_text(svg_of(list(found)), encoding="utf-8")


def svg_of(lines: Sequence[Line]) -> str:
    """Return a plot: each row has a scale of its own, from 0 to its largest value or target."""
    rows = "\n".join(_row(line, ROW * (number + 1)) for number, line in enumerate(lines))
    height = ROW * (len(lines) + 1)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" style="{STYLE}">\n{rows}\n</svg>\n'
    )


def _row(line: Line, y: int) -> str:
    target = line.at_most if line.at_most is not None else line.at_least
    largest = max(*line.values, target or 0.0, 1e-9)

    def x(value: float) -> float:
        return round(LABELS + SCALE * value / largest, 1)

    low, middle, high = x(min(line.values)), x(line.median), x(max(line.values))
    parts = [
        f'<text x="{LABELS - 8}" y="{y + 4}" text-anchor="end">{escape(line.text)}</text>',
        f'<line x1="{LABELS}" x2="{LABELS + SCALE}" y1="{y}" y2="{y}" stroke="#ddd"/>',
        f'<line x1="{low}" x2="{high}" y1="{y}" y2="{y}" stroke="#36c" stroke-width="3"/>',
        f'<circle cx="{middle}" cy="{y}" r="4" fill="#36c"/>',
        f'<text x="{LABELS + SCALE + 10}" y="{y + 4}">{shown(line.median)} {escape(line.unit)}</text>',
    ]
    if target:
        parts.append(f'<line x1="{x(target)}" x2="{x(target)}" y1="{y - 9}" y2="{y + 9}" stroke="#c33"/>')
    return "\n".join(parts)
