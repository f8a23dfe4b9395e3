"""`sandbox`: the service with a simulator of every gateway; the simulators' failures are scripted at run time."""

from __future__ import annotations

import inspect
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from otp_service.bootstrap import build_app
from otp_service.cli.dev_command import CREDENTIALS, embedded_store
from otp_service.cli.options import (
    bind_listener,
    config_option,
    fail,
    host_option,
    listen_address,
    load_own_config,
    parse_config,
    port_option,
)
from otp_service.cli.tables import align
from otp_service.observability import configure_logging
from otp_service.sandbox import simulator_scripts
from otp_service.sandbox.config_writer import write_config
from otp_service.sandbox.control_api import control_api_layer
from otp_service.sandbox.dev_config import merged
from otp_service.sandbox.sandbox_config import sandbox_config, sandbox_gateways, set_webhook_urls
from otp_service.sandbox.simulated_gateways import PortInUse, SimulatedGateway, SimulatedGateways
from otp_service.sandbox.try_page import try_page_layer
from otp_service.server.run import serve_app, server_limits
from otp_service.settings import Settings

__all__ = ["sandbox"]

LOOPBACK_OF: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - an address to call, not to listen on
FILE_COMMENT: Final = """\
The configuration of a running `otp-service sandbox`. To serve it next to the sandbox:
otp-service serve --config {file} --port 8001
The gateways and the store in [redis] exist only while the sandbox runs. Replace them with your own."""

_EPILOG = "\n\n".join(f"\b\n{part}" for part in inspect.cleandoc(simulator_scripts.__doc__ or "").split("\n\n"))


@click.command(epilog=_EPILOG)
@config_option
@host_option
@port_option
@click.option(
    "--write-config", "write_to", type=click.Path(dir_okay=False), help="Write the configuration there, for `serve`."
)
def sandbox(config: str | None, host: str | None, port: int | None, write_to: str | None) -> None:
    """Try the service with simulated gateways.

    For integrators. As dev, on 127.0.0.1:8000: an embedded store, tenant demo, key dev-key, every country. The
    gateways listen on ports 20003 to 20015 of 127.0.0.1; with --port 0, everything listens on free ports. Indonesian
    numbers are routed to one gateway by their prefix, all other numbers to all gateways in order. A --config file is
    merged over these defaults. --write-config writes the result, with each secret in a file of its own.

    GET /dev/messages lists the messages that the gateways accepted, GET /dev/gateways the state of the gateways.
    """
    overrides = parse_config(config) if config else {}
    gateways, scripts = sandbox_gateways()
    try:
        gateways.bind(free=port == 0)
    except PortInUse as in_use:
        fail(f"{in_use} Use --port 0 for free ports.")
    configure_logging()
    with embedded_store() as url:
        document = merged(sandbox_config(url, gateways), overrides)
        listener = bind_listener(*listen_address(load_own_config(document), host, port))
        document = _with_addresses(document, listener)
        settings = load_own_config(document)
        if write_to:
            _write_config(Path(write_to), document, settings)
        set_webhook_urls(gateways, settings.server.public_url or "")
        control_api, try_page = control_api_layer(gateways, scripts), try_page_layer(gateways)
        app = build_app(settings, inner_middleware=lambda app: control_api(try_page(app)))

        def ready(_: int) -> None:
            click.echo("\n".join(_describe(_local_url(listener), settings, gateways)), err=True)

        limits = server_limits(settings)
        serve_app(
            app, *listener.getsockname()[:2], limits=limits, on_listening=ready, listener=listener, lifespan=gateways
        )


def _with_addresses(document: dict[str, Any], listener: socket.socket) -> dict[str, Any]:
    """Set the address that `listener` has, and as `public_url`, if there is none, the URL that gateways can call."""
    host, port = listener.getsockname()[:2]
    default = {"server": {"public_url": _local_url(listener)}}
    return merged(merged(default, document), {"server": {"host": host, "port": port}})


def _local_url(listener: socket.socket) -> str:
    """Return the URL at which processes on this machine call the service."""
    host, port = listener.getsockname()[:2]
    host = LOOPBACK_OF.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _write_config(path: Path, document: dict[str, Any], settings: Settings) -> None:
    try:
        folder = write_config(path, document, settings, FILE_COMMENT.format(file=path))
    except OSError as problem:
        fail(f"{path} cannot be written: {problem.strerror}")
    click.echo(f"config written to {path}, its secrets to {folder}", err=True)


def _describe(url: str, settings: Settings, gateways: SimulatedGateways) -> Iterator[str]:
    """Yield the lines of the start message: the service's URL, then one row for each gateway."""
    yield f"{url}  {CREDENTIALS}, messages at /dev/messages, gateways at /dev/gateways"
    yield ""
    rows = [("gateway", "type", "address", "numbers", "credentials")]
    rows += [_gateway_row(settings, gateway) for gateway in gateways.by_name.values()]
    yield align(rows)


def _gateway_row(settings: Settings, gateway: SimulatedGateway) -> tuple[str, str, str, str, str]:
    numbers = [
        (route.prefix or route.country or "all others") + (f" ({position}.)" if len(route.providers) > 1 else "")
        for route in settings.routes
        for position, target in enumerate(route.providers, 1)
        if target.name == gateway.name
    ]
    credentials = [f"{key} {gateway.provider_table[key]}" for key in gateway.credential_keys]
    return gateway.name, gateway.type_name, gateway.simulator.url, ", ".join(numbers), ", ".join(credentials)
