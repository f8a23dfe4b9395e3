"""How the application is served: uvicorn on uvloop and httptools, one process or several.

SIGTERM and SIGINT: no new connections, requests that have arrived completely are answered, others are dropped, exit
status 0. Workers end with the process that started them, however that dies, so that none of them keeps the port.
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
from multiprocessing import parent_process
from typing import Any, Final

import uvicorn
from litestar.types import ASGIApp
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.supervisors import Multiprocess

from otp_service.bootstrap import build_app_from_environment
from otp_service.observability import LOG
from otp_service.providers.inbox import InboxConfig
from otp_service.server.connection_limits import MAX_CONNECTIONS, ServerLimits
from otp_service.server.descriptors import raise_limit, report, share
from otp_service.server.http_protocol import HttpConnections
from otp_service.settings import Settings

__all__ = ["serve_app", "serve_workers", "server_limits", "worker"]

GRACE_SECONDS: Final = 25
"""Below the 30 s after which Kubernetes kills a pod, less its preStop pause."""

RECEIVE_BUFFER: Final = 64 * 1024
SEND_BUFFER: Final = 128 * 1024
"""What the kernel may hold for a connection in each direction (Linux doubles these), instead of up to 6 MiB."""

_GC_THRESHOLDS: Final = (50_000, 50, 50)
"""A full collection of what the imports made takes 18 ms (measured); after a freeze it has little left to do."""

_FAILED_TO_START: Final = 3
_PR_SET_PDEATHSIG: Final = 1

_OPTIONS: Final[dict[str, Any]] = {
    "loop": "uvloop",
    "ws": "none",
    "lifespan": "on",
    "log_config": None,
    "access_log": False,
    "server_header": False,
    "proxy_headers": False,
    "timeout_graceful_shutdown": GRACE_SECONDS,
}


def server_limits(settings: Settings) -> ServerLimits:
    """Return what each process allows its connections; raises the limit of file descriptors as far as that helps."""
    server = settings.server
    wanted = server.max_connections or MAX_CONNECTIONS
    calls = sum(
        provider.max_concurrent for provider in settings.providers.values() if not isinstance(provider, InboxConfig)
    )
    descriptors = share(raise_limit(wanted, calls), wanted, calls)
    report(descriptors, wanted, calls)
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
    ready: Callable[[int], None] | None = None,
    listener: socket.socket | None = None,
    beside: AbstractAsyncContextManager[object] | None = None,
) -> None:
    """Serve `app` in this process until a signal; `ready` is told the port once it listens.

    With a `listener`, that is where it listens. `beside` is entered in the same loop before anything is served, and
    left when all is done.
    """
    _settle()
    config = uvicorn.Config(app, host=host, port=port, **_options(limits))
    server = _Server(config, ready, beside or contextlib.nullcontext())
    # uvicorn raises the signal again when it is done: with a handler of ours that is a quiet end. One that comes
    # before it listens ends it as well.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.handle_exit)
    server.run(None if listener is None else [listener])
    if not server.started:
        raise SystemExit(_FAILED_TO_START)


def serve_workers(workers: int, host: str, port: int, limits: ServerLimits) -> None:
    """Serve in `workers` processes, each composed from the environment and with `limits` of its own."""
    config = uvicorn.Config(
        "otp_service.server.run:worker", factory=True, host=host, port=port, workers=workers, **_options(limits)
    )
    listener = config.bind_socket()
    _bound_buffers(listener)
    _tell(listener)
    supervisor = _Workers(config, [listener])
    supervisor.run()
    if supervisor.failed:
        raise SystemExit(_FAILED_TO_START)


def worker() -> ASGIApp:
    """Make the application of one worker (called by uvicorn in its process)."""
    _end_with_parent()
    app = build_app_from_environment()
    _settle()
    return app


def _options(limits: ServerLimits) -> dict[str, Any]:
    return {**_OPTIONS, "http": HttpConnections(limits), "backlog": limits.backlog}


def _bound_buffers(listener: Any) -> None:
    """Bound what the kernel holds for each connection that will be accepted."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)


def _settle() -> None:
    """Leave everything that was made so far, which stays as long as the process, out of what is collected later."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


class _Server(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, ready: Callable[[int], None] | None, beside: AbstractAsyncContextManager[object]
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._beside = beside

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        async with self._beside:
            await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            listener = self.servers[0].sockets[0]
            _bound_buffers(listener)
            _tell(listener)
            if self._ready is not None:
                self._ready(listener.getsockname()[1])


class _Workers(Multiprocess):
    """Uvicorn's supervisor, which starts a worker again that died."""

    _counted: frozenset[int | None] = frozenset()

    @property
    def failed(self) -> bool:
        """A worker could not start."""
        return any(process.exitcode == _FAILED_TO_START for process in self.processes)

    def terminate_all(self) -> None:
        """Let go of the port first: what connects while workers finish is refused, not left waiting."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()

    def keep_subprocess_alive(self) -> None:
        """Also take the gauges of a worker that died out of the metrics."""
        super().keep_subprocess_alive()
        alive = frozenset(process.pid for process in self.processes)
        for pid in self._counted - alive:
            mark_process_dead(pid)
        self._counted = alive


def _tell(listener: Any) -> None:
    """Log the address, which uvicorn's own line does too, but redacted: four bytes look like a phone number."""
    host, port = listener.getsockname()[:2]
    LOG.info("listening", address=f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")


def _end_with_parent() -> None:
    """Be told to end when the supervisor dies without telling anybody (Linux)."""
    supervisor = parent_process()
    if supervisor is None or platform.system() != "Linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != supervisor.pid:  # it died before we asked
        raise SystemExit(_FAILED_TO_START)
