"""The service as a user runs it: `serve` in its own processes, a real Valkey, and a gateway that speaks EIMS."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from otp_service.sandbox.embedded_server import server_binary
from tests.bench.measured_server import (
    Server,
    cpu_seconds_of,
    running_process,
    server_cores,
    tool_cores,
    wait_for,
    wait_for_http,
)
from tests.service_process import free_port

__all__ = ["API_KEY", "CHEAPEST_HASH", "DEFAULT_HASH", "FLOODING_KEY", "Stack", "running_stack", "running_store"]

DEFAULT_HASH: Final = "time_cost = 3\nmemory_kib = 12288"
CHEAPEST_HASH: Final = "time_cost = 1\nmemory_kib = 8\nallow_weak = true"
API_KEY: Final = "bench"
FLOODING_KEY: Final = "flooding"

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
api_keys = [{{ id = "web", sha256 = "{bench}", scopes = ["request", "verify", "read", "server"] }}]
[tenants.flooding]
country = "ID"
api_keys = [{{ id = "app", sha256 = "{flooding}", scopes = ["request", "verify", "read"] }}]
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
{extra}
"""


@dataclass(slots=True, kw_only=True)
class Stack(Server):
    """A running service and its store."""

    redis_url: str
    store_pid: int

    def store_cpu_seconds(self) -> float:
        """CPU time of the store so far, in seconds."""
        return cpu_seconds_of(self.store_pid)


@contextlib.contextmanager
def running_stack(
    hashing: str = CHEAPEST_HASH,
    *,
    workers: int = 1,
    cores: int | None = None,
    extra: str = "",
    module: str = "otp_service",
    environ: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Stack]:
    """Start a store and a service with `hashing` (TOML) and `extra` config; end both afterwards.

    The service has `cores`, None for one for each worker; the store has the others, or all if there are no others.
    `module` is run instead of the service, and has `environ` as well.
    """
    cores = cores or workers
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        redis_port, gateway_port, port = free_port(), free_port(), free_port()
        store_pid = stack.enter_context(running_store(Path(folder), redis_port, cores))
        config, log = Path(folder, "otp.toml"), Path(folder, "service.log")
        keys = {name: hashlib.sha256(name.encode()).hexdigest() for name in (API_KEY, FLOODING_KEY)}
        config.write_text(
            CONFIG.format(port=port, workers=workers, hashing=hashing, gateway_port=gateway_port, extra=extra, **keys)
        )
        pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        url, redis_url = f"http://127.0.0.1:{port}", f"redis://127.0.0.1:{redis_port}"
        secrets = {"REDIS_URL": redis_url, "KEY": "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=", "PEM": pem}
        words = [sys.executable, "-m", module, "serve", "--config", str(config)]
        started = time.monotonic()
        environ = {**secrets, "EIMS_PASSWORD": "password", **environ}
        process = stack.enter_context(running_process(words, environ, log, server_cores(cores)))
        wait_for_http(port, process, log)
        seconds = time.monotonic() - started
        yield Stack(url, process.pid, seconds, cores, gateway_port, API_KEY, redis_url=redis_url, store_pid=store_pid)


@contextlib.contextmanager
def running_store(folder: Path, port: int, cores: int = 1) -> Iterator[int]:
    """Start an empty store on the cores that a service with `cores` leaves; return its process id."""
    options = ("--port", str(port), "--save", "", "--dir", str(folder), "--loglevel", "warning")
    log = folder / "redis.log"
    with running_process([server_binary(), *options], {}, log, tool_cores(cores)) as process:
        wait_for(lambda: _can_connect(port), process, log)
        yield process.pid


def _can_connect(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
