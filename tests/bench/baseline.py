"""Compare the ratios of a run with the committed ones: none may be worse by more than a third."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from tests.bench.figures import Line

__all__ = ["BASELINE", "Committed", "read_baseline", "worse_lines", "write_baseline"]

BASELINE: Final = Path(__file__).with_name("baseline.toml")
ALLOWED: Final = 1 / 3


@dataclass(frozen=True, slots=True)
class Committed:
    """A committed ratio, and which side of it is better."""

    ratio: float
    better: Literal["higher", "lower"]

    def is_worse(self, measured: float) -> bool:
        """Whether a measured ratio is worse by more than a third (if less is better: its inverse is)."""
        gain = measured / self.ratio if self.better == "higher" else self.ratio / measured
        return gain < 1 - ALLOWED


def read_baseline(path: Path = BASELINE) -> dict[str, Committed]:
    """Return the committed ratios by the names of their lines."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    return {name: Committed(float(table["ratio"]), table["better"]) for name, table in tables.items()}


def worse_lines(lines: Iterable[Line], baseline: Mapping[str, Committed]) -> list[str]:
    """Return the names of the lines whose median is worse than the baseline by more than a third."""
    return [line.name for line in lines if line.name in baseline and baseline[line.name].is_worse(line.median)]


def write_baseline(lines: Iterable[Line], path: Path = BASELINE) -> None:
    """Replace the ratios of the measured lines; everything else in the file stays."""
    text = path.read_text(encoding="utf-8")
    for line in lines:
        table = re.escape(f'["{line.name}"]')
        text = re.sub(rf"(?m)(^{table}\nratio = ).*$", rf"\g<1>{line.median:.3g}", text)
    path.write_text(text, encoding="utf-8")
