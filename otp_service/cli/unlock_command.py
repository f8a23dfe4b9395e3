"""`unlock`: end, from the command line, what wrong codes in a row did to a number at a tenant."""

from __future__ import annotations

import asyncio

import click

from otp_service.bootstrap import build_topology
from otp_service.bootstrap.settings_mapping import keyring_of, tenant_of
from otp_service.cli.options import checked, config_option, named, stop
from otp_service.domain.errors import Reason, Refused
from otp_service.domain.phone import SUPPORTED_COUNTRIES
from otp_service.domain.tenant import Tenant
from otp_service.observability import configure_logging
from otp_service.providers.config_parsing import quoted
from otp_service.service.unlock import UnlockedNumber, UnlockNumber
from otp_service.settings import Settings
from otp_service.store.attempts import RedisLockouts

__all__ = ["unlock"]

ACTOR = "cli"


@click.command()
@config_option
@click.option("--tenant", required=True, help="At which tenant the number is unlocked.")
@click.option("--phone", required=True, metavar="NUMBER", help="The number, in any spelling.")
@click.option("--country", metavar="ID", help="How national forms are read; default: the tenant's country.")
def unlock(config: str | None, tenant: str, phone: str, country: str | None) -> None:
    """Unlock a number: forget its wrong codes at a tenant, and every wait and lock that follows from them.

    Sends still count. An audit line goes to standard error. Status 0 also when nothing was locked.
    """
    configure_logging()
    settings = checked(named(config))
    if tenant not in settings.tenants:
        stop(f"--tenant: {quoted(tenant)} is not a tenant; allowed: {', '.join(settings.tenants)}")
    place = country.upper() if country else None
    if place is not None and place not in SUPPORTED_COUNTRIES:
        stop(f"--country: {quoted(place)} is not a country; allowed: an ISO 3166 alpha-2 code, such as ID")
    done = _done(settings, tenant_of(tenant, settings.tenants[tenant], settings.limits), phone, place)
    click.echo(f"{done.number.masked}: {'unlocked' if done.was_locked else 'was not locked'}, {_forgotten(done)}")


def _done(settings: Settings, tenant: Tenant, phone: str, country: str | None) -> UnlockedNumber:
    """Unlock it; a number that cannot be read is status 2, a store that is away status 1."""
    try:
        return asyncio.run(_unlocked(settings, tenant, phone, country))
    except Refused as refused:
        if refused.reason is Reason.PHONE_INVALID:
            stop(f"--phone: {refused.detail}")
        raise click.ClickException(refused.detail) from None


async def _unlocked(settings: Settings, tenant: Tenant, phone: str, country: str | None) -> UnlockedNumber:
    topology = build_topology(settings)
    try:
        work = UnlockNumber(RedisLockouts(topology), keyring_of(settings))
        return await work(tenant, phone, country, actor=ACTOR)
    finally:
        await topology.close()


def _forgotten(done: UnlockedNumber) -> str:
    return f"{done.failures} wrong code{'' if done.failures == 1 else 's'} forgotten"
