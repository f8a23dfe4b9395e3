"""`serve`: the service in production. Imports nothing of `otp_service.sandbox`."""

from __future__ import annotations

import asyncio
import os
import tempfile

import click

from otp_service.bootstrap import (
    CONFIG_VARIABLE,
    METRICS_VARIABLE,
    ConfigFile,
    build_topology,
    log_config_warnings,
    log_hash_rate,
    preload_countries,
)
from otp_service.cli.options import (
    config_option,
    fail,
    host_option,
    listen_address,
    load_config,
    parse_config,
    port_option,
    require_config_path,
)
from otp_service.observability import LOG, configure_logging
from otp_service.server.reloadable_app import RELOAD_SIGNAL
from otp_service.server.run import reloadable_app, serve_app, serve_workers, server_limits
from otp_service.settings import Settings
from otp_service.store.readiness import StoreStatus, persists, probe

__all__ = ["serve"]


@click.command()
@config_option
@host_option
@port_option
def serve(config: str | None, host: str | None, port: int | None) -> None:
    """Serve the configured tenants.

    Refuses to start with an invalid config, or with a Redis that may evict keys. If Redis does not answer, the
    service starts, responds 503 and becomes ready when Redis does. --host and --port override the config.
    At SIGHUP the config is read again, without an interruption; one with errors changes nothing.
    """
    RELOAD_SIGNAL.hold()
    configure_logging()
    path = require_config_path(config)
    settings = load_config(path)
    _check_store(settings)
    log_config_warnings(settings, parse_config(path))
    os.environ[CONFIG_VARIABLE] = path
    address = listen_address(settings, host, port)
    limits = server_limits(settings)
    preload_countries(settings)
    config_file = ConfigFile(path, settings)
    if settings.server.workers == 1:
        log_hash_rate(settings)
        serve_app(reloadable_app(config_file, warns=True), *address, limits=limits)
    else:
        with tempfile.TemporaryDirectory(prefix="otp-metrics-") as folder:
            os.environ[METRICS_VARIABLE] = folder
            serve_workers(config_file, *address, limits)


def _check_store(settings: Settings) -> None:
    """Exit if the store may evict keys; log a warning if it persists nothing or does not answer yet."""
    status, persistent = asyncio.run(_probe_store(settings))
    if status.unsafe_policies:
        policies = ", ".join(policy or "unknown (INFO memory does not report it)" for policy in status.unsafe_policies)
        fail(
            f"redis: maxmemory-policy is {policies}. Set it to noeviction: a store that evicts keys forgets wrong "
            "codes, and with them the limits on attempts. To accept that, set [redis] allow_eviction = true."
        )
    if status.problems:
        LOG.warning("store_unavailable_at_start", problems="; ".join(status.problems))
    elif not persistent:
        LOG.warning("store_not_persistent", hint="Neither AOF nor snapshots are on: a restart loses all verifications.")


async def _probe_store(settings: Settings) -> tuple[StoreStatus, bool]:
    """Probe every primary; return the status, and whether anything is persisted (True if that is unknown)."""
    topology = build_topology(settings)
    try:
        status = await probe(topology, allow_eviction=settings.redis.allow_eviction)
        return status, bool(status.problems) or await persists(topology)
    finally:
        await topology.close()
