"""What commands share: options, loading the configuration, and the use of its store.

An invalid configuration ends the command with status 2 and one line per error on standard error; a store that does not
answer, with status 1.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NoReturn, TypeVar

import click

from otp_service.bootstrap import CONFIG_VARIABLE, build_topology
from otp_service.bootstrap.settings_mapping import plugin_errors
from otp_service.domain.errors import Refused
from otp_service.domain.phone import SUPPORTED_COUNTRIES
from otp_service.observability import configure_logging
from otp_service.observability.audit import AUDIT
from otp_service.providers.config_parsing import quoted
from otp_service.settings import ConfigInvalid, Settings, load, load_file, parse_file
from otp_service.store.topology import Topology

__all__ = [
    "bind_listener",
    "config_option",
    "fail",
    "host_option",
    "listen_address",
    "load_config",
    "load_own_config",
    "load_settings",
    "parse_config",
    "parse_country",
    "port_option",
    "require_config_path",
    "use_store",
]

EXIT_CONFIG: Final = 2
T = TypeVar("T")

config_option = click.option(
    "--config", type=click.Path(dir_okay=False), envvar=CONFIG_VARIABLE, show_envvar=True, help="The TOML file."
)
host_option = click.option("--host", help="The address to listen on. Overrides [server] host.")
port_option = click.option(
    "--port", type=click.IntRange(0, 65535), help="The port to listen on; 0: any free port. Overrides [server] port."
)


def listen_address(settings: Settings, host: str | None, port: int | None) -> tuple[str, int]:
    """Return the host and port to listen on; the options override the settings."""
    return host or settings.server.host, settings.server.port if port is None else port


def bind_listener(host: str, port: int) -> socket.socket:
    """Bind a listening socket; the command ends with status 2 if the address is in use."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as problem:
        fail(f"{host}:{port}: {str(problem.strerror).partition(' (')[0]}. Choose another port with --port.")


def require_config_path(config: str | None) -> str:
    """Return the path given by `--config` or `OTP_CONFIG`; without either, the command ends with status 2."""
    if not config:
        fail(f"No config file is given. Use --config FILE, or set {CONFIG_VARIABLE}.")
    return config


def load_config(path: str) -> Settings:
    """Load and check the file at `path`, with secrets from the environment and files; its audit log is used."""
    settings = _load_or_fail(lambda: load_file(path, os.environ))
    AUDIT.configure(settings.audit.file, required=settings.audit.required)
    return settings


def load_settings(config: str | None, log_level: str = "INFO") -> Settings:
    """Configure the log and load the file given by `--config` or `OTP_CONFIG`."""
    configure_logging(log_level)
    return load_config(require_config_path(config))


def load_own_config(config: Mapping[str, Any]) -> Settings:
    """Load a configuration that this program has generated, in which secrets may be plain text."""
    return _load_or_fail(lambda: load(config, os.environ, plain_secrets=True))


def _load_or_fail(read: Callable[[], Settings]) -> Settings:
    try:
        settings = read()
    except ConfigInvalid as invalid:
        fail(*map(str, invalid.errors))
    if errors := plugin_errors(settings):
        fail(*map(str, errors))
    return settings


def parse_config(path: str) -> dict[str, Any]:
    """Parse the TOML file at `path` without checking its values."""
    try:
        return parse_file(path)
    except ConfigInvalid as invalid:
        fail(*map(str, invalid.errors))


def parse_country(text: str | None) -> str | None:
    """Return the value of `--country` in upper case; for an unknown country, the command ends with status 2."""
    country = text.upper() if text else None
    if country is not None and country not in SUPPORTED_COUNTRIES:
        fail(f"--country: {quoted(country)} is not a country; allowed: an ISO 3166 alpha-2 code, such as ID")
    return country


def use_store(settings: Settings, use: Callable[[Topology], Awaitable[T]]) -> T:
    """Run `use` with a connection to the configured store; if that refuses it, the command ends with status 1."""

    async def connect_and_use() -> T:
        topology = build_topology(settings)
        try:
            return await use(topology)
        finally:
            await topology.close()

    try:
        return asyncio.run(connect_and_use())
    except Refused as refused:
        raise click.ClickException(refused.detail) from None


def fail(*lines: str) -> NoReturn:
    """Print `lines` on standard error and exit with status 2."""
    for line in lines:
        click.echo(line, err=True)
    sys.exit(EXIT_CONFIG)
