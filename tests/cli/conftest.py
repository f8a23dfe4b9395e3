"""Config files, a persistent store, and processes that end with their test."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from redis import Redis

from otp_service.cli import main
from otp_service.sandbox.embedded_server import EmbeddedServer
from otp_service.sandbox.simulators.eims import EimsSimulator
from tests.cli.command_runs import PRICE, CommandResult, Run
from tests.cli.service_config import API_KEY, CONFIG, PASSWORD, SECRET_ENVIRON, CommandStarter, ConfigWriter
from tests.service_process import ServiceProcess


@pytest.fixture(scope="package")
def running_store() -> Iterator[EmbeddedServer]:
    """Run a store for these tests, with an append-only file as in production."""
    with EmbeddedServer("--appendonly", "yes", "--appendfsync", "no") as running:
        yield running


@pytest.fixture
def store(running_store: EmbeddedServer) -> EmbeddedServer:
    """Return the store, empty."""
    with Redis.from_url(running_store.url) as client:
        client.flushall()
    return running_store


@pytest.fixture
async def gateway() -> AsyncIterator[EimsSimulator]:
    """Run a simulated EIMS gateway."""
    async with EimsSimulator("acme", PASSWORD) as running:
        yield running


@pytest.fixture
def write_config(tmp_path: Path) -> ConfigWriter:
    """Return a function that writes the config to a file; its arguments replace parts of the template."""

    def write(**parts: Any) -> Path:
        pem = tmp_path / "t1.pem"
        key = Ed25519PrivateKey.generate()
        pem.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        base = {
            "server": "",
            "redis": "",
            "jakarta": "",
            "memory_kib": 8,
            "gateway": "http://127.0.0.1:9",
            "sha256": hashlib.sha256(API_KEY.encode()).hexdigest(),
            "pem": pem,
        }
        path = tmp_path / "otp.toml"
        path.write_text(CONFIG.format(**{**base, **parts}), encoding="utf-8")
        return path

    return write


@pytest.fixture
def start(tmp_path: Path) -> Iterator[CommandStarter]:
    """Return a function that starts `otp-service` with these arguments and environment variables."""
    services: list[ServiceProcess] = []

    def begin(*words: str, environ: Mapping[str, str] | None = None, module: str = "otp_service") -> ServiceProcess:
        services.append(ServiceProcess(tmp_path, *words, environ=environ, module=module))
        return services[-1]

    yield begin
    for service in services:
        service.end()


@pytest.fixture
def serve(start: CommandStarter, store: EmbeddedServer) -> Callable[..., ServiceProcess]:
    """Return a function that starts `otp-service serve` with a config and the store of these tests."""

    def begin(config: Path, **environ: str) -> ServiceProcess:
        return start("serve", "--config", str(config), environ={**SECRET_ENVIRON, "REDIS_URL": store.url, **environ})

    return begin


@pytest.fixture
def run(store: EmbeddedServer) -> Run:
    """Return a function that runs a command in a thread of this process, one at a time: a process takes a second."""
    own = dict.fromkeys(name for name in os.environ if name.startswith("OTP_"))

    async def command(*words: str, url: str = store.url) -> CommandResult:
        environ = {**own, **SECRET_ENVIRON, "REDIS_URL": url}
        done = await asyncio.to_thread(CliRunner().invoke, main, words, env=environ, catch_exceptions=False)
        return CommandResult(done.exit_code, done.stdout, done.stderr)

    return command


@pytest.fixture
def run_process(store: EmbeddedServer) -> Run:
    """Return a function that runs a command in a new process, while the simulated gateway runs in this one."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("OTP_")}

    async def command(*words: str, url: str = store.url) -> CommandResult:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "otp_service", *words),
            env={**own, **SECRET_ENVIRON, "REDIS_URL": url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode is not None
        return CommandResult(process.returncode, out.decode(), err.decode())

    return command


@pytest.fixture
def config(write_config: ConfigWriter, gateway: EimsSimulator) -> Callable[..., Path]:
    """Return a function that writes a config whose provider `jakarta` is the simulated gateway, with a price."""

    def written(*lines: str, more: str = "") -> Path:
        path = write_config(gateway=gateway.url, jakarta="\n".join((PRICE, *lines)))
        text = path.read_text().replace("timeout_seconds = 0.5\n", "")
        path.write_text(text + more)
        return path

    return written
