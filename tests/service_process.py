"""`otp-service` as a user starts it: a process of its own, with its log, its port and whoever it started."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.waits import wait_for_status, wait_until

START_SECONDS = 15.0


class ServiceProcess:
    """A running command. `log` is all it wrote; `stop` and `kill` end it, and `end` makes sure that nothing is left."""

    def __init__(
        self,
        folder: Path,
        *words: str,
        environ: Mapping[str, str] | None = None,
        module: str = "otp_service",
        descriptors: int | None = None,
    ) -> None:
        self._path = folder / f"log-{time.monotonic_ns()}"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OTP_")}
        with self._path.open("wb") as log:
            self._process = subprocess.Popen(
                [*_limited(descriptors), sys.executable, "-m", module, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment | dict(environ or {}),
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        """Everything it has written so far."""
        return self._path.read_text(encoding="utf-8")

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def family(self) -> list[int]:
        """Name the processes that it started, and those that they did."""
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        parents = {int(pid): int(parent) for pid, parent in (line.split() for line in listed.splitlines())}
        found = [self.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found[1:]

    async def url(self) -> str:
        """Wait until it says where it listens."""
        pattern = r'(?:"address":"|^)(http://127\.0\.0\.1:\d+)'
        await wait_until(lambda: re.search(pattern, self.log, re.MULTILINE) is not None or self.ended, START_SECONDS)
        found = re.search(pattern, self.log, re.MULTILINE)
        assert found, self.log
        return found[1]

    async def ready(self) -> str:
        """Wait until it serves; its address."""
        url = await self.url()
        await wait_for_status(url, "/readyz", 200)
        return url

    @property
    def ended(self) -> bool:
        """It is not running any more."""
        return self._process.poll() is not None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    async def status(self, seconds: float = 10.0) -> int:
        """Wait for its end, and say how it was."""
        await wait_until(lambda: self.ended, seconds)
        assert self._process.returncode is not None
        return self._process.returncode

    async def kill(self) -> None:
        """End it as a machine does that loses its power."""
        self.send(signal.SIGKILL)
        await self.status()

    def end(self) -> None:
        """Leave nothing behind, whatever the test did."""
        for pid in [*self.family(), self.pid]:
            if not self.ended or pid != self.pid:
                os.kill(pid, signal.SIGKILL)
        self._process.wait(10)


def _limited(descriptors: int | None) -> list[str]:
    """Begin a command that may have so many file descriptors, and not allow itself more."""
    return [] if descriptors is None else ["sh", "-c", f'ulimit -n {descriptors} && exec "$@"', "sh"]


def is_running(pid: int) -> bool:
    """Say whether a process still runs (one that waits to be buried does not)."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def free_port() -> int:
    """Find a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
