"""`guard`: what the guard against SMS pumping has counted and decided, and closing a breaker by hand."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from otp_service.bootstrap.guard_setup import build_guard_policy
from otp_service.cli.options import config_option, fail, load_settings, use_store
from otp_service.cli.tables import align
from otp_service.domain.guard import GuardFinding, RecordedDecision
from otp_service.domain.guard_counts import ALL_COUNTRIES_SCOPE, Counts
from otp_service.domain.phone import SUPPORTED_COUNTRIES
from otp_service.domain.tenant import ALL_COUNTRIES
from otp_service.observability.audit import CLI
from otp_service.providers.config_parsing import quoted
from otp_service.service.audited import audited
from otp_service.settings import Settings
from otp_service.store.guard_store import KEPT_HOURS, MAX_DECISIONS, GuardReport, RedisGuard, ScopeReport

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
@click.option("--close", metavar="ID", help="Close the breaker of this country, or `all`, and count anew.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def guard(
    config: str | None, hours: int, country: str | None, decisions: int, close: str | None, *, as_json: bool
) -> None:
    """Show what the guard has counted and decided, or close a breaker.

    Messages to numbers that have verified a code before (KNOWN) are counted apart. Closing writes an audit line to
    standard error.
    """
    settings = load_settings(config)
    if close is not None:
        _close(settings, _scope(close, "--close"))
        return
    scopes = [_scope(country, "--country")] if country else _all_scopes(settings)
    report = _use_guard(settings, lambda store: store.report(scopes, hours=hours, decisions=decisions))
    if as_json:
        click.echo(json.dumps(_as_json(report), indent=1))
        return
    click.echo(_scopes_table(report))
    if country:
        click.echo(_details(report))
    if report.decisions:
        click.echo("\n" + align([_DECISIONS_HEADER, *map(_decision_cells, report.decisions)]))


def _close(settings: Settings, scope: str) -> None:
    policy = build_guard_policy(settings.guard)

    async def close(store: RedisGuard) -> bool:
        async with audited("close_breaker", actor=CLI) as line:
            line.facts["scope"] = scope
            was_open = await store.close_breaker(scope, policy)
            line.result = "closed" if was_open else "had_no_state"
            return was_open

    changed = _use_guard(settings, close)
    click.echo(f"{scope}: {'closed' if changed else 'there was nothing to close'}")


def _use_guard(settings: Settings, use: Callable[[RedisGuard], Awaitable[T]]) -> T:
    """Run `use` with the guard of the configured store."""
    return use_store(settings, lambda topology: use(RedisGuard(topology)))


def _scope(text: str, option: str) -> str:
    scope = text.lower() if text.lower() == ALL_COUNTRIES_SCOPE else text.upper()
    if scope != ALL_COUNTRIES_SCOPE and scope not in SUPPORTED_COUNTRIES:
        fail(f"{option}: {quoted(text)} is not a country; allowed: an ISO 3166 alpha-2 code, such as ID, or all")
    return scope


def _all_scopes(settings: Settings) -> list[str]:
    """Return the countries that tenants allow, and all of them together."""
    allowed = {country for tenant in settings.tenants.values() for country in tenant.countries}
    countries = SUPPORTED_COUNTRIES if ALL_COUNTRIES in allowed else allowed
    return [ALL_COUNTRIES_SCOPE, *sorted(countries)]


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
    if not scope.open_until_ms:
        return "closed"
    return f"open until {_time(scope.open_until_ms)}, {scope.probes.verified} of {scope.probes.sent} probes verified"


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
        "breaker": {
            "open_until": _time(scope.open_until_ms) if scope.open_until_ms else None,
            "probes": _counts_json([scope.probes])[0],
        },
        "hours": {_time(hour * MS_PER_HOUR): _counts_json(counts) for hour, counts in scope.hours.items()},
        "areas": {area: _counts_json(counts) for area, counts in scope.areas.items()},
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
