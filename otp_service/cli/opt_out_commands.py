"""`opt-outs`: count the opted-out numbers, check one, and opt one out or in by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import click

from otp_service.bootstrap.settings_mapping import build_keyring, build_providers
from otp_service.cli.options import config_option, fail, load_settings, parse_country, use_store
from otp_service.delivery.provider_calls import call_safely
from otp_service.domain.opt_out import OptOutAction
from otp_service.domain.outcomes import Outcome
from otp_service.domain.phone import PhoneInvalid, PhoneNumber, parse
from otp_service.observability.audit import CLI
from otp_service.providers.base import SubscriptionProvider
from otp_service.service.opt_out_directory import OptOutDirectory
from otp_service.settings import Settings
from otp_service.store.opt_outs import RedisOptOuts

__all__ = ["opt_outs"]

T = TypeVar("T")

phone_option = click.option("--phone", required=True, metavar="NUMBER", help="The phone number, in any format.")
country_option = click.option(
    "--country", metavar="ID", help="The country of a national number. Default: that of the first tenant."
)


@click.group("opt-outs")
def opt_outs() -> None:
    """Show and change which numbers have opted out.

    A number opts out by answering STOP, for all tenants; request-code then refuses it (`recipient_opted_out`). Each
    change writes an audit line, without the number, to standard error.
    """


@opt_outs.command()
@config_option
def count(config: str | None) -> None:
    """Count the opted-out numbers."""
    click.echo(_use_directory(load_settings(config), lambda directory: directory.count()))


@opt_outs.command()
@config_option
@phone_option
@country_option
def check(config: str | None, phone: str, country: str | None) -> None:
    """Say whether a number is opted out, and until when."""
    settings = load_settings(config)
    number = _number(settings, phone, country)
    state = _use_directory(settings, lambda directory: directory.check(number))
    until = datetime.fromtimestamp(state.ends_ms / 1000, UTC).strftime("%Y-%m-%d")
    click.echo(f"{number.masked}: {f'opted out until {until}' if state.ends_ms else 'not opted out'}")


@opt_outs.command("out")
@config_option
@phone_option
@country_option
def opt_out(config: str | None, phone: str, country: str | None) -> None:
    """Opt a number out, as if it had answered STOP."""
    _change(config, phone, country, OptOutAction.OPT_OUT)


@opt_outs.command("in")
@config_option
@phone_option
@country_option
def opt_in(config: str | None, phone: str, country: str | None) -> None:
    """End the opt-out of a number, as if it had answered START.

    Gateways that keep opt-outs of their own and can be asked to end one (SMS Hub) are asked, too.
    """
    settings, number = _change(config, phone, country, OptOutAction.OPT_IN)
    for name, outcome in asyncio.run(_resubscribe(settings, number)).items():
        click.echo(f"{name}: {outcome.value}")


def _change(config: str | None, phone: str, country: str | None, action: OptOutAction) -> tuple[Settings, PhoneNumber]:
    settings = load_settings(config)
    number = _number(settings, phone, country)
    is_changed = _use_directory(settings, lambda directory: directory.change(number, action, actor=CLI))
    state = "opted out" if action is OptOutAction.OPT_OUT else "opted in"
    click.echo(f"{number.masked}: {state if is_changed else f'was {state} before'}")
    return settings, number


async def _resubscribe(settings: Settings, number: PhoneNumber) -> dict[str, Outcome]:
    """Ask each gateway that keeps opt-outs to end that of the number; return the outcomes by provider."""
    outcomes: dict[str, Outcome] = {}
    for name, provider in build_providers(settings).items():
        if isinstance(provider, SubscriptionProvider):
            resubscribe = partial(provider.resubscribe, number.e164)
            outcomes[name] = await call_safely(provider, resubscribe, Outcome.AMBIGUOUS)
        await provider.close()
    return outcomes


def _number(settings: Settings, phone: str, country: str | None) -> PhoneNumber:
    """Parse a number; the command ends with status 2 if it is not one."""
    region = parse_country(country)
    default = next(iter(settings.tenants.values())).country or ""
    try:
        return parse(phone, region or default)
    except PhoneInvalid as invalid:
        fail(f"--phone: {invalid}")


def _use_directory(settings: Settings, use: Callable[[OptOutDirectory], Awaitable[T]]) -> T:
    """Run `use` with the opt-outs of the configured store."""
    return use_store(settings, lambda topology: use(OptOutDirectory(RedisOptOuts(topology), build_keyring(settings))))
