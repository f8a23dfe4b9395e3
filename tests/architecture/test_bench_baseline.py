"""`python -m tests.bench --short` fails when a ratio is worse than the committed one by more than a third."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import __main__ as bench
from tests.bench.baseline import BASELINE, Committed, read_baseline, worse_lines, write_baseline
from tests.bench.figures import Figure, Line, Options
from tests.bench.plots import svg_of

SHORT = Options(rounds=1, is_short=True, letters="a")


def line(name: str, *values: float) -> Line:
    """Return a line without a target."""
    return Line(name=name, text="a figure", values=values)


@pytest.mark.parametrize(
    ("better", "measured", "is_worse"),
    [
        ("higher", 0.9, False),
        ("higher", 0.61, False),
        ("higher", 0.59, True),
        ("higher", 2.0, False),
        ("lower", 0.5, False),
        ("lower", 1.34, False),
        ("lower", 1.36, True),
    ],
)
def test_a_third_worse_is_found(better: str, measured: float, is_worse: bool) -> None:
    """A ratio of 0.9 may fall to 0.6; if less is better, it may rise to 1.35. The median of the rounds counts."""
    baseline = {"a.x": Committed(0.9, "higher" if better == "higher" else "lower")}
    assert worse_lines([line("a.x", 0.01, measured, 100.0), line("a.other", 0.0)], baseline) == ["a.x"] * is_worse


@pytest.mark.parametrize(("second", "failed"), [(0.5, ["a.one_worker"]), (0.9, [])])
def test_a_ratio_fails_only_twice(monkeypatch: pytest.MonkeyPatch, second: float, failed: list[str]) -> None:
    """The figure of a ratio that fell is measured again before it counts."""
    figure = Figure("a", "again", lambda _: iter([line("a.one_worker", second)]))
    monkeypatch.setitem(bench.FIGURES, "a", figure)
    assert bench.fallen([line("a.one_worker", 0.5)], SHORT) == failed


def test_the_short_form_exits_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ratio that fell in both measurements is the exit status."""
    monkeypatch.setitem(bench.FIGURES, "a", Figure("a", "fell", lambda _: iter([line("a.one_worker", 0.5)])))
    assert bench.main(["--short", "a"]) == 1
    monkeypatch.setitem(bench.FIGURES, "a", Figure("a", "holds", lambda _: iter([line("a.one_worker", 0.9)])))
    assert bench.main(["--short", "a"]) == 0


def test_each_committed_ratio_says_what_it_is() -> None:
    """The baseline has a reason beside each ratio, and names figures of the short form only."""
    assert BASELINE.read_text(encoding="utf-8").count("\nwhy = ") == len(read_baseline())
    assert {name[0] for name in read_baseline()} <= set(bench.SHORT)


def test_a_new_baseline_changes_only_ratios(tmp_path: Path) -> None:
    """Writing a measured ratio leaves all other lines of the file as they are."""
    path = tmp_path / "baseline.toml"
    path.write_text(BASELINE.read_text(encoding="utf-8"), encoding="utf-8")
    write_baseline([line("a.one_worker", 0.5)], path)
    assert read_baseline(path) == {**read_baseline(), "a.one_worker": Committed(0.5, "higher")}


def test_a_plot_shows_the_median_and_the_target() -> None:
    """A row has the text, the median and a mark at the target."""
    found = Line(name="d.p99", text="p99 <of all>", values=(1.0, 2.0, 9.0), unit="ms", at_most=4.0)
    assert (
        "p99 &lt;of all&gt;" in svg_of([found]) and ">2 ms<" in svg_of([found]) and svg_of([found]).count("#c33") == 1
    )
