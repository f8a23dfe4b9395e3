"""The commands that need no running service: `check-config`, `config-schema`, `new-key`, `normalize`."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final, get_args

import click
import msgspec

from otp_service.api.auth import new_api_key
from otp_service.cli.limit_proposals import proposed_limits
from otp_service.cli.options import config_option, fail, load_config, parse_config, require_config_path
from otp_service.cli.tables import format_bounds, format_texts
from otp_service.domain.email_address import EmailInvalid, parse_address
from otp_service.domain.phone import PhoneInvalid, parse
from otp_service.domain.recipient import is_address
from otp_service.settings import api_key_errors, build_json_schema, config_warnings, unused_keys
from otp_service.settings.api_key_model import Scope, parse_instant
from otp_service.settings.guessing_report import guessing_bounds
from otp_service.settings.sms_texts import sms_texts

__all__ = ["check_config", "config_schema", "new_key", "normalize"]

MAX_DAYS: Final = 3650


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
@click.option("--id", "key_id", default="web", show_default=True, help="The name of the key in the config and in logs.")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(get_args(Scope)), help="May be repeated.")
@click.option("--publishable", is_flag=True, help="For a mobile app or a web page, where anybody can read the key.")
@click.option("--expires-at", help="From when the key is refused, such as 2027-01-31T00:00:00Z.")
@click.option("--expires-in-days", type=click.IntRange(1, MAX_DAYS), help="The same, from now on.")
def new_key(
    key_id: str, scopes: tuple[str, ...], *, publishable: bool, expires_at: str | None, expires_in_days: int | None
) -> None:
    """Create an API key. It is printed only once, with its hash and its entry for `api_keys` in the config.

    Without --scope the entry has the default scopes: request, verify and read, or request and verify if publishable.
    """
    if expires_at and expires_in_days:
        raise click.UsageError("Use either --expires-at or --expires-in-days.")
    if expires_in_days:
        expires_at = f"{datetime.now(UTC) + timedelta(days=expires_in_days):%Y-%m-%dT%H:%M:%SZ}"
    key = new_api_key(publishable=publishable)
    entry: dict[str, Any] = {"id": key_id, "sha256": hashlib.sha256(key.encode()).hexdigest()}
    entry |= {"scopes": list(scopes)} if scopes else {}
    entry |= {"publishable": True} if publishable else {}
    entry |= {"expires_at": expires_at} if expires_at else {}
    if errors := api_key_errors(entry):
        fail(*map(str, errors))
    instant = parse_instant(expires_at) if expires_at else None
    if instant is not None and instant <= datetime.now(UTC):
        fail(f"expires_at: {expires_at} is over; allowed: a time in the future")
    click.echo(f"key     {key}")
    click.echo(f"sha256  {entry['sha256']}")
    click.echo(f"config  {{ {', '.join(f'{name} = {_toml(value)}' for name, value in entry.items())} }}")


def _toml(value: object) -> str:
    """Write a text, a boolean or a list of texts, which have the same syntax in TOML and JSON."""
    return json.dumps(value)


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
