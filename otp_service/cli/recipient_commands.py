"""`unlock` and `forget`: what an operator does with one recipient."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from otp_service.bootstrap.settings_mapping import build_keyring, build_tenant
from otp_service.cli.options import config_option, fail, load_settings, parse_country, use_store
from otp_service.domain.errors import Refused
from otp_service.domain.recipient import Recipient
from otp_service.domain.tenant import Tenant
from otp_service.observability.audit import CLI
from otp_service.providers.config_parsing import quoted
from otp_service.service.forget import ForgetRecipient, ForgottenRecipient
from otp_service.service.unlock import UnlockedRecipient, UnlockRecipient
from otp_service.settings import Settings
from otp_service.store.attempts import RedisLockouts
from otp_service.store.recipient_data import RedisRecipientData
from otp_service.store.topology import Topology

__all__ = ["forget", "unlock"]


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
    settings = load_settings(config)
    owner, recipient = _read(settings, tenant, phone, email, country)

    async def unlock_it(topology: Topology) -> UnlockedRecipient:
        return await UnlockRecipient(RedisLockouts(topology), build_keyring(settings))(owner, recipient, actor=CLI)

    unlocked = use_store(settings, unlock_it)
    status = "unlocked" if unlocked.was_locked else "was not locked"
    codes = f"{unlocked.failures} wrong code{'' if unlocked.failures == 1 else 's'}"
    click.echo(f"{unlocked.recipient.masked}: {status}, {codes} cleared")


@click.command()
@config_option
@click.option("--tenant", help="Forget it at this tenant only, as the admin API does.")
@click.option("--phone", metavar="NUMBER", help="The phone number, in any format.")
@click.option("--email", metavar="ADDRESS", help="The e-mail address, instead of a phone number.")
@click.option("--country", metavar="ID", help="The country of a national number. Default: the tenant's country.")
@click.option("--opt-out", is_flag=True, help="Without --tenant: remove an opt-out, too, which the person asked for.")
def forget(
    config: str | None, tenant: str | None, phone: str | None, email: str | None, country: str | None, *, opt_out: bool
) -> None:
    """Forget a phone number or an e-mail address.

    At all tenants: removes its verifications and messages, responses under idempotency keys, the counts of its limits
    and its locks; events of webhooks lose the number. With --tenant, the counts and locks, which protect the person,
    stay until their own end. Prints what remains, and until when at most. Writes an audit line. A repeated call changes
    nothing.
    """
    settings = load_settings(config)
    if tenant and opt_out:
        fail("--opt-out: an opt-out holds for all tenants; leave --tenant out")
    owner, recipient = _read(settings, tenant or next(iter(settings.tenants)), phone, email, country)

    async def forget_it(topology: Topology) -> ForgottenRecipient:
        use_case = ForgetRecipient(RedisRecipientData(topology), build_keyring(settings))
        if tenant:
            return await use_case.at_tenant(owner, recipient, actor=CLI)
        return await use_case.everywhere(tuple(settings.tenants), recipient, opt_out=opt_out, actor=CLI)

    forgotten = use_store(settings, forget_it)
    count = forgotten.verifications
    click.echo(f"{recipient.masked}: forgotten, {count} verification{'' if count == 1 else 's'} removed")
    for what, until_ms in forgotten.kept_until_ms.items():
        until = datetime.fromtimestamp(until_ms / 1000, UTC)
        click.echo(f"kept: {what.replace('_', ' ')}, until {until:%Y-%m-%d %H:%M} UTC at most")


def _read(
    settings: Settings, tenant: str, phone: str | None, email: str | None, country: str | None
) -> tuple[Tenant, Recipient]:
    """Return the tenant and the recipient that the options name; wrong ones exit with status 2."""
    if tenant not in settings.tenants:
        fail(f"--tenant: {quoted(tenant)} is not a tenant; allowed: {', '.join(settings.tenants)}")
    region = parse_country(country)
    if (phone is None) == (email is None):
        fail("--phone: give either a phone number, or an e-mail address with --email")
    owner = build_tenant(tenant, settings.tenants[tenant], settings.limits)
    return owner, _parse_recipient(owner, phone, email, region)


def _parse_recipient(tenant: Tenant, phone: str | None, email: str | None, country: str | None) -> Recipient:
    """Parse the recipient; an invalid one exits with status 2."""
    try:
        return tenant.parse_phone(phone, country) if phone is not None else tenant.parse_email(email or "")
    except Refused as refused:
        fail(f"--{'email' if phone is None else 'phone'}: {refused.detail}")
