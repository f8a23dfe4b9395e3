"""The replicas as processes: one config, one store, and a port that each replica keeps over restarts."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import random
import socket
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.chaos.faulty_gateways import ACCOUNT, HOOK_KEY, PASSWORD, FaultyGateway
from tests.chaos.scenario import HOLD_SECONDS, MAX_TEXTS, TIMEOUT_SECONDS, Scenario
from tests.service_process import ServiceProcess

__all__ = ["API_KEY", "Replicas", "unused_port"]

API_KEY: Final = "a-key-of-acme"
PORT_RANGE: Final = (20_000, 32_000)
"""Below the ephemeral ports, so that no outgoing connection takes one while its replica is down."""

CONFIG: Final = """
[server]
public_url = "{public_url}"
[redis]
url = "env:REDIS_URL"
[keys]
current = "k1"
index = "k1"
k1 = "env:KEY_K1"
[tokens]
issuer = "https://otp.example.com"
current = "t1"
t1 = "file:{pem}"
[hashing]
time_cost = 1
memory_kib = 8
allow_weak = true
[tenants.acme]
brand = "Acme"
country = "ID"
api_keys = [{{ id = "web", sha256 = "{sha256}" }}]
[tenants.acme.policy]
ttl_seconds = {ttl}
resend_cooldown_seconds = 1
max_sends = 20
[providers.jakarta]
type = "eims"
base_url = "{jakarta}"
account = "{account}"
password = "env:PASSWORD"
timeout_seconds = {timeout}
report_poll_seconds = 0.5
[providers.keda]
type = "kedasms"
base_url = "{keda}"
status_base_url = "{keda}"
api_key = "env:PASSWORD"
encryption_key = "env:ENCRYPTION_KEY"
timeout_seconds = {timeout}
[providers.aurora]
type = "sendcloud"
base_url = "{aurora}"
sms_user = "{account}"
sms_key = "env:PASSWORD"
hook_key = "env:HOOK_KEY"
template_id = 1234
timeout_seconds = {timeout}
[[routes]]
providers = {route}
[delivery]
hold_seconds = {hold}
max_texts = {max_texts}
[limits]
recipient = []
client_ip = []
prefix = []
"""


class Replicas:
    """The processes of one service; `kills_ms` are the times of the kills in Unix time."""

    def __init__(self, folder: Path, scenario: Scenario, store_url: str, gateways: Sequence[FaultyGateway]) -> None:
        """Write the config; no process is started."""
        self.kills_ms: list[float] = []
        self._folder = folder
        self._ports = [unused_port() for _ in range(scenario.replicas)]
        self._running: dict[int, ServiceProcess] = {}
        self._all: list[ServiceProcess] = []
        self._environ = {
            "REDIS_URL": store_url,
            "KEY_K1": base64.b64encode(b"k" * 32).decode(),
            "PASSWORD": PASSWORD,
            "ENCRYPTION_KEY": base64.b64encode(bytes(range(32))).decode(),
            "HOOK_KEY": HOOK_KEY,
        }
        self._config = folder / "otp.toml"
        self._config.write_text(self._config_text(scenario, gateways), encoding="utf-8")

    @property
    def urls(self) -> list[str]:
        """The URLs of all replicas, running or not."""
        return [f"http://127.0.0.1:{port}" for port in self._ports]

    @property
    def log(self) -> str:
        """The output of all processes, also of the killed ones."""
        return "".join(service.log for service in self._all)

    async def start(self, numbers: Collection[int]) -> None:
        """Start replicas, and wait until they serve."""
        for number in numbers:
            arguments = ("serve", "--config", str(self._config), "--port", str(self._ports[number]))
            service = ServiceProcess(
                self._folder, *arguments, environ=self._environ, module="tests.chaos.serve_with_short_leases"
            )
            self._running[number] = service
            self._all.append(service)
        await asyncio.gather(*(self._running[number].ready() for number in numbers))

    async def kill(self, numbers: Collection[int]) -> None:
        """Kill replicas with `kill -9`, all at the same time."""
        self.kills_ms.append(time.time() * 1000)
        await asyncio.gather(*(self._running[number].kill() for number in numbers))

    def end(self) -> None:
        """End all processes."""
        for service in self._all:
            service.end()

    def _config_text(self, scenario: Scenario, gateways: Sequence[FaultyGateway]) -> str:
        pem = self._folder / "t1.pem"
        key = Ed25519PrivateKey.generate()
        pem.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        weighted = ", ".join(f'{{ name = "{name}", weight = 1 }}' for name in scenario.order)
        return CONFIG.format(
            public_url=self.urls[0],
            pem=pem,
            sha256=hashlib.sha256(API_KEY.encode()).hexdigest(),
            ttl=scenario.ttl_seconds,
            account=ACCOUNT,
            timeout=TIMEOUT_SECONDS,
            hold=HOLD_SECONDS,
            max_texts=MAX_TEXTS,
            route=f"[{weighted}]" if scenario.weighted else json.dumps(scenario.order),
            **{gateway.name: gateway.url for gateway in gateways},
        )


def unused_port() -> int:
    """Find a port on which nothing listens, and that no outgoing connection uses."""
    while True:
        port = random.SystemRandom().randint(*PORT_RANGE)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
