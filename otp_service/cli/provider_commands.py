"""The commands about gateways: `send-test` sends one real text, `providers` says how each one stands."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any, Final, TypeVar

import click
import msgspec

from otp_service.bootstrap import build_topology
from otp_service.bootstrap.provider_set import ProviderSet, build_provider_set
from otp_service.bootstrap.settings_mapping import tenant_of
from otp_service.cli.options import checked, config_option, named, stop
from otp_service.cli.provider_table import Row, money, row_of, table
from otp_service.delivery.balances import fetch_balance
from otp_service.delivery.send_test import TestSendResult, compose_test_message, send_test_message
from otp_service.domain.errors import Refused
from otp_service.domain.message import AccountLimits, OutboundMessage
from otp_service.domain.outcomes import Outcome
from otp_service.domain.phone import PhoneInvalid, PhoneNumber, parse
from otp_service.domain.provider_policy import DeferReason, Deferred
from otp_service.domain.tenant import Tenant
from otp_service.observability import configure_logging
from otp_service.providers.base import AccountLimitsProvider
from otp_service.providers.config_fields import CommonProvider
from otp_service.providers.config_parsing import quoted
from otp_service.providers.registry import UNSERVED
from otp_service.settings import Settings
from otp_service.store.provider_status import provider_statuses
from otp_service.store.topology import Topology

__all__ = ["providers", "send_test"]

T = TypeVar("T")

_DEFER_REASONS: Final[Mapping[DeferReason, str]] = {
    DeferReason.WAIT: "its turn did not come",
    DeferReason.SLOW: "too many messages wait for their turn",
    DeferReason.OPEN: "its circuit is open",
    DeferReason.CAPPED: "the provider's cap for today is reached",
    DeferReason.TENANT_CAPPED: "the tenant's cap for today is reached",
}


@click.command("send-test")
@config_option
@click.option("--to", required=True, metavar="NUMBER", help="Who gets the text, in any spelling.")
@click.option("--provider", required=True, help="The provider's name in the config.")
@click.option("--tenant", help="Whose text it is, and on whose account; default: the first of the config.")
@click.option("--locale", default="", help="The language of the text; default: that of the number's country.")
def send_test(config: str | None, to: str, provider: str, tenant: str | None, locale: str) -> None:
    """Send one real text through one provider; it is counted as any other. Status 0: the gateway took it."""
    configure_logging("WARNING")
    settings = checked(named(config))
    _judge_provider(settings, provider)
    sender = _tenant(settings, tenant)
    number = _number(to, sender)
    click.echo(f"provider    {provider} ({settings.providers[provider].type})")
    click.echo(f"to          {number.masked}")
    tried = _run(_tried(settings, provider, sender, compose_test_message(sender, number, locale)))
    for name, value in _told(tried, number, settings.providers[provider].currency).items():
        click.echo(f"{name:<12}{value}")
    sys.exit(not (isinstance(tried, TestSendResult) and tried.result.outcome is Outcome.ACCEPTED))


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Say it in JSON.")
@click.option(
    "--set-limits", is_flag=True, help="First give the configured caps to gateways that hold caps themselves."
)
def providers(config: str | None, *, as_json: bool, set_limits: bool) -> None:
    """Say how each provider stands: circuit, pace, what it sent today, balance."""
    configure_logging("WARNING")
    settings = checked(named(config))
    failed = _run(_limits_not_set(settings)) if set_limits else {}
    for name, outcome in failed.items():
        click.echo(f"{name}: its limits are not set ({outcome.value})", err=True)
    rows = _run(_rows(settings))
    click.echo(msgspec.json.encode({"providers": rows}).decode() if as_json else table(rows))
    sys.exit(bool(failed))


def _judge_provider(settings: Settings, name: str) -> None:
    if name not in settings.providers:
        stop(f"--provider: {quoted(name)} is not a provider; allowed: {', '.join(settings.providers) or 'none is'}")
    if settings.providers[name].type in UNSERVED:
        stop(f"--provider: nothing acts on the type {settings.providers[name].type} yet")


def _tenant(settings: Settings, name: str | None) -> Tenant:
    name = name or next(iter(settings.tenants))
    if name not in settings.tenants:
        stop(f"--tenant: {quoted(name)} is not a tenant; allowed: {', '.join(settings.tenants)}")
    return tenant_of(name, settings.tenants[name], settings.limits)


def _number(text: str, tenant: Tenant) -> PhoneNumber:
    """Read a number that the tenant may send to."""
    try:
        number = parse(text, tenant.country)
        tenant.check_number(number)
    except PhoneInvalid as invalid:
        stop(f"--to: {invalid}")
    except Refused as refused:
        stop(f"--to: {refused.detail}")
    return number


async def _tried(
    settings: Settings, provider: str, tenant: Tenant, outbound: OutboundMessage
) -> TestSendResult | Deferred:
    async with _opened(settings) as (_, gateways):
        return await send_test_message(gateways.providers[provider], gateways.limiter, tenant.name, outbound)


async def _limits_not_set(settings: Settings) -> dict[str, Outcome]:
    """Set the account's own caps where a gateway has such; name those that did not take them, and why."""
    async with _opened(settings) as (_, gateways):
        accounts = {name: one for name, one in gateways.providers.items() if isinstance(one, AccountLimitsProvider)}
        asked = (account.set_limits(_limits_of(settings.providers[name])) for name, account in accounts.items())
        answers = zip(accounts, await asyncio.gather(*asked), strict=True)
        return {name: outcome for name, outcome in answers if outcome is not Outcome.ACCEPTED}


def _limits_of(provider: CommonProvider) -> AccountLimits:
    return AccountLimits(
        provider.daily_message_cap, provider.daily_spend_cap, provider.alert_threshold, provider.block_on_limit
    )


async def _rows(settings: Settings) -> list[Row]:
    """Look at the store, then ask every gateway at once."""
    async with _opened(settings) as (topology, gateways):
        found = await provider_statuses(topology, gateways.policies)
        balances = await asyncio.gather(*map(fetch_balance, gateways.providers.values()))
        balance_of = dict(zip(gateways.providers, balances, strict=True))
        return [
            row_of(name, config, found.get(name), balance_of.get(name)) for name, config in settings.providers.items()
        ]


@contextlib.asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Topology, ProviderSet]]:
    topology = build_topology(settings)
    gateways = build_provider_set(settings, topology)
    try:
        yield topology, gateways
    finally:
        await gateways.close()
        await topology.close()


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Do it; a store that is away is one line and status 1."""
    try:
        return asyncio.run(work)
    except Refused as refused:
        raise click.ClickException(refused.detail) from None


def _told(tried: TestSendResult | Deferred, number: PhoneNumber, currency: str) -> dict[str, str]:
    """Say what came of it. A gateway's id may hold the number."""
    if isinstance(tried, Deferred):
        seconds = -(-tried.retry_in_ms // 1000)
        return {"not sent": f"{_DEFER_REASONS[tried.reason]}; again in {seconds} s"}
    identity = tried.result.provider_message_id.replace(number.national_digits, "***")
    return {
        "outcome": tried.result.outcome.value,
        "gateway id": identity or "-",
        "took": f"{tried.duration_ms} ms",
        "segments": str(tried.segments),
        "cost": f"{money(tried.cost)} {currency}" if tried.cost else "-",
    }
