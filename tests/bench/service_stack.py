"""The service as a user runs it, for measurements: `serve` in its own processes, a real Valkey, a load generator.

With two cores or more the service is pinned to the first and everything else to the second, so a figure of the service
is not one of its measuring tools. CPU time is that of the service's processes, read from /proc.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from otp_service.sandbox.embedded_server import server_binary
from tests.service_process import free_port

__all__ = ["CHEAPEST_HASH", "DEFAULT_HASH", "Stack", "pinned", "running_stack"]

DEFAULT_HASH: Final = "time_cost = 3\nmemory_kib = 12288"
CHEAPEST_HASH: Final = "time_cost = 1\nmemory_kib = 8\nallow_weak = true"
START_SECONDS: Final = 20.0
API_KEY: Final = "bench"

CONFIG: Final = """
[server]
port = {port}
workers = {workers}
[redis]
url = "env:REDIS_URL"
[hashing]
{hashing}
[keys]
current = "k1"
index = "k1"
k1 = "env:KEY"
[tokens]
issuer = "https://otp.example.com"
current = "t1"
t1 = "env:PEM"
[tenants.bench]
country = "ID"
api_keys = [{{ id = "web", sha256 = "{sha256}", scopes = ["request", "verify", "read", "server"] }}]
[providers.eims]
type = "eims"
base_url = "http://127.0.0.1:{gateway_port}"
account = "bench"
password = "env:EIMS_PASSWORD"
max_concurrent = 64
report_poll_seconds = 0
[[routes]]
country = "ID"
providers = ["eims"]
[limits]
prefix = []
{extra}
"""


def pinned(core: int) -> list[str]:
    """Begin a command that runs on one core, where there are two and `taskset`."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    has_tool = any(Path(folder, "taskset").exists() for folder in os.get_exec_path())
    return ["taskset", "-c", str(cores[core])] if has_tool and len(cores) > 1 else []


@dataclass(slots=True)
class Stack:
    """A running service, its store and its gateway's port."""

    url: str
    redis_url: str
    gateway_port: int
    pid: int
    start_seconds: float

    def cpu_seconds(self) -> float:
        """CPU time of the service's processes so far, in seconds (resolution 10 ms)."""
        return sum(_cpu_seconds(pid) for pid in self._processes())

    def resident_bytes(self) -> int:
        """Resident memory of the service's processes."""
        statuses = (Path(f"/proc/{pid}/status").read_text() for pid in self._processes())
        return sum(int(text.partition("VmRSS:")[2].split()[0]) * 1024 for text in statuses)

    def _processes(self) -> list[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *map(int, children)]

    def load(self, **job: Any) -> dict[str, Any]:
        """Run one job of the load generator; its result, with the service's CPU milliseconds for each unit of it."""
        words = [*pinned(1), sys.executable, "-m", "tests.bench.load_generator"]
        whole = {"url": self.url, "gateway_port": self.gateway_port, "key": API_KEY, **job}
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin and process.stdout
            process.stdin.write(json.dumps(whole) + "\n")
            process.stdin.flush()
            assert process.stdout.readline() == "warm\n"
            before = self.cpu_seconds()
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "done\n"
            used = self.cpu_seconds() - before
            result: dict[str, Any] = json.loads(process.stdout.readline())
        return {**result, "cpu_ms": used * 1000 / result["count"], "per_second": result["count"] / result["seconds"]}


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def running_stack(hashing: str = CHEAPEST_HASH, *, workers: int = 1, extra: str = "") -> Iterator[Stack]:
    """Start a store and a service with `hashing` (TOML) and `extra` config; end both afterwards."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        redis_port, gateway_port, port = free_port(), free_port(), free_port()
        options = ("--port", str(redis_port), "--save", "", "--dir", folder, "--loglevel", "warning")
        stack.enter_context(_running([*pinned(1), server_binary(), *options], {}, Path(folder, "redis.log")))
        config = Path(folder, "otp.toml")
        digest = hashlib.sha256(API_KEY.encode()).hexdigest()
        config.write_text(
            CONFIG.format(
                port=port, workers=workers, hashing=hashing, sha256=digest, gateway_port=gateway_port, extra=extra
            )
        )
        pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        redis_url = f"redis://127.0.0.1:{redis_port}"
        secrets = {"REDIS_URL": redis_url, "KEY": "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=", "PEM": pem}
        words = [*(pinned(0) if workers == 1 else []), sys.executable, "-m", "otp_service", "serve"]
        started, log = time.monotonic(), Path(folder, "service.log")
        process = stack.enter_context(
            _running([*words, "--config", str(config)], {**secrets, "EIMS_PASSWORD": "password"}, log)
        )
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(url, process, log)
        yield Stack(url, redis_url, gateway_port, process.pid, time.monotonic() - started)


@contextlib.contextmanager
def _running(words: list[str], environ: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(words, stdout=output, stderr=output, env=os.environ | environ)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url + "/readyz", trust_env=False).status_code == 200:
                return
        time.sleep(0.01)
    raise RuntimeError(f"the service did not start: {log.read_text()}")
