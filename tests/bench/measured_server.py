"""Server processes to measure: pinned to cores, their CPU time, and load generators beside them.

If there are more cores than the server has, it has the first ones to itself, and everything else the others, so
that a figure of the server is not one of its measuring tools. Otherwise all processes share all cores. CPU time is that
of the server's processes, read from /proc.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from otp_service.sandbox.embedded_server import die_with_parent

__all__ = [
    "Load",
    "Server",
    "cpu_seconds_of",
    "pinned",
    "running_process",
    "server_cores",
    "tool_cores",
    "wait_for",
    "wait_for_http",
]

START_SECONDS: Final = 20.0
FINISH_SECONDS: Final = 10.0
POLL_SECONDS: Final = 0.005


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]


def server_cores(count: int) -> list[int]:
    """Return the cores of the service: `count`, or all."""
    return _cores()[:count]


def tool_cores(count: int) -> list[int]:
    """Return the cores of everything else: those that a service with `count` cores leaves, or all."""
    return _cores()[count:] or _cores()


def pinned(cores: list[int], words: list[str]) -> list[str]:
    """Return a command that runs on these cores, if there is `taskset`."""
    has_tool = any(Path(folder, "taskset").exists() for folder in os.get_exec_path())
    return ["taskset", "-c", ",".join(map(str, cores)), *words] if has_tool else words


class Load:
    """One job of the load generator in a process of its own: it warms up, measures when told, and ends with the block.

    The gateway of the job accepts messages until the callers have finished, after the end of the block.
    """

    def __init__(self, words: list[str], job: Mapping[str, Any]) -> None:
        self._process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - one thread
        )
        self._write(json.dumps(job))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        try:
            self._process.wait(FINISH_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def wait_until_warm(self) -> None:
        """Return when the job is warmed up."""
        self._expect("warm")

    def measure(self) -> None:
        """Begin to measure."""
        self._write("")

    def stop(self) -> None:
        """End a timed job early."""
        self._write("")

    def wait_until_done(self) -> None:
        """Return when the measurement is over."""
        self._expect("done")

    def result(self) -> dict[str, Any]:
        """Return the results of a job that is done."""
        assert self._process.stdout
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def _write(self, line: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _expect(self, line: str) -> None:
        assert self._process.stdout
        if (found := self._process.stdout.readline()) != line + "\n":
            raise RuntimeError(f"the load generator wrote {found!r} instead of {line!r}")


@dataclass(slots=True)
class Server:
    """A server process under load."""

    url: str
    pid: int
    start_seconds: float
    cores: int = 1
    gateway_port: int = 0
    key: str = ""
    generator: str = "tests.bench.load_generator"
    _seeds: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def cpu_seconds(self) -> float:
        """CPU time of the server's processes so far, in seconds (resolution 10 ms)."""
        return sum(cpu_seconds_of(pid) for pid in [self.pid, *self.children()])

    def children(self) -> list[int]:
        """Return the process ids of its workers and helpers."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def signal(self, number: int) -> None:
        """Send a signal to the server's processes."""
        for pid in [self.pid, *self.children()]:
            os.kill(pid, number)

    def start_load(self, **job: Any) -> Load:
        """Start a job of the load generator (see `load_generator.Job`), with phone numbers of its own."""
        whole = {"url": self.url, "gateway_port": self.gateway_port, "key": self.key, "seed": next(self._seeds), **job}
        return Load(pinned(tool_cores(self.cores), [sys.executable, "-m", self.generator]), whole)

    def load(self, **job: Any) -> dict[str, Any]:
        """Run one job; return its result, with the server's CPU milliseconds for each unit, and units a second."""
        with self.start_load(**job) as load:
            load.wait_until_warm()
            before = self.cpu_seconds()
            load.measure()
            load.wait_until_done()
            used = self.cpu_seconds() - before
            result = load.result()
        units = max(1, result["count"])
        return {**result, "cpu_ms": used * 1000 / units, "per_second": result["count"] / result["seconds"]}


def cpu_seconds_of(pid: int) -> float:
    """CPU time of one process so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def running_process(
    words: list[str], environ: Mapping[str, str], log: Path, cores: list[int]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command on `cores`, with its output in `log`; end it afterwards."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTP_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            pinned(cores, words),
            stdout=output,
            stderr=output,
            env=inherited | dict(environ),
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - one thread
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for_http(port: int, process: subprocess.Popen[bytes], log: Path, path: str = "/readyz") -> None:
    """Return when a GET of `path` is answered with 200.

    Raises:
        RuntimeError: The process has ended or is not ready after `START_SECONDS`.
    """
    request = f"GET {path} HTTP/1.1\r\nHost: otp\r\nConnection: close\r\n\r\n".encode()

    def is_ready() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(request)
            return connection.recv(64).startswith(b"HTTP/1.1 200")
        return False

    wait_for(is_ready, process, log)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when `condition` returns true.

    Raises:
        RuntimeError: The process has ended, or the condition is still false after `START_SECONDS`.
    """
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        if condition():
            return
        time.sleep(POLL_SECONDS)
    raise RuntimeError(f"a server did not start: {log.read_text()}")
