"""`unlock`: clear a recipient's failed attempts at one tenant, and the lockout that follows from them."""

from __future__ import annotations

import asyncio

import click

from otp_service.bootstrap import build_topology
from otp_service.bootstrap.settings_mapping import build_keyring, build_tenant
from otp_service.cli.options import config_option, fail, load_config, require_config_path
from otp_service.domain.errors import Refused
from otp_service.domain.phone import SUPPORTED_COUNTRIES
from otp_service.domain.recipient import Recipient
from otp_service.domain.tenant import Tenant
from otp_service.observability import configure_logging
from otp_service.providers.config_parsing import quoted
from otp_service.service.unlock import UnlockedRecipient, UnlockRecipient
from otp_service.settings import Settings
from otp_service.store.attempts import RedisLockouts

__all__ = ["unlock"]

ACTOR = "cli"


@click.command()
@config_option
@click.option("--tenant", required=True, help="The tenant at which the recipient is locked.")
@click.option("--phone", metavar="NUMBER", help="The phone number, in any format.")
@click.option("--email", metavar="ADDRESS", help="The e-mail address, instead of a phone number.")
@click.option("--country", metavar="ID", help="The country of a national number. Default: the tenant's country.")
def unlock(config: str | None, tenant: str, phone: str | None, email: str | None, country: str | None) -> None:
    """Unlock a phone number or an e-mail address at one tenant.

    Clears its count of wrong codes, and every wait and lock that follows from that count. Limits on sending still
    apply. Writes an audit line to standard error. Exit status 0 also if the recipient was not locked.
    """
    configure_logging()
    settings = load_config(require_config_path(config))
    if tenant not in settings.tenants:
        fail(f"--tenant: {quoted(tenant)} is not a tenant; allowed: {', '.join(settings.tenants)}")
    region = country.upper() if country else None
    if region is not None and region not in SUPPORTED_COUNTRIES:
        fail(f"--country: {quoted(region)} is not a country; allowed: an ISO 3166 alpha-2 code, such as ID")
    if (phone is None) == (email is None):
        fail("--phone: give either a phone number, or an e-mail address with --email")
    owner = build_tenant(tenant, settings.tenants[tenant], settings.limits)
    unlocked = _unlock(settings, owner, _parse_recipient(owner, phone, email, region))
    status = "unlocked" if unlocked.was_locked else "was not locked"
    codes = f"{unlocked.failures} wrong code{'' if unlocked.failures == 1 else 's'}"
    click.echo(f"{unlocked.recipient.masked}: {status}, {codes} cleared")


def _parse_recipient(tenant: Tenant, phone: str | None, email: str | None, country: str | None) -> Recipient:
    """Parse the recipient; an invalid one exits with status 2."""
    try:
        return tenant.parse_phone(phone, country) if phone is not None else tenant.parse_email(email or "")
    except Refused as refused:
        fail(f"--{'email' if phone is None else 'phone'}: {refused.detail}")


def _unlock(settings: Settings, tenant: Tenant, recipient: Recipient) -> UnlockedRecipient:
    """Unlock the recipient; a store that does not answer exits with status 1."""
    try:
        return asyncio.run(_unlock_in_store(settings, tenant, recipient))
    except Refused as refused:
        raise click.ClickException(refused.detail) from None


async def _unlock_in_store(settings: Settings, tenant: Tenant, recipient: Recipient) -> UnlockedRecipient:
    topology = build_topology(settings)
    try:
        return await UnlockRecipient(RedisLockouts(topology), build_keyring(settings))(tenant, recipient, actor=ACTOR)
    finally:
        await topology.close()
