"""The commands for providers: `send-test` sends one real message, `providers` shows the status of each provider."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final, TypeVar

import click
import msgspec

from otp_service.bootstrap.provider_set import ProviderSet, build_provider_set
from otp_service.bootstrap.settings_mapping import build_tenant
from otp_service.cli.options import config_option, fail, load_settings, use_store
from otp_service.cli.provider_table import ProviderRow, build_row, format_money, format_table
from otp_service.delivery.balances import fetch_balance
from otp_service.delivery.send_test import TestSendResult, compose_test_message, send_test_message
from otp_service.domain.email_address import EmailAddress
from otp_service.domain.errors import Refused
from otp_service.domain.message import AccountLimits, Channel, OutboundMessage
from otp_service.domain.outcomes import Outcome
from otp_service.domain.provider_policy import DeferReason, Deferred
from otp_service.domain.recipient import Recipient, is_address
from otp_service.domain.tenant import Tenant
from otp_service.providers.base import AccountLimitsProvider
from otp_service.providers.config_fields import CommonProvider
from otp_service.providers.config_parsing import quoted
from otp_service.settings import Settings
from otp_service.store.provider_status import provider_statuses
from otp_service.store.topology import Topology

__all__ = ["providers", "send_test"]

T = TypeVar("T")

_DEFER_REASONS: Final[Mapping[DeferReason, str]] = {
    DeferReason.WAIT: "the rate limit or the concurrency limit is reached",
    DeferReason.SLOW: "too many messages are queued for this provider",
    DeferReason.OPEN: "its circuit is open",
    DeferReason.CAPPED: "the provider's cap for today is reached",
    DeferReason.TENANT_CAPPED: "the tenant's cap for today is reached",
    DeferReason.COUNTRY_CAPPED: "the country's cap for today is reached",
}


@click.command("send-test")
@config_option
@click.option("--to", required=True, metavar="RECIPIENT", help="A phone number in any format, or an e-mail address.")
@click.option("--provider", required=True, help="The provider's name in the config.")
@click.option("--tenant", help="The tenant whose template and caps apply. Default: the first one of the config.")
@click.option("--locale", default="", help="The message's language. Default: the language of the number's country.")
@click.option("--app", default="", help="The tenant's app whose line ends an SMS. Default: none.")
def send_test(config: str | None, to: str, provider: str, tenant: str | None, *, locale: str, app: str) -> None:
    """Send one real message through one provider.

    It counts towards the caps of the provider, the tenant and the country, as every message does. Its code verifies
    nothing. Exit status 0 if the gateway accepts the message, else 1.
    """
    settings = load_settings(config, "WARNING")
    _check_provider(settings, provider)
    sender = _find_tenant(settings, tenant)
    recipient, channel = _parse_recipient(to, sender, settings.providers[provider].channels)
    if app and app not in sender.apps:
        fail(f"--app: {quoted(app)} is not an app; allowed: {', '.join(sender.apps) or 'none is configured'}")
    click.echo(f"provider    {provider} ({settings.providers[provider].type})")
    click.echo(f"to          {recipient.masked}")
    outbound = compose_test_message(sender, recipient, locale, channel, app)
    result = _send_test(settings, provider, sender, outbound)
    for name, value in _describe(result, recipient, settings.providers[provider].currency).items():
        click.echo(f"{name:<12}{value}")
    sys.exit(not (isinstance(result, TestSendResult) and result.result.outcome is Outcome.ACCEPTED))


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option(
    "--set-limits",
    is_flag=True,
    help="First write the configured caps to the gateway accounts that have caps of their own (KedaSMS).",
)
def providers(config: str | None, *, as_json: bool, set_limits: bool) -> None:
    """Show the status of all providers.

    For each provider: its circuit, rate limit and queue, the messages and spend of today (UTC), and the balance.
    """
    settings = load_settings(config, "WARNING")
    failed = _set_account_limits(settings) if set_limits else {}
    for name, outcome in failed.items():
        click.echo(f"{name}: the account limits could not be set ({outcome.value})", err=True)
    rows = _load_rows(settings)
    click.echo(msgspec.json.encode({"providers": rows}).decode() if as_json else format_table(rows))
    sys.exit(bool(failed))


def _check_provider(settings: Settings, name: str) -> None:
    if name not in settings.providers:
        allowed = ", ".join(settings.providers) or "none, because no provider is configured"
        fail(f"--provider: {quoted(name)} is not a provider; allowed: {allowed}")


def _find_tenant(settings: Settings, name: str | None) -> Tenant:
    name = name or next(iter(settings.tenants))
    if name not in settings.tenants:
        fail(f"--tenant: {quoted(name)} is not a tenant; allowed: {', '.join(settings.tenants)}")
    return build_tenant(name, settings.tenants[name], settings.limits)


def _parse_recipient(text: str, tenant: Tenant, channels: Collection[Channel]) -> tuple[Recipient, Channel]:
    """Parse a recipient to whom the tenant may send, and choose a channel; any other one exits with status 2."""
    by_number = sorted(set(channels) - {Channel.EMAIL}, key=list(Channel).index)
    allowed = by_number[:1] if not is_address(text) else [Channel.EMAIL] if Channel.EMAIL in channels else []
    if not allowed:
        fail(f"--to: the provider does not send to such a recipient; its channels: {', '.join(sorted(channels))}")
    try:
        if is_address(text):
            return tenant.parse_email(text), allowed[0]
        number = tenant.parse_phone(text, None)
        tenant.check_number(number, allowed[0])
    except Refused as refused:
        fail(f"--to: {refused.detail}")
    return number, allowed[0]


def _send_test(
    settings: Settings, provider: str, tenant: Tenant, outbound: OutboundMessage
) -> TestSendResult | Deferred:
    return _use_providers(
        settings,
        lambda _, found: send_test_message(found.providers[provider], found.limiter, tenant.name, outbound),
    )


def _set_account_limits(settings: Settings) -> dict[str, Outcome]:
    """Set the caps of the accounts that have caps of their own; return the providers that failed, and why."""

    async def set_limits(_: Topology, provider_set: ProviderSet) -> dict[str, Outcome]:
        accounts = {
            name: provider
            for name, provider in provider_set.providers.items()
            if isinstance(provider, AccountLimitsProvider)
        }
        calls = (account.set_limits(_account_limits(settings.providers[name])) for name, account in accounts.items())
        outcomes = zip(accounts, await asyncio.gather(*calls), strict=True)
        return {name: outcome for name, outcome in outcomes if outcome is not Outcome.ACCEPTED}

    return _use_providers(settings, set_limits)


def _account_limits(provider: CommonProvider) -> AccountLimits:
    return AccountLimits(
        provider.daily_message_cap, provider.daily_spend_cap, provider.alert_threshold, provider.block_on_limit
    )


def _load_rows(settings: Settings) -> list[ProviderRow]:
    """Read the statuses from the store, then query the balances of all accounts at once."""

    async def load(topology: Topology, provider_set: ProviderSet) -> list[ProviderRow]:
        statuses = await provider_statuses(topology, provider_set.policies)
        balances = await asyncio.gather(*map(fetch_balance, provider_set.providers.values()))
        balance_by_name = dict(zip(provider_set.providers, balances, strict=True))
        return [
            build_row(name, config, statuses[name], balance_by_name.get(name))
            for name, config in settings.providers.items()
        ]

    return _use_providers(settings, load)


def _use_providers(settings: Settings, use: Callable[[Topology, ProviderSet], Awaitable[T]]) -> T:
    """Run `use` with the store and the configured providers."""

    async def build_and_use(topology: Topology) -> T:
        provider_set = build_provider_set(settings, topology)
        try:
            return await use(topology, provider_set)
        finally:
            await provider_set.close()

    return use_store(settings, build_and_use)


def _describe(result: TestSendResult | Deferred, recipient: Recipient, currency: str) -> dict[str, str]:
    """Return the result as label and text; the recipient is masked where the gateway's message id contains it."""
    if isinstance(result, Deferred):
        seconds = -(-result.retry_in_ms // 1000)
        return {"not sent": f"{_DEFER_REASONS[result.reason]}; try again in {seconds} s"}
    provider_message_id = result.result.provider_message_id.replace(_part_in_ids(recipient), "***")
    return {
        "outcome": result.result.outcome.value,
        "gateway id": provider_message_id or "-",
        "took": f"{result.duration_ms} ms",
        "segments": str(result.segments),
        "cost": f"{format_money(result.cost)} {currency}" if result.cost else "-",
    }


def _part_in_ids(recipient: Recipient) -> str:
    """Return what a gateway's message id may contain of a recipient."""
    return recipient.address if isinstance(recipient, EmailAddress) else recipient.national_digits
