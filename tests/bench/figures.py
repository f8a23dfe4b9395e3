"""What the benchmark reports: values of several rounds, beside a target."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Figure", "Line", "Options", "quantile", "shown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to measure.

    Attributes:
        rounds: How often each value is measured.
        is_short: The form for every change: less of everything.
        letters: The figures that are measured in this run.
        peer: The binary that figure (i) is measured beside.
    """

    rounds: int
    is_short: bool
    letters: str
    peer: Path | None = None

    def seconds(self, long: float, short: float) -> float:
        """Return one of two durations."""
        return short if self.is_short else long


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One figure, with a value for each round; without a value, `text` says why.

    Attributes:
        name: Identifies it in the JSON output and in the baseline; it begins with the letter of its figure.
        text: What it is.
        values: One for each round.
        unit: Its unit; empty for a ratio.
        at_most: The target, if less is better.
        at_least: The target, if more is better.
    """

    name: str
    text: str
    values: tuple[float, ...] = ()
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.values)

    @property
    def is_met(self) -> bool | None:
        """Whether the median meets the target; None without a target or a value."""
        if not self.values:
            return None
        if self.at_most is not None:
            return self.median <= self.at_most
        return None if self.at_least is None else self.median >= self.at_least

    def __str__(self) -> str:
        if not self.values:
            return f"   {self.text}"
        spread = f"({shown(min(self.values))} to {shown(max(self.values))} of {len(self.values)})"
        text = f"   {self.text:<66} {shown(self.median):>7} {self.unit:<5} {spread:<26}"
        return (text + self._target()).rstrip()

    def _target(self) -> str:
        if self.is_met is None:
            return ""
        wanted = f"at most {self.at_most:g}" if self.at_most is not None else f"at least {self.at_least:g}"
        return f"{wanted}: {'met' if self.is_met else 'MISSED'}"

    def as_json(self) -> dict[str, Any]:
        """Return it for `--json`."""
        ends = {"median": self.median, "min": min(self.values), "max": max(self.values)} if self.values else {}
        target = {"at_most": self.at_most, "at_least": self.at_least, "met": self.is_met}
        return {"name": self.name, "text": self.text, "unit": self.unit, "values": self.values, **ends, **target}


@dataclass(frozen=True, slots=True)
class Figure:
    """A group of lines that are measured together."""

    letter: str
    title: str
    measure: Callable[[Options], Iterator[Line]] = field(repr=False)


def shown(value: float) -> str:
    """Write a value with about three digits."""
    magnitude = abs(value)
    return f"{value:.0f}" if magnitude >= 100 else f"{value:.1f}" if magnitude >= 10 else f"{value:.3g}"


def quantile(values: Iterable[float], share: float) -> float:
    """Return a quantile: the smallest value that at least `share` of all are not above."""
    ordered: Sequence[float] = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
