"""The commands: `dev`, `serve`, `check-config`, `new-key`, `normalize`. A mistake in a config ends with status 2."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

import click
import msgspec

from otp_service import __version__
from otp_service.app import CONFIG_VARIABLE, METRICS_VARIABLE, compose, topology_of
from otp_service.dev.defaults import API_KEY, TENANT, dev_config, merged
from otp_service.dev.embedded import EmbeddedServer, ServerMissing
from otp_service.dev.pages import pages_around
from otp_service.domain.errors import Refused
from otp_service.domain.phone import PhoneInvalid, parse
from otp_service.observability import LOG, configure_logging
from otp_service.providers.inbox import Inbox
from otp_service.serving import serve_app, serve_workers
from otp_service.settings import ConfigInvalid, Settings, cautions, load, load_file, unused_keys
from otp_service.store.gate import Findings, inspect

__all__ = ["main"]

EXIT_CONFIG: Final = 2
KEY_BYTES: Final = 32

_config = click.option("--config", type=click.Path(dir_okay=False), envvar=CONFIG_VARIABLE, help="The TOML file.")
_host = click.option("--host", help="The address to listen on; over the config's.")
_port = click.option("--port", type=click.IntRange(0, 65535), help="The port to listen on; over the config's.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, package_name="otp-service")
def main() -> None:
    """Prove that a person holds a phone number."""


@main.command()
@_config
@_host
@_port
def dev(config: str | None, host: str | None, port: int | None) -> None:
    """Run the real service with an embedded server and an inbox, on 127.0.0.1:8000."""
    configure_logging()
    over = _read(config) if config else {}
    try:
        with EmbeddedServer() as server:
            settings = _loaded(merged(dev_config(server.url), over))
            inbox = Inbox("inbox")
            app = compose(settings, around=pages_around(inbox), inbox=inbox)
            address = (host or settings.server.host, settings.server.port if port is None else port)

            def ready(port: int) -> None:
                where = f"http://{address[0]}:{port}"
                click.echo(f"{where}  tenant {TENANT}, key {API_KEY}, inbox at /dev/messages", err=True)

            serve_app(app, *address, ready=ready)
    except ServerMissing as missing:
        _stop(str(missing))


@main.command()
@_config
@_host
@_port
def serve(config: str | None, host: str | None, port: int | None) -> None:
    """Serve by the config; refuses a bad one, and a store that may forget."""
    configure_logging()
    path = _named(config)
    settings = _checked(path)
    _look_at_store(settings)
    for key in unused_keys(_read(path)):
        LOG.warning("config_key_without_effect", key=key)
    for caution in cautions(settings):
        LOG.warning("config_caution", caution=caution)
    os.environ[CONFIG_VARIABLE] = path
    address = (host or settings.server.host, settings.server.port if port is None else port)
    if settings.server.workers == 1:
        serve_app(compose(settings), *address)
    else:
        with tempfile.TemporaryDirectory(prefix="otp-metrics-") as folder:
            os.environ[METRICS_VARIABLE] = folder
            serve_workers(settings.server.workers, *address)


@main.command("check-config")
@_config
def check_config(config: str | None) -> None:
    """Check a config: a line per mistake and status 2, or what it configures."""
    path = _named(config)
    settings = _checked(path)
    for key in unused_keys(_read(path)):
        click.echo(f"{key}: nothing acts on this yet", err=True)
    for caution in cautions(settings):
        click.echo(caution, err=True)
    counts = f"{len(settings.tenants)} tenants, {len(settings.providers)} providers, {len(settings.routes)} routes"
    click.echo(f"{path}: good ({counts})")


@main.command("new-key")
def new_key() -> None:
    """Make an API key: it is shown this once; its hash goes into the config."""
    key = "otp_" + secrets.token_urlsafe(KEY_BYTES)
    click.echo(f"key     {key}")
    click.echo(f"sha256  {hashlib.sha256(key.encode()).hexdigest()}")


@main.command()
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


def _named(config: str | None) -> str:
    if not config:
        _stop(f"name a config: --config FILE, or {CONFIG_VARIABLE}")
    return config


def _checked(path: str) -> Settings:
    try:
        return load_file(path, os.environ)
    except ConfigInvalid as invalid:
        _stop(*map(str, invalid.mistakes))


def _loaded(config: Mapping[str, Any]) -> Settings:
    try:
        return load(config, os.environ, plain_secrets=True)
    except ConfigInvalid as invalid:
        _stop(*map(str, invalid.mistakes))


def _read(path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        _stop(f"{path}: {problem}")


def _look_at_store(settings: Settings) -> None:
    """Refuse a store that may forget; say so when it keeps nothing, or is not there yet."""
    try:
        findings = asyncio.run(_found(settings))
    except Refused:
        LOG.warning("store_unavailable_at_start")
        return
    if findings.may_evict and not settings.redis.allow_eviction:
        _stop(
            f"redis: maxmemory-policy is {findings.policy}; allowed: noeviction (a store that evicts forgets wrong "
            "guesses), or [redis] allow_eviction = true"
        )
    if not findings.persists:
        LOG.warning("store_keeps_nothing", hint="neither append-only file nor snapshots: a restart forgets all codes")


async def _found(settings: Settings) -> Findings:
    topology = topology_of(settings)
    try:
        return await inspect(topology)
    finally:
        await topology.close()


def _stop(*lines: str) -> NoReturn:
    for line in lines:
        click.echo(line, err=True)
    sys.exit(EXIT_CONFIG)
