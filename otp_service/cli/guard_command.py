"""`guard`: what the guard against SMS pumping has counted and decided, and opening or closing a breaker by hand."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from otp_service.bootstrap.guard_setup import build_guard_admin
from otp_service.cli.options import config_option, fail, load_settings, use_store
from otp_service.cli.tables import align
from otp_service.domain.guard import GuardFinding, RecordedDecision
from otp_service.domain.guard_counts import Counts
from otp_service.domain.guard_report import KEPT_HOURS, MAX_DECISIONS, BreakerReport, GuardReport, ScopeReport
from otp_service.observability.audit import CLI
from otp_service.providers.config_parsing import quoted
from otp_service.service.guard_admin import GuardAdmin
from otp_service.settings import Settings

__all__ = ["guard"]

MS_PER_HOUR = 3_600_000
T = TypeVar("T")

_SCOPES_HEADER = ("SCOPE", "SENT", "VERIFIED", "CONVERSION", "KNOWN SENT", "KNOWN VERIFIED", "BREAKER")
_DECISIONS_HEADER = ("LAST AT", "COUNT", "MODE", "TENANT", "COUNTRY", "AREA", "FOUND")


@click.command()
@config_option
@click.option("--hours", type=click.IntRange(1, KEPT_HOURS), default=24, show_default=True, help="Counts of how long.")
@click.option("--country", metavar="ID", help="Show the hours and areas of this country, or `all`.")
@click.option(
    "--decisions",
    type=click.IntRange(0, MAX_DECISIONS),
    default=20,
    show_default=True,
    help="How many of the newest decisions.",
)
@click.option("--open", "opened", metavar="ID", help="Open the breaker of this country, or `all`: only probes pass.")
@click.option(
    "--seconds",
    type=click.IntRange(60, 86_400),
    help="For how long `--open` opens; default: [guard.breaker] open_seconds.",
)
@click.option("--close", metavar="ID", help="Close the breaker of this country, or `all`, and reset its counts.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def guard(
    *,
    config: str | None,
    hours: int,
    country: str | None,
    decisions: int,
    opened: str | None,
    seconds: int | None,
    close: str | None,
    as_json: bool,
) -> None:
    """Show what the guard has counted and decided, or open or close a breaker.

    Messages to numbers that have verified a code before (KNOWN) are counted apart. Opening and closing write an audit
    line to standard error.
    """
    settings = load_settings(config)
    if opened is not None:
        _open(settings, _scope(opened, "--open"), seconds)
        return
    if close is not None:
        _close(settings, _scope(close, "--close"))
        return
    report = _read(settings, _scope(country, "--country") if country else None, hours, decisions)
    if as_json:
        click.echo(json.dumps(_as_json(report), indent=1))
        return
    click.echo(_scopes_table(report))
    if country:
        click.echo(_details(report))
    if report.decisions:
        click.echo("\n" + align([_DECISIONS_HEADER, *map(_decision_cells, report.decisions)]))


def _read(settings: Settings, scope: str | None, hours: int, decisions: int) -> GuardReport:
    if scope is None:
        return _use_guard(settings, lambda admin: admin.overview(hours=hours, decisions=decisions))
    return _use_guard(settings, lambda admin: admin.scope(scope, hours=hours, decisions=decisions))


def _open(settings: Settings, scope: str, seconds: int | None) -> None:
    until_ms = _use_guard(settings, lambda admin: admin.open_breaker(scope, seconds, actor=CLI))
    click.echo(f"{scope}: open until {_time(until_ms)}")


def _close(settings: Settings, scope: str) -> None:
    changed = _use_guard(settings, lambda admin: admin.close_breaker(scope, actor=CLI))
    click.echo(f"{scope}: {'closed' if changed else 'there was nothing to close'}")


def _use_guard(settings: Settings, use: Callable[[GuardAdmin], Awaitable[T]]) -> T:
    """Run `use` with the guard of the configured store."""
    return use_store(settings, lambda topology: use(build_guard_admin(settings, topology)))


def _scope(text: str, option: str) -> str:
    scope = GuardAdmin.parse_scope(text)
    if scope is None:
        fail(f"{option}: {quoted(text)} is not a country; allowed: an ISO 3166 alpha-2 code, such as ID, or all")
    return scope


def _scopes_table(report: GuardReport) -> str:
    rows = [(name, *_cells(*scope.total), _breaker(scope)) for name, scope in report.scopes.items()]
    return align([_SCOPES_HEADER, *rows]) if rows else "Nothing was counted. Is [guard] mode off?"


def _details(report: GuardReport) -> str:
    tables = []
    for scope in report.scopes.values():
        hours = [(f"{_time(hour * MS_PER_HOUR)}", *_cells(*counts)) for hour, counts in scope.hours.items()]
        areas = [(area, *_cells(*counts)) for area, counts in sorted(scope.areas.items())]
        tables += [align([("HOUR", *_SCOPES_HEADER[1:-1]), *hours]), align([("AREA", *_SCOPES_HEADER[1:-1]), *areas])]
    return "".join(f"\n{table}\n" for table in tables)


def _cells(new: Counts, known: Counts) -> tuple[str, ...]:
    total = new.plus(known)
    conversion = f"{total.verified / total.sent:.1%}" if total.sent else "-"
    return (str(total.sent), str(total.verified), conversion, str(known.sent), str(known.verified))


def _breaker(scope: ScopeReport) -> str:
    observed = scope.observed_breaker
    return _breaker_state(scope.breaker) + (f"; observed: {_breaker_state(observed)}" if observed.open_until_ms else "")


def _breaker_state(breaker: BreakerReport) -> str:
    if not breaker.open_until_ms:
        return "closed"
    why, probes = f" by {breaker.reason}" if breaker.reason else "", breaker.probes
    return f"open until {_time(breaker.open_until_ms)}{why}, {probes.verified} of {probes.sent} probes verified"


def _decision_cells(recorded: RecordedDecision) -> tuple[str, ...]:
    one = recorded.decision
    found = "; ".join(map(_finding, one.findings))
    return (_time(one.at_ms), str(recorded.count), one.mode.value, one.tenant, one.country, one.area, found)


def _finding(finding: GuardFinding) -> str:
    figures = ", ".join(f"{name} {figure:g}" for name, figure in finding.figures.items())
    return f"{finding.rule.value} of {finding.level} ({figures})"


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _as_json(report: GuardReport) -> dict[str, Any]:
    return {
        "scopes": {name: _scope_json(scope) for name, scope in report.scopes.items()},
        "decisions": [_decision_json(one) for one in report.decisions],
    }


def _scope_json(scope: ScopeReport) -> dict[str, Any]:
    return {
        "breaker": _breaker_json(scope.breaker),
        "observed_breaker": _breaker_json(scope.observed_breaker),
        "hours": {_time(hour * MS_PER_HOUR): _counts_json(counts) for hour, counts in scope.hours.items()},
        "areas": {area: _counts_json(counts) for area, counts in scope.areas.items()},
    }


def _breaker_json(breaker: BreakerReport) -> dict[str, Any]:
    cause, probes = _counts_json([breaker.cause, breaker.probes])
    return {
        "open_until": _time(breaker.open_until_ms) if breaker.open_until_ms else None,
        "since": _time(breaker.since_ms) if breaker.since_ms else None,
        "reason": breaker.reason,
        "cause": cause,
        "probes": probes,
    }


def _counts_json(counts: Sequence[Counts]) -> list[dict[str, int]]:
    """Return the counts of new and of known numbers."""
    return [{"sent": one.sent, "verified": one.verified} for one in counts]


def _decision_json(recorded: RecordedDecision) -> dict[str, Any]:
    one = recorded.decision
    return {
        "at": _time(one.at_ms),
        "count": recorded.count,
        "mode": one.mode.value,
        "denied": one.denies,
        "tenant": one.tenant,
        "country": one.country,
        "area": one.area,
        "known": one.known,
        "findings": [{"rule": found.rule.value, "level": found.level, **found.figures} for found in one.findings],
    }
