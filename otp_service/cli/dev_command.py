"""`dev`: the service with an embedded store and an inbox in place of the gateways, for trying it out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

import click

from otp_service.bootstrap import build_app
from otp_service.cli.options import (
    config_option,
    fail,
    host_option,
    listen_address,
    load_own_config,
    parse_config,
    port_option,
)
from otp_service.observability import configure_logging
from otp_service.providers.inbox import Inbox
from otp_service.sandbox.dev_config import API_KEY, TENANT, dev_config, merged
from otp_service.sandbox.embedded_server import EmbeddedServer, ServerMissing
from otp_service.sandbox.try_page import try_page_layer
from otp_service.server.run import serve_app, server_limits

__all__ = ["CREDENTIALS", "dev", "embedded_store"]

CREDENTIALS: Final = f"tenant {TENANT}, key {API_KEY}"


@click.command()
@config_option
@host_option
@port_option
def dev(config: str | None, host: str | None, port: int | None) -> None:
    """Try the service: embedded store, no gateways.

    Listens on 127.0.0.1:8000. Messages are not sent: GET /dev/messages lists them, and the page at / tries the whole
    flow. The tenant is demo, its API key dev-key, and every country is allowed. A --config file is merged over these
    defaults.
    """
    configure_logging()
    overrides = parse_config(config) if config else {}
    with embedded_store() as url:
        settings = load_own_config(merged(dev_config(url), overrides))
        inbox = Inbox("inbox")
        app = build_app(settings, inner_middleware=try_page_layer(inbox), inbox=inbox)
        address = listen_address(settings, host, port)

        def ready(port: int) -> None:
            click.echo(f"http://{address[0]}:{port}  {CREDENTIALS}, inbox at /dev/messages", err=True)

        serve_app(app, *address, limits=server_limits(settings), on_listening=ready)


@contextlib.contextmanager
def embedded_store() -> Iterator[str]:
    """Run an embedded server and yield its URL; the command ends with status 2 if no server binary is installed."""
    try:
        server = EmbeddedServer()
    except ServerMissing as missing:
        fail(str(missing))
    with server:
        yield server.url
