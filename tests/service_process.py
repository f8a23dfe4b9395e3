"""`otp-service` as a separate process, with its log, its port and its child processes."""

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

START_SECONDS = 30.0


class ServiceProcess:
    """A running `otp-service` command; `end` makes sure that no process is left."""

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
        """Everything that the process has written so far."""
        return self._path.read_text(encoding="utf-8")

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def descendants(self) -> list[int]:
        """Return the ids of all descendants of the process."""
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        parents = {int(pid): int(parent) for pid, parent in (line.split() for line in listed.splitlines())}
        found = [self.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found[1:]

    async def url(self) -> str:
        """Wait until the log has the URL of the service, and return it."""
        pattern = r'(?:"address":"|^)(http://127\.0\.0\.1:\d+)'
        await wait_until(lambda: re.search(pattern, self.log, re.MULTILINE) is not None or self.ended, START_SECONDS)
        found = re.search(pattern, self.log, re.MULTILINE)
        assert found, self.log
        return found[1]

    async def ready(self) -> str:
        """Wait until the service is ready, and return its URL."""
        url = await self.url()
        await wait_for_status(url, "/readyz", 200)
        return url

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        self._process.send_signal(number)

    async def status(self, seconds: float = 20.0) -> int:
        """Wait for the end of the process, and return its exit status."""
        await wait_until(lambda: self.ended, seconds)
        assert self._process.returncode is not None
        return self._process.returncode

    async def kill(self) -> None:
        """Kill the process with SIGKILL and wait for its end."""
        self.send(signal.SIGKILL)
        await self.status()

    def end(self) -> None:
        """Kill the process and its descendants."""
        for pid in [*self.descendants(), self.pid]:
            if not self.ended or pid != self.pid:
                os.kill(pid, signal.SIGKILL)
        self._process.wait(10)


def _limited(descriptors: int | None) -> list[str]:
    """Return the start of a command line that limits the file descriptors; empty for no limit."""
    return [] if descriptors is None else ["sh", "-c", f'ulimit -n {descriptors} && exec "$@"', "sh"]


def is_running(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
