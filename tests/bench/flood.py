"""Measure what a flood by one tenant does to another tenant, on a real service with two workers.

`python -m tests.bench.flood [SECONDS]`: 300 connections with the API key of a mobile app send one kind of request, each
as soon as the last response has arrived. Meanwhile another tenant requests codes and submits wrong ones at a steady
rate; each call is timed from the moment when it was due. Printed are the refusals of that tenant, and its p50 and p99
relative to those without a flood in the same run. The flood runs in a separate process.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from otp_service.sandbox.embedded_server import EmbeddedServer
from tests.service_process import ServiceProcess

CONNECTIONS: Final = 300
CALLS_A_SECOND: Final = 10
FLOOD_BEGINS_SECONDS: Final = 3
FLOODS: Final = ("unknown id", "unknown ids", "no key", "normalize-phone")
ID: Final = "A" * 23

CONFIG: Final = """
[server]
port = 0
workers = 2
[redis]
url = "env:REDIS_URL"
[keys]
current = "k1"
index = "k1"
k1 = "env:KEY"
[tokens]
issuer = "https://otp.example.com"
current = "t1"
t1 = "env:PEM"
[tenants.honest]
country = "ID"
api_keys = [{{ id = "web", sha256 = "{honest}", scopes = ["request", "verify", "server"] }}]
[tenants.flooding]
country = "ID"
api_keys = [{{ id = "app", sha256 = "{flooding}", scopes = ["request", "verify", "read"] }}]
[providers.inbox]
type = "inbox"
[[routes]]
providers = ["inbox"]
[limits]
prefix = []
recipient = []
verify_ip = {verify_ip}
"""


@dataclass(slots=True)
class CallerResults:
    """The responses to the other tenant by status, and the seconds that each took."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def quantile(self, share: float) -> float:
        """Return a quantile of the times in ms."""
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(len(self.seconds) * share))] * 1000

    @property
    def refused(self) -> int:
        """The number of responses other than 202 (code sent) and 422 (wrong code)."""
        return sum(count for status, count in self.statuses.items() if status not in (202, 422))


async def call_steadily(url: str, seconds: float) -> CallerResults:
    """Request codes and submit wrong ones at a steady rate."""
    results, calls = CallerResults(), int(seconds * CALLS_A_SECOND)
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
        client.headers["Authorization"] = "Bearer honest"
        started = time.monotonic() + 0.1

        async def flow(number: int) -> None:
            phone = f"+62812{secrets.randbelow(10**8):08d}"
            due = started + 2 * number / CALLS_A_SECOND
            response = await timed(due, "/v1/request-code", {"phone": phone, "purpose": "login"})
            if response.status_code == 202:
                due = max(due + 1 / CALLS_A_SECOND, time.monotonic())
                attempt = {"verification_id": response.json()["verification_id"], "code": "0000000"}
                await timed(due, "/v1/verify-code", attempt)

        async def timed(due: float, path: str, body: Mapping[str, str]) -> httpx.Response:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            response = await client.post(path, json=body)
            results.seconds.append(time.monotonic() - due)
            results.statuses[response.status_code] += 1
            return response

        await asyncio.gather(*(flow(number) for number in range(calls // 2)))
    return results


def request_of(kind: str) -> bytes:
    """Return one request of a flood."""
    target = ID if kind == "unknown id" else "B" + secrets.token_urlsafe(16)
    body = json.dumps({"verification_id": target, "code": "123456"})
    path, key = "/v1/verify-code", "flooding"
    if kind == "normalize-phone":
        path, body = "/v1/normalize-phone", '{"phone": "081210100055"}'
    if kind == "no key":
        key = "nobody"
    return (
        f"POST {path} HTTP/1.1\r\nHost: otp\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


async def flood(url: str, kind: str, seconds: float) -> Counter[str]:
    """Keep `CONNECTIONS` connections busy; return the number of responses by status."""
    where, until, answers = urlsplit(url), time.monotonic() + seconds, Counter[str]()

    async def caller() -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
            reader, writer = await asyncio.open_connection(where.hostname, where.port)
            while time.monotonic() < until:
                writer.write(request_of(kind))
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                await reader.readexactly(int(head.partition("content-length:")[2].partition("\r")[0]))
                answers[head.split(" ", 2)[1]] += 1
            writer.close()

    await asyncio.gather(*(caller() for _ in range(CONNECTIONS)))
    return answers


@contextlib.contextmanager
def running_service(verify_ip: str) -> Iterator[str]:
    """Run the service on a store of its own, and return its URL."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with EmbeddedServer() as store, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "otp.toml"
        digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("honest", "flooding")}
        path.write_text(CONFIG.format(verify_ip=verify_ip, **digests), encoding="utf-8")
        environ = {"REDIS_URL": store.url, "KEY": "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=", "PEM": pem}
        service = ServiceProcess(Path(folder), "serve", "--config", str(path), environ=environ)
        try:
            yield asyncio.run(service.ready())
        finally:
            service.end()


def measure_during_flood(url: str, kind: str, seconds: float) -> tuple[CallerResults, str]:
    """Measure the other tenant during a flood that started some seconds before; return the flood's own summary, too."""
    words = [
        sys.executable,
        "-m",
        __spec__.name if __spec__ else "tests.bench.flood",
        url,
        kind,
        str(seconds + FLOOD_BEGINS_SECONDS + 1),
    ]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    time.sleep(FLOOD_BEGINS_SECONDS)
    results = asyncio.run(call_steadily(url, seconds))
    return results, process.communicate(timeout=60)[0].strip()


def measure(seconds: float, kinds: tuple[str, ...] = FLOODS) -> Iterator[str]:
    """Yield a line without a flood and one for each kind of flood, in one run of the service."""
    with running_service("[]") as url:
        asyncio.run(call_steadily(url, 2))  # warm
        alone = asyncio.run(call_steadily(url, seconds))
        times = f"p50 {alone.quantile(0.5):.0f} ms and p99 {alone.quantile(0.99):.0f} ms taken as 1"
        yield f"no flood: {len(alone.seconds)} calls, {alone.refused} refused, {times}"
        for kind in kinds:
            results, answers = measure_during_flood(url, kind, seconds)
            ratios = ", ".join(f"p{int(q * 100)} {results.quantile(q) / alone.quantile(q):.2f}" for q in (0.5, 0.99))
            refused = f"{results.refused} of {len(results.seconds)} refused"
            yield f"{CONNECTIONS} connections, {kind}: {refused}, {ratios}; {answers}"


def main(words: list[str]) -> None:
    """Print the measurements; with three arguments, run the flood."""
    if len(words) == 3:
        answers = asyncio.run(flood(words[0], words[1], float(words[2])))
        sys.stdout.write(f"the flood got {dict(answers)}\n")
        return
    for line in measure(float(words[0]) if words else 20.0):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
