"""Print a summary of each seed, and of all seeds together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from tests.chaos.invariants import DENIED, Report
from tests.chaos.scenario_run import Observations

__all__ = ["summary_line", "summary_table"]

NO_CAUSE: Final = "NO CAUSE RECORDED"


def summary_line(report: Report, observations: Observations) -> str:
    """Return the summary line of a seed, followed by the violated invariants."""
    explained = Counter({cause: count for cause, count in report.duplicates.items() if cause != DENIED})
    parts = [
        f"seed {report.seed:>3}",
        f"{report.accepted} accepted, of them on retry {_repeated(report)}{_named(report.never_accepted, 'never: ')}",
        f"{report.messages} messages",
        f"duplicates {explained.total()}{_named(explained)}",
        f"denied {report.duplicates[DENIED]}",
        f"without a message {report.unsent.total()}{_named(report.unsent)}",
        _killed(observations),
        f"{observations.seconds:.1f} s, lag {observations.lag_ms:.0f} ms",
        "VIOLATED" if report.violations else "ok",
    ]
    return "\n".join([" | ".join(parts), *(f"    {violation}" for violation in report.violations)])


def summary_table(reports: Sequence[Report], seconds: float) -> str:
    """Return the totals of all seeds."""
    return "\n".join(f"{name:<40}{value}" for name, value in _rows(reports, seconds))


def _rows(reports: Sequence[Report], seconds: float) -> Iterator[tuple[str, str]]:
    never_accepted, accepted_on_retry = Counter[str](), Counter[str]()
    duplicates, unsent = Counter[str](), Counter[str]()
    for report in reports:
        never_accepted += report.never_accepted
        accepted_on_retry += report.accepted_on_retry
        duplicates += report.duplicates
        unsent += report.unsent
    violated = [str(report.seed) for report in reports if report.violations]
    yield "seeds", f"{len(reports)} in {seconds:.0f} s"
    yield "accepted", str(sum(report.accepted for report in reports))
    yield from _counts("  of them on retry", accepted_on_retry)
    yield "  of the lost, started before the kill", str(sum(report.started_before_kill for report in reports))
    yield from _counts("never accepted", never_accepted)
    yield "messages", str(sum(report.messages for report in reports))
    yield from _counts("duplicates", duplicates)
    yield from _counts("without a message", unsent)
    yield "violated", f"{len(violated)} ({', '.join(violated)})" if violated else "none"


def _counts(title: str, counts: Counter[str]) -> Iterator[tuple[str, str]]:
    yield title, str(counts.total())
    for name, count in counts.most_common():
        yield f"    {name or NO_CAUSE}", str(count)


def _named(counts: Counter[str], before: str = "", after: str = "") -> str:
    named = ", ".join(f"{name or NO_CAUSE} {count}" for name, count in counts.most_common())
    return f" ({before}{named}{after})" if named else ""


def _repeated(report: Report) -> str:
    started_before_kill = (
        f", {report.started_before_kill} started before the kill" if report.started_before_kill else ""
    )
    return f"{report.accepted_on_retry.total()}{_named(report.accepted_on_retry, after=started_before_kill)}"


def _killed(observations: Observations) -> str:
    scenario = observations.scenario
    second_kill = "" if scenario.second_kill_seconds is None else ", twice"
    total_outage = "" if scenario.total_outage_event is None else f", total outage from {scenario.total_outage_event}"
    killed = f"killed {len(scenario.killed)} of {scenario.replicas} with {observations.in_flight} in flight"
    return killed + second_kill + total_outage
