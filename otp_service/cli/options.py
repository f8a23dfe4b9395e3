"""What several commands share: their options, and loading a configuration.

An invalid configuration ends the command with status 2 and one line per error on standard error.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

import click

from otp_service.bootstrap import CONFIG_VARIABLE
from otp_service.bootstrap.settings_mapping import plugin_errors
from otp_service.observability.audit import AUDIT
from otp_service.settings import ConfigInvalid, Settings, load, load_file, parse_file

__all__ = [
    "bind_listener",
    "config_option",
    "fail",
    "host_option",
    "listen_address",
    "load_config",
    "load_own_config",
    "parse_config",
    "port_option",
    "require_config_path",
]

EXIT_CONFIG: Final = 2

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


def load_own_config(config: Mapping[str, Any]) -> Settings:
    """Load a configuration that this program made itself, in which secrets may be plain text."""
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


def fail(*lines: str) -> NoReturn:
    """Print `lines` on standard error and exit with status 2."""
    for line in lines:
        click.echo(line, err=True)
    sys.exit(EXIT_CONFIG)
