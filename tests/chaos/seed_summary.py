"""A line for each seed, and all of them together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from tests.chaos.invariants import DENIED, Verdict
from tests.chaos.scenario_run import Found

__all__ = ["line", "table"]

UNTOLD: Final = "NOT TOLD WHY"


def line(verdict: Verdict, found: Found) -> str:
    """Write a seed's line, and under it what was broken."""
    helped = Counter({cause: count for cause, count in verdict.doubled.items() if cause != DENIED})
    parts = [
        f"seed {verdict.seed:>3}",
        f"{verdict.accepted} accepted, of them repeated {_repeated(verdict)}{_named(verdict.never, 'never ')}",
        f"{verdict.texts} texts",
        f"doubled {helped.total()}{_named(helped)}",
        f"denied {verdict.doubled[DENIED]}",
        f"without a text {verdict.textless.total()}{_named(verdict.textless)}",
        _killed(found),
        f"{found.seconds:.1f} s, late by {found.lag_ms:.0f} ms",
        "BROKEN" if verdict.breaches else "ok",
    ]
    return "\n".join([" | ".join(parts), *(f"    {breach}" for breach in verdict.breaches)])


def table(verdicts: Sequence[Verdict], seconds: float) -> str:
    """Write what all seeds have shown."""
    return "\n".join(f"{name:<32}{figure}" for name, figure in _rows(verdicts, seconds))


def _rows(verdicts: Sequence[Verdict], seconds: float) -> Iterator[tuple[str, str]]:
    never, repeated, doubled, textless = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for verdict in verdicts:
        never += verdict.never
        repeated += verdict.repeated
        doubled += verdict.doubled
        textless += verdict.textless
    broken = [str(verdict.seed) for verdict in verdicts if verdict.breaches]
    yield "seeds", f"{len(verdicts)} in {seconds:.0f} s"
    yield "accepted", str(sum(verdict.accepted for verdict in verdicts))
    yield from _counts("  of them repeated", repeated)
    yield "  of the lost, had begun", str(sum(verdict.begun for verdict in verdicts))
    yield from _counts("never accepted", never)
    yield "texts", str(sum(verdict.texts for verdict in verdicts))
    yield from _counts("doubled", doubled)
    yield from _counts("without a text", textless)
    yield "broken", f"{len(broken)} ({', '.join(broken)})" if broken else "none"


def _counts(what: str, counts: Counter[str]) -> Iterator[tuple[str, str]]:
    yield what, str(counts.total())
    for name, count in counts.most_common():
        yield f"    {name or UNTOLD}", str(count)


def _named(counts: Counter[str], before: str = "", after: str = "") -> str:
    named = ", ".join(f"{name or UNTOLD} {count}" for name, count in counts.most_common())
    return f" ({before}{named}{after})" if named else ""


def _repeated(verdict: Verdict) -> str:
    begun = f", {verdict.begun} had begun" if verdict.begun else ""
    return f"{verdict.repeated.total()}{_named(verdict.repeated, after=begun)}"


def _killed(found: Found) -> str:
    plan = found.plan
    twice = "" if plan.again_seconds is None else ", twice"
    night = "" if plan.night_event is None else f", night from {plan.night_event}"
    return f"killed {len(plan.killed)} of {plan.replicas} with {found.in_flight} in flight{twice}{night}"
