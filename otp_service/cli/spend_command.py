"""`spend`: messages and money of today and the last days, by provider, country and tenant."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

import click

from otp_service.cli.options import config_option, fail, load_settings, use_store
from otp_service.cli.spend_report import DIMENSIONS, Known, build_report, format_csv, format_json, format_table
from otp_service.domain.errors import Refused
from otp_service.domain.tenant import ALL_COUNTRIES
from otp_service.settings import Settings
from otp_service.store.spend_history import MAX_DAYS, DaySpend, find_providers, read_spend
from otp_service.store.topology import Topology

__all__ = ["spend"]


@click.command()
@config_option
@click.option(
    "--days",
    type=click.IntRange(1, MAX_DAYS),
    default=MAX_DAYS,
    show_default=True,
    help="How many days (UTC), today included.",
)
@click.option(
    "--by",
    type=click.Choice(DIMENSIONS),
    multiple=True,
    help="Add up by this; may be repeated. Default: by provider, country and tenant.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, also with the sums of each day.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, with a line for each day.")
def spend(config: str | None, days: int, by: tuple[str, ...], *, as_json: bool, as_csv: bool) -> None:
    """Show what was sent and spent: messages handed over to gateways, and their price.

    The price is the configured one, or what the gateway charged if it reports that. Sums of different currencies are
    kept apart. Providers, tenants and countries that are not configured any more are shown, and marked.
    """
    if as_json and as_csv:
        fail("--json and --csv: choose one of them")
    settings = load_settings(config, "WARNING")
    today, spends = use_store(settings, lambda topology: _read(topology, settings.providers, days))
    report = build_report(today, days, by or DIMENSIONS, spends, _configured(settings))
    if as_csv:
        click.echo(format_csv(report), nl=False)
    else:
        click.echo(format_json(report) if as_json else format_table(report))


async def _read(topology: Topology, providers: Collection[str], days: int) -> tuple[date, list[DaySpend]]:
    """Read the spend of the configured providers, then of others that the store has a history of."""
    today, spends = await read_spend(topology, providers, days)
    others = sorted(await _other_providers(topology) - set(providers))
    later, spends_of_others = await read_spend(topology, others, days)
    return max(today, later), [*spends, *spends_of_others]


async def _other_providers(topology: Topology) -> set[str]:
    """Return the providers with a spend history; none from a store that forbids SCAN, so that the others are shown."""
    try:
        return await find_providers(topology)
    except Refused:
        click.echo("providers that are not configured cannot be found: the store does not allow SCAN", err=True)
        return set()


def _configured(settings: Settings) -> Known:
    """Return the configured names by dimension; every country counts if a tenant allows all."""
    countries = {country for one in settings.tenants.values() for country in (*one.countries, one.country or "")}
    known: dict[str, Collection[str]] = {"provider": settings.providers, "tenant": settings.tenants}
    return known if ALL_COUNTRIES in countries else known | {"country": countries}
