"""`dev` and `serve`: the service itself."""

from __future__ import annotations

import asyncio
import os
import tempfile

import click

from otp_service.bootstrap import CONFIG_VARIABLE, METRICS_VARIABLE, build_app, build_topology
from otp_service.cli.embedded_store import CALLER, own_store
from otp_service.cli.options import address, checked, config_option, host_option, loaded, named, port_option, read, stop
from otp_service.observability import LOG, configure_logging
from otp_service.providers.inbox import Inbox
from otp_service.sandbox.dev_config import dev_config, merged
from otp_service.sandbox.try_page import try_page_layer
from otp_service.server.run import serve_app, serve_workers, server_limits
from otp_service.settings import Settings, config_warnings, unused_keys
from otp_service.store.readiness import StoreStatus, persists, probe

__all__ = ["dev", "serve"]


@click.command()
@config_option
@host_option
@port_option
def dev(config: str | None, host: str | None, port: int | None) -> None:
    """Run the real service with an embedded server and an inbox, on 127.0.0.1:8000."""
    configure_logging()
    over = read(config) if config else {}
    with own_store() as url:
        settings = loaded(merged(dev_config(url), over))
        inbox = Inbox("inbox")
        app = build_app(settings, inner_middleware=try_page_layer(inbox), inbox=inbox)
        at = address(settings, host, port)

        def ready(port: int) -> None:
            click.echo(f"http://{at[0]}:{port}  {CALLER}, inbox at /dev/messages", err=True)

        serve_app(app, *at, limits=server_limits(settings), on_listening=ready)


@click.command()
@config_option
@host_option
@port_option
def serve(config: str | None, host: str | None, port: int | None) -> None:
    """Serve by the config; refuses a bad one, and a store that may forget."""
    configure_logging()
    path = named(config)
    settings = checked(path)
    _look_at_store(settings)
    for key in unused_keys(read(path)):
        LOG.warning("config_key_without_effect", key=key)
    for caution in config_warnings(settings):
        LOG.warning("config_caution", caution=caution)
    os.environ[CONFIG_VARIABLE] = path
    at = address(settings, host, port)
    limits = server_limits(settings)
    if settings.server.workers == 1:
        serve_app(build_app(settings), *at, limits=limits)
    else:
        with tempfile.TemporaryDirectory(prefix="otp-metrics-") as folder:
            os.environ[METRICS_VARIABLE] = folder
            serve_workers(settings.server.workers, *at, limits)


def _look_at_store(settings: Settings) -> None:
    """Refuse a store that may forget; say so when it keeps nothing, or cannot be used yet."""
    status, keeps = asyncio.run(_found(settings))
    if status.unsafe_policies:
        policies = ", ".join(policy or "unknown (INFO memory does not tell it)" for policy in status.unsafe_policies)
        stop(
            f"redis: maxmemory-policy is {policies}; allowed: noeviction (a store that evicts forgets wrong "
            "guesses), or [redis] allow_eviction = true"
        )
    if status.problems:
        LOG.warning("store_unavailable_at_start", problems="; ".join(status.problems))
    elif not keeps:
        LOG.warning("store_keeps_nothing", hint="neither append-only file nor snapshots: a restart forgets all codes")


async def _found(settings: Settings) -> tuple[StoreStatus, bool]:
    """Try every server, and ask whether anything is persisted."""
    topology = build_topology(settings)
    try:
        status = await probe(topology, allow_eviction=settings.redis.allow_eviction)
        return status, bool(status.problems) or await persists(topology)
    finally:
        await topology.close()
