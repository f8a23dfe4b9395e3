"""`sandbox`: the service with every gateway that it knows, all of them simulated and scripted while it runs."""

from __future__ import annotations

import inspect
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from otp_service.bootstrap import build_app
from otp_service.cli.embedded_store import CALLER, own_store
from otp_service.cli.options import address, bound, config_option, host_option, loaded, port_option, read, stop
from otp_service.observability import configure_logging
from otp_service.sandbox import simulator_scripts
from otp_service.sandbox.config_writer import write_config
from otp_service.sandbox.control_api import control_api_layer
from otp_service.sandbox.dev_config import merged
from otp_service.sandbox.sandbox_config import call_back_to, sandbox_config, sandbox_gateways
from otp_service.sandbox.simulated_gateways import PortInUse, SimulatedGateway, SimulatedGateways
from otp_service.sandbox.try_page import try_page_layer
from otp_service.server.run import serve_app, server_limits
from otp_service.settings import Settings

__all__ = ["sandbox"]

EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - to be called at, not to listen on
WRITTEN: Final = """\
What `otp-service sandbox` runs, as it was when it wrote this. To serve it beside the sandbox:
otp-service serve --config {file} --port 8001
Its gateways, and the store in [redis], are there while the sandbox runs; put your own in their place."""

_EPILOG = "\n\n".join(f"\b\n{part}" for part in inspect.cleandoc(simulator_scripts.__doc__ or "").split("\n\n"))


@click.command(epilog=_EPILOG)
@config_option
@host_option
@port_option
@click.option(
    "--write-config", "write_to", type=click.Path(dir_okay=False), help="Write the config there, for `serve`."
)
def sandbox(config: str | None, host: str | None, port: int | None, write_to: str | None) -> None:
    """Run the real service with a simulator of every gateway, for integrators.

    On 127.0.0.1:8000, as `dev`: an embedded server, tenant demo, key dev-key, every country. Its gateways listen on
    20003 to 20007 of 127.0.0.1; with --port 0 everything listens on any free port. Indonesian numbers lead to one
    gateway by their prefix, all others to all of them in order. A --config lies over its own. --write-config writes
    what came of it, and every secret into a file beside it.

    GET /dev/messages shows what the gateways took, GET /dev/gateways the gateways themselves.
    """
    over = read(config) if config else {}
    gateways, scripts = sandbox_gateways()
    try:
        gateways.bind(free=port == 0)
    except PortInUse as taken:
        stop(f"{taken}; --port 0 takes any that are free")
    configure_logging()
    with own_store() as url:
        document = merged(sandbox_config(url, gateways), over)
        listener = bound(*address(loaded(document), host, port))
        document = _at(listener, document)
        settings = loaded(document)
        if write_to:
            _write(Path(write_to), document, settings)
        call_back_to(gateways, settings.server.public_url or "")
        desk, pages = control_api_layer(gateways, scripts), try_page_layer(gateways)
        app = build_app(settings, inner_middleware=lambda app: desk(pages(app)))

        def ready(_: int) -> None:
            click.echo("\n".join(_described(_url(listener), settings, gateways)), err=True)

        limits = server_limits(settings)
        serve_app(
            app, *listener.getsockname()[:2], limits=limits, on_listening=ready, listener=listener, companion=gateways
        )


def _at(listener: socket.socket, document: dict[str, Any]) -> dict[str, Any]:
    """Write into the config where it is served, and, unless it says so itself, where gateways call it."""
    host, port = listener.getsockname()[:2]
    default = {"server": {"public_url": _url(listener)}}
    return merged(merged(default, document), {"server": {"host": host, "port": port}})


def _url(listener: socket.socket) -> str:
    """Say where gateways, which are on this machine, call the service."""
    host, port = listener.getsockname()[:2]
    host = EVERYWHERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _write(path: Path, document: dict[str, Any], settings: Settings) -> None:
    try:
        folder = write_config(path, document, settings, WRITTEN.format(file=path))
    except OSError as problem:
        stop(f"{path} cannot be written: {problem.strerror}")
    click.echo(f"config written to {path}, its secrets to {folder}", err=True)


def _described(url: str, settings: Settings, gateways: SimulatedGateways) -> Iterator[str]:
    """Say, a line each, what there is and how it is reached."""
    yield f"{url}  {CALLER}, messages at /dev/messages, gateways at /dev/gateways"
    yield ""
    rows = [("gateway", "type", "address", "numbers", "credentials")]
    rows += [_row(settings, gateway) for gateway in gateways.by_name.values()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def _row(settings: Settings, gateway: SimulatedGateway) -> tuple[str, str, str, str, str]:
    numbers = [
        (route.prefix or route.country or "all others") + (f" ({place}.)" if len(route.providers) > 1 else "")
        for route in settings.routes
        for place, target in enumerate(route.providers, 1)
        if target.name == gateway.name
    ]
    credentials = [f"{key} {gateway.table[key]}" for key in gateway.credentials]
    return gateway.name, gateway.kind, gateway.simulator.url, ", ".join(numbers), ", ".join(credentials)
