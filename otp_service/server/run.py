"""Serve the application: uvicorn with uvloop and httptools, in one process or several.

After SIGTERM or SIGINT the server accepts no connections, answers the requests that have arrived completely, drops the
others, and exits with status 0. Workers exit with the process that started them, even if it is killed, so that no
worker keeps the port. At SIGHUP every process reads the config again (`reloadable_app`).
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import platform
import signal
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from multiprocessing import current_process, parent_process
from typing import Any, Final

import uvicorn

from otp_service.bootstrap import ConfigFile, ReloadableService, log_hash_rate
from otp_service.observability import LOG, configure_logging, share_metrics
from otp_service.providers.inbox import InboxConfig
from otp_service.server.asgi_lifespan import AsgiApp
from otp_service.server.connections import DEFAULT_MAX_CONNECTIONS, ServerLimits
from otp_service.server.descriptors import divide, raise_limit, warn_if_short
from otp_service.server.http_protocol import HttpConnectionFactory
from otp_service.server.reloadable_app import RELOAD_SIGNAL, ReloadableApp
from otp_service.server.supervisor import EXIT_FAILED_TO_START, Supervisor
from otp_service.settings import Settings

__all__ = ["AsgiApp", "reloadable_app", "serve_app", "serve_workers", "server_limits", "worker"]

SHUTDOWN_GRACE_SECONDS: Final = 25
"""Less than the 30 s after which Kubernetes kills a pod, minus the pause of its preStop hook."""

RECEIVE_BUFFER_BYTES: Final = 64 * 1024
SEND_BUFFER_BYTES: Final = 128 * 1024
"""The kernel buffers of a connection (Linux doubles these values); without a limit they grow to 6 MiB."""

_GC_THRESHOLDS: Final = (50_000, 50, 50)
"""A full garbage collection of all imported modules takes 18-37 ms (measured); after `gc.freeze` it skips them."""

_PR_SET_PDEATHSIG: Final = 1

_forked_config: ConfigFile | None = None
"""The config that the supervisor has checked last. A forked worker has it, and does not depend on the file."""

_OPTIONS: Final[dict[str, Any]] = {
    "loop": "uvloop",
    "ws": "none",
    "lifespan": "on",
    "log_config": None,
    "access_log": False,
    "server_header": False,
    "proxy_headers": False,
    "timeout_graceful_shutdown": SHUTDOWN_GRACE_SECONDS,
}


def server_limits(settings: Settings) -> ServerLimits:
    """Return the connection limits of each process. Also raises the limit of file descriptors as far as needed."""
    server = settings.server
    wanted = server.max_connections or DEFAULT_MAX_CONNECTIONS
    calls = sum(
        provider.max_concurrent for provider in settings.providers.values() if not isinstance(provider, InboxConfig)
    )
    descriptors = divide(raise_limit(wanted, calls), wanted, calls)
    warn_if_short(descriptors, wanted, calls)
    return ServerLimits(
        head_seconds=server.head_timeout_seconds,
        body_seconds=server.body_timeout_seconds,
        write_seconds=server.write_timeout_seconds,
        keep_alive_seconds=server.keep_alive_seconds,
        max_connections=descriptors.connections,
        backlog=descriptors.backlog,
    )


def serve_app(
    app: Any,
    host: str,
    port: int,
    *,
    limits: ServerLimits,
    on_listening: Callable[[int], None] | None = None,
    listener: socket.socket | None = None,
    lifespan: AbstractAsyncContextManager[object] | None = None,
) -> None:
    """Serve `app` in this process until a signal arrives.

    Args:
        app: The ASGI application.
        host: The address to listen on.
        port: The port to listen on; 0 means any free port.
        limits: The limits of connections.
        on_listening: Called with the port once the server listens.
        listener: A bound socket to use instead of `host` and `port`.
        lifespan: Entered in the same event loop before the server starts, and left after it has stopped.

    Raises:
        SystemExit: The server could not start.
    """
    _freeze_garbage_collection()
    config = uvicorn.Config(app, host=host, port=port, **_options(limits))
    server = _Server(config, on_listening, lifespan or contextlib.nullcontext())
    # uvicorn raises the signal again at its end; with this handler that has no effect. A signal before the server
    # listens ends it, too.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.handle_exit)
    server.run(None if listener is None else [listener])
    if not server.started:
        raise SystemExit(EXIT_FAILED_TO_START)


def reloadable_app(config: ConfigFile, *, warns: bool) -> AsgiApp:
    """Return the application of one process, which reads the config again at SIGHUP; `warns`: it logs warnings."""
    service = ReloadableService(config, warns=warns)
    return ReloadableApp(service.build(), service.rebuild, service.resources.lifespan)


def serve_workers(config_file: ConfigFile, host: str, port: int, limits: ServerLimits) -> None:
    """Serve in as many processes as the config says. Each builds its own application, and has its own `limits`.

    Raises:
        SystemExit: A worker could not start.
    """
    global _forked_config  # noqa: PLW0603 - a forked worker inherits it; uvicorn passes no argument to its factory
    _forked_config = config_file
    workers = config_file.settings.server.workers
    config = uvicorn.Config(
        "otp_service.server.run:worker", factory=True, host=host, port=port, workers=workers, **_options(limits)
    )
    listener = config.bind_socket()
    _limit_buffers(listener)
    _log_address(listener)
    _freeze_garbage_collection()  # before the fork: a worker's collections would copy the memory that it shares
    supervisor = Supervisor(config, [listener], config_file.reload)
    supervisor.run()
    if supervisor.failed:
        raise SystemExit(EXIT_FAILED_TO_START)


def worker() -> AsgiApp:
    """Return the application of one worker (called by uvicorn in the worker process)."""
    RELOAD_SIGNAL.hold()
    _exit_with_parent()
    configure_logging()
    share_metrics()
    config = _forked_config or ConfigFile.from_environment()
    if current_process().name.endswith("-1"):
        # Not in the supervisor, where workers are forked: it must not have a second thread.
        log_hash_rate(config.settings)
    app = reloadable_app(config, warns=False)
    _freeze_garbage_collection()
    return app


def _options(limits: ServerLimits) -> dict[str, Any]:
    return {**_OPTIONS, "http": HttpConnectionFactory(limits), "backlog": limits.backlog}


def _limit_buffers(listener: Any) -> None:
    """Limit the kernel buffers of each connection that is accepted."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)


def _freeze_garbage_collection() -> None:
    """Exclude all existing objects, which live as long as the process, from later garbage collections."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        on_listening: Callable[[int], None] | None,
        lifespan: AbstractAsyncContextManager[object],
    ) -> None:
        super().__init__(config)
        self._on_listening = on_listening
        self._lifespan = lifespan

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        async with self._lifespan:
            await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            listener = self.servers[0].sockets[0]
            _limit_buffers(listener)
            _log_address(listener)
            if self._on_listening is not None:
                self._on_listening(listener.getsockname()[1])


def _log_address(listener: Any) -> None:
    """Log the address. In uvicorn's own line it is redacted, because an IP address looks like a phone number."""
    host, port = listener.getsockname()[:2]
    LOG.info("listening", address=f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")


def _exit_with_parent() -> None:
    """Have the kernel send SIGTERM to this process when the supervisor dies (Linux only)."""
    supervisor = parent_process()
    if supervisor is None or platform.system() != "Linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != supervisor.pid:  # it died before the call
        raise SystemExit(EXIT_FAILED_TO_START)
