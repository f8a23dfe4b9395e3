"""The output of `spend`: sums by provider, country and tenant, as a table, JSON or CSV. Currencies are never added."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from types import MappingProxyType
from typing import Final

import msgspec
from msgspec import Struct

from otp_service.cli.provider_table import format_money
from otp_service.cli.tables import align
from otp_service.store.spend_history import DaySpend

__all__ = ["DIMENSIONS", "SpendReport", "SpendRow", "Sums", "build_report", "format_csv", "format_json", "format_table"]

_DIMENSION_VALUES: Final[dict[str, Callable[[DaySpend], str]]] = {
    "provider": lambda spend: spend.provider,
    "country": lambda spend: spend.country,
    "tenant": lambda spend: spend.tenant,
}
DIMENSIONS: Final = tuple(_DIMENSION_VALUES)
Known = Mapping[str, Collection[str]]
"""The configured names of a dimension; of one that is missing, every name counts as configured."""

_NONE: Final = "-"
_REMOVED: Final = " (not configured)"
_TOTAL: Final = "total"


class Sums(Struct, frozen=True):
    """Messages that were handed over, and what they cost in millionths of the currency."""

    messages: int = 0
    spend: int = 0

    def plus(self, messages: int, spend: int) -> Sums:
        """Return the sums with these added."""
        return Sums(self.messages + messages, self.spend + spend)


class SpendRow(Struct, frozen=True):
    """The sums of one group and currency by day; `group` has a value for each dimension of the report.

    `removed` has the values that are not configured any more.
    """

    group: tuple[str, ...]
    currency: str
    days: dict[date, Sums]
    removed: frozenset[str] = frozenset()

    @property
    def total(self) -> Sums:
        """The sums of all days."""
        return _add(self.days.values())


class SpendReport(Struct, frozen=True):
    """The sums of the days from `first` to `today` (UTC), by `dimensions`."""

    first: date
    today: date
    dimensions: tuple[str, ...]
    rows: tuple[SpendRow, ...]

    @property
    def day_count(self) -> int:
        """How many days it has."""
        return (self.today - self.first).days + 1


def build_report(
    today: date,
    days: int,
    dimensions: Sequence[str],
    spends: Iterable[DaySpend],
    known: Known = MappingProxyType({}),
) -> SpendReport:
    """Add up `spends` by `dimensions`, in their usual order, and by currency; mark what is not `known`."""
    chosen = tuple(name for name in DIMENSIONS if name in dimensions)
    sums: dict[tuple[tuple[str, ...], str], dict[date, Sums]] = {}
    for spend in spends:
        group = tuple(_DIMENSION_VALUES[name](spend) for name in chosen)
        by_day = sums.setdefault((group, spend.currency), {})
        by_day[spend.day] = by_day.get(spend.day, Sums()).plus(spend.messages, spend.spend)
    rows = (
        SpendRow(group, currency, dict(sorted(by_day.items())), _removed(chosen, group, known))
        for (group, currency), by_day in sorted(sums.items())
    )
    return SpendReport(today - timedelta(days=days - 1), today, chosen, tuple(rows))


def format_table(report: SpendReport) -> str:
    """Format the sums of today and of all days, with a total for each currency."""
    if not report.rows:
        return f"nothing was sent from {report.first} to {report.today} (UTC)"
    header = [*(name.upper() for name in report.dimensions), "TODAY", "SPEND"]
    if report.day_count > 1:
        header += [f"{report.day_count} DAYS", "SPEND"]
    groups = [[*_names(row), *_cells(report, row)] for row in report.rows]
    total_label = [_TOTAL, *[""] * (len(report.dimensions) - 1)]
    totals = [[*total_label, *_cells(report, row)] for row in _totals(report)]
    return align([header, *groups, *totals])


def format_json(report: SpendReport) -> str:
    """Format the sums of today, of all days and of each day; money is decimal text."""
    rows = [
        {
            **dict(zip(report.dimensions, row.group, strict=True)),
            "currency": row.currency,
            "configured": not row.removed,
            "today": _json_sums(row.days.get(report.today, Sums())),
            "total": _json_sums(row.total),
            "days": {day.isoformat(): _json_sums(sums) for day, sums in row.days.items()},
        }
        for row in report.rows
    ]
    return msgspec.json.encode({"from": report.first, "to": report.today, "spend": rows}).decode()


def format_csv(report: SpendReport) -> str:
    """Format a line for each day and group, with a header (RFC 4180); `configured` is `yes` or `no`."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["date", *report.dimensions, "currency", "messages", "spend", "configured"])
    lines = [
        (
            *(day.isoformat(), *row.group, row.currency, sums.messages, format_money(sums.spend)),
            "no" if row.removed else "yes",
        )
        for row in report.rows
        for day, sums in row.days.items()
    ]
    writer.writerows(sorted(lines))
    return text.getvalue()


def _removed(dimensions: Sequence[str], group: Sequence[str], known: Known) -> frozenset[str]:
    return frozenset(
        value
        for name, value in zip(dimensions, group, strict=True)
        if value and name in known and value not in known[name]
    )


def _names(row: SpendRow) -> Iterator[str]:
    for value in row.group:
        yield f"{value}{_REMOVED}" if value in row.removed else value or _NONE


def _add(sums: Iterable[Sums]) -> Sums:
    total = Sums()
    for one in sums:
        total = total.plus(one.messages, one.spend)
    return total


def _totals(report: SpendReport) -> Iterator[SpendRow]:
    """Yield the sums of all groups for each currency, if there are several groups of it."""
    for currency in sorted({row.currency for row in report.rows}):
        rows = [row for row in report.rows if row.currency == currency]
        if len(rows) > 1:
            days = {day for row in rows for day in row.days}
            yield SpendRow((), currency, {day: _add(row.days.get(day, Sums()) for row in rows) for day in days})


def _cells(report: SpendReport, row: SpendRow) -> Iterator[str]:
    sums = [row.days.get(report.today, Sums())]
    if report.day_count > 1:
        sums.append(row.total)
    for one in sums:
        yield str(one.messages)
        yield f"{format_money(one.spend)} {row.currency}".rstrip()


def _json_sums(sums: Sums) -> dict[str, int | str]:
    return {"messages": sums.messages, "spend": format_money(sums.spend)}
