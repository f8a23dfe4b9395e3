"""`spend`: messages and money of today and the last days, by provider, country and tenant."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime

import click

from otp_service.bootstrap import build_topology
from otp_service.cli.options import config_option, fail, load_config, require_config_path
from otp_service.cli.spend_report import DIMENSIONS, build_report, format_csv, format_json, format_table
from otp_service.domain.errors import Refused
from otp_service.observability import configure_logging
from otp_service.settings import Settings
from otp_service.store.spend_history import MAX_DAYS, DaySpend, read_spend

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

    The price is the configured one, or what the gateway charged if it tells. Sums of different currencies are kept
    apart. Only providers of the config are shown.
    """
    configure_logging("WARNING")
    if as_json and as_csv:
        fail("--json and --csv: choose one of them")
    settings = load_config(require_config_path(config))
    try:
        today, spends = asyncio.run(_read(settings, days))
    except Refused as refused:
        raise click.ClickException(refused.detail) from None
    report = build_report(today, days, by or DIMENSIONS, spends)
    if as_csv:
        click.echo(format_csv(report), nl=False)
    else:
        click.echo(format_json(report) if as_json else format_table(report))


async def _read(settings: Settings, days: int) -> tuple[date, list[DaySpend]]:
    if not settings.providers:
        return datetime.now(UTC).date(), []
    topology = build_topology(settings)
    try:
        return await read_spend(topology, settings.providers, days)
    finally:
        await topology.close()
