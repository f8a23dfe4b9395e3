"""What several commands need: their options, and a config read or refused (status 2, a line for each mistake)."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

import click

from otp_service.bootstrap import CONFIG_VARIABLE
from otp_service.bootstrap.settings_mapping import plugin_errors
from otp_service.settings import ConfigInvalid, Settings, load, load_file, parse_file

__all__ = [
    "address",
    "bound",
    "checked",
    "config_option",
    "host_option",
    "loaded",
    "named",
    "port_option",
    "read",
    "stop",
]

EXIT_CONFIG: Final = 2

config_option = click.option("--config", type=click.Path(dir_okay=False), envvar=CONFIG_VARIABLE, help="The TOML file.")
host_option = click.option("--host", help="The address to listen on; over the config's.")
port_option = click.option("--port", type=click.IntRange(0, 65535), help="The port to listen on; over the config's.")


def address(settings: Settings, host: str | None, port: int | None) -> tuple[str, int]:
    """Say where to listen: the options go over the config."""
    return host or settings.server.host, settings.server.port if port is None else port


def bound(host: str, port: int) -> socket.socket:
    """Take an address to listen on; one that is not to be had ends the command."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as problem:
        stop(f"{host}:{port}: {str(problem.strerror).partition(' (')[0]}; --port takes another one")


def named(config: str | None) -> str:
    """Give the config's path; without one the command ends."""
    if not config:
        stop(f"name a config: --config FILE, or {CONFIG_VARIABLE}")
    return config


def checked(path: str) -> Settings:
    """Load the file at `path`; a bad one ends the command."""
    return _good(lambda: load_file(path, os.environ))


def loaded(config: Mapping[str, Any]) -> Settings:
    """Load a config that is ours, where secrets may stand plainly."""
    return _good(lambda: load(config, os.environ, plain_secrets=True))


def _good(read: Callable[[], Settings]) -> Settings:
    try:
        settings = read()
    except ConfigInvalid as invalid:
        stop(*map(str, invalid.errors))
    if errors := plugin_errors(settings):
        stop(*map(str, errors))
    return settings


def read(path: str) -> dict[str, Any]:
    """Read TOML as it stands; what cannot be read ends the command."""
    try:
        return parse_file(path)
    except ConfigInvalid as invalid:
        stop(*map(str, invalid.errors))


def stop(*lines: str) -> NoReturn:
    """Say `lines` on standard error and end with the status of a bad config."""
    for line in lines:
        click.echo(line, err=True)
    sys.exit(EXIT_CONFIG)
