"""How the application is served: uvicorn on uvloop and httptools, one process or several.

SIGTERM and SIGINT: no new connections, running requests finish, exit status 0.
"""

from __future__ import annotations

import signal
from typing import Any, Final

import uvicorn

__all__ = ["serve_app", "serve_workers"]

GRACE_SECONDS: Final = 25
"""Below the 30 s after which Kubernetes kills a pod, less its preStop pause."""

KEEP_ALIVE_SECONDS: Final = 75
"""Longer than the idle timeout of common load balancers (60 s), so that we are not the one who closes."""

_OPTIONS: Final[dict[str, Any]] = {
    "loop": "uvloop",
    "http": "httptools",
    "lifespan": "on",
    "log_config": None,
    "access_log": False,
    "server_header": False,
    "proxy_headers": False,
    "timeout_keep_alive": KEEP_ALIVE_SECONDS,
    "timeout_graceful_shutdown": GRACE_SECONDS,
}


def serve_app(app: Any, host: str, port: int) -> None:
    """Serve `app` in this process until a signal."""
    config = uvicorn.Config(app, host=host, port=port, **_OPTIONS)
    server = uvicorn.Server(config)
    # uvicorn raises the signal again when it is done; with handlers of our own that is a quiet end
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server.run()
    if not server.started:
        raise SystemExit(3)


def serve_workers(workers: int, host: str, port: int) -> None:
    """Serve in `workers` processes, each composed from the environment."""
    uvicorn.run("otp_service.app:from_environment", factory=True, host=host, port=port, workers=workers, **_OPTIONS)
