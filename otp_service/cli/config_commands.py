"""The commands that answer and end: `check-config`, `new-key`, `normalize`."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

import click
import msgspec

from otp_service.cli.options import checked, config_option, named, read
from otp_service.domain.phone import PhoneInvalid, parse
from otp_service.settings import cautions, proposed_limits, unused_keys

__all__ = ["check_config", "new_key", "normalize"]

KEY_BYTES: Final = 32


@click.command("check-config")
@config_option
def check_config(config: str | None) -> None:
    """Check a config: a line per mistake and status 2, or what it configures."""
    path = named(config)
    settings = checked(path)
    for key in unused_keys(read(path)):
        click.echo(f"{key}: nothing acts on this yet", err=True)
    for caution in cautions(settings):
        click.echo(caution, err=True)
    for proposal in proposed_limits(settings):
        click.echo(proposal, err=True)
    counts = f"{len(settings.tenants)} tenants, {len(settings.providers)} providers, {len(settings.routes)} routes"
    click.echo(f"{path}: good ({counts})")


@click.command("new-key")
def new_key() -> None:
    """Make an API key: it is shown this once; its hash goes into the config."""
    key = "otp_" + secrets.token_urlsafe(KEY_BYTES)
    click.echo(f"key     {key}")
    click.echo(f"sha256  {hashlib.sha256(key.encode()).hexdigest()}")


@click.command()
@click.argument("number")
@click.option("--country", default="ID", show_default=True, help="How national forms are read.")
def normalize(number: str, country: str) -> None:
    """Read a phone number in any spelling."""
    try:
        found = parse(number, country.upper())
    except PhoneInvalid as invalid:
        raise click.ClickException(str(invalid)) from None
    read = {name: getattr(found, name) for name in ("e164", "national", "country", "type", "mobile")}
    click.echo(msgspec.json.encode(read).decode())
