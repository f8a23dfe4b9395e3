"""The commands that need no running service: `check-config`, `config-schema`, `new-key`, `normalize`."""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Final

import click
import msgspec

from otp_service.cli.guessing_table import format_bounds
from otp_service.cli.limit_proposals import proposed_limits
from otp_service.cli.options import config_option, load_config, parse_config, require_config_path
from otp_service.cli.text_table import format_texts
from otp_service.domain.email_address import EmailInvalid, parse_address
from otp_service.domain.phone import PhoneInvalid, parse
from otp_service.domain.recipient import is_address
from otp_service.settings import build_json_schema, config_warnings, unused_keys
from otp_service.settings.guessing_report import guessing_bounds
from otp_service.settings.sms_texts import sms_texts

__all__ = ["check_config", "config_schema", "new_key", "normalize"]

KEY_BYTES: Final = 32


@click.command("check-config")
@config_option
@click.option("--texts", is_flag=True, help="Also print every text of an SMS, with its encoding and its segments.")
@click.option("--security", is_flag=True, help="Also print the attacker's chance to guess a code, for each tenant.")
def check_config(config: str | None, *, texts: bool, security: bool) -> None:
    """Check a config: print a line for each error and exit with status 2, or print what it configures."""
    path = require_config_path(config)
    settings = load_config(path)
    for key in unused_keys(parse_config(path)):
        click.echo(f"{key}: this key has no effect", err=True)
    for warning in config_warnings(settings):
        click.echo(warning, err=True)
    for proposal in proposed_limits(settings):
        click.echo(proposal, err=True)
    if texts:
        every = ((name, text) for name, tenant in settings.tenants.items() for text in sms_texts(tenant))
        click.echo(format_texts(every))
    if security:
        click.echo(format_bounds(guessing_bounds(settings)))
    counts = f"{len(settings.tenants)} tenants, {len(settings.providers)} providers, {len(settings.routes)} routes"
    click.echo(f"{path}: good ({counts})")


@click.command("config-schema")
def config_schema() -> None:
    """Print the JSON Schema of the config, with which editors complete and check it."""
    click.echo(json.dumps(build_json_schema(), indent=2))


@click.command("new-key")
def new_key() -> None:
    """Create an API key. It is printed only once; write its hash into the config."""
    key = "otp_" + secrets.token_urlsafe(KEY_BYTES)
    click.echo(f"key     {key}")
    click.echo(f"sha256  {hashlib.sha256(key.encode()).hexdigest()}")


@click.command()
@click.argument("recipient")
@click.option("--country", default="ID", show_default=True, help="The country of national numbers.")
def normalize(recipient: str, country: str) -> None:
    """Print a phone number, written in any form, or an e-mail address, as the service reads it."""
    try:
        read = _read_address(recipient) if is_address(recipient) else _read_number(recipient, country.upper())
    except (PhoneInvalid, EmailInvalid) as invalid:
        raise click.ClickException(str(invalid)) from None
    click.echo(msgspec.json.encode(read).decode())


def _read_number(text: str, country: str) -> dict[str, object]:
    found = parse(text, country)
    return {name: getattr(found, name) for name in ("e164", "national", "country", "type", "mobile")}


def _read_address(text: str) -> dict[str, object]:
    found = parse_address(text)
    return {"email": found.address, "domain": found.domain}
