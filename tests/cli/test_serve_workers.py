"""`serve` with several workers: they are forked from a supervisor that has imported everything."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from otp_service.sandbox.embedded_server import EmbeddedServer
from tests.cli.service_config import API_KEY, SECRET_ENVIRON, CommandStarter, ConfigWriter, api_client
from tests.service_process import ServiceProcess, is_running
from tests.waits import wait_until

Serve = Callable[..., ServiceProcess]
PHONE = "0812-1010-0055"
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")


def workers_of(service: ServiceProcess) -> list[int]:
    """Return the ids of the workers that have started so far."""
    return [int(pid) for pid in re.findall(r"Started server process \[(\d+)\]", service.log)]


async def started(service: ServiceProcess, workers: int) -> list[int]:
    """Wait until all workers have started, and return their ids."""
    await service.ready()
    await wait_until(lambda: len(workers_of(service)) == workers)
    return workers_of(service)


def memory_kib(pid: int, kind: str) -> int:
    """Return one figure of the memory of a process (Linux only)."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    found = re.search(rf"^{kind}: +(\d+) kB", rollup, re.MULTILINE)
    assert found
    return int(found[1])


@linux_only
async def test_workers_share_the_memory_of_the_imports(serve: Serve, write_config: ConfigWriter) -> None:
    """Less than half of the memory of each worker is its own, also after requests."""
    service = serve(write_config(server="workers = 2"))
    workers = await started(service, 2)
    for _ in range(40):
        async with api_client(await service.url()) as client:
            assert (await client.post("/v1/normalize-phone", json={"phone": PHONE})).status_code == 200

    for pid in workers:
        assert memory_kib(pid, "Private_Dirty") < memory_kib(pid, "Rss") / 2


@linux_only
@pytest.mark.parametrize("workers", [1, 2])
async def test_the_collector_skips_what_lives_as_long_as_the_process(
    start: CommandStarter, store: EmbeddedServer, write_config: ConfigWriter, workers: int
) -> None:
    """All imported objects are frozen, in workers since before the fork, and collections are rare."""
    config = write_config(server=f"workers = {workers}")
    environ = {**SECRET_ENVIRON, "REDIS_URL": store.url}
    service = start("serve", "--config", str(config), environ=environ, module="tests.cli.serve_with_report")
    await started(service, workers)
    service.send(signal.SIGTERM)
    assert await service.status() == 0

    reports = re.findall(r"^frozen: (\d+) thresholds: \((\d+), ", service.log, re.MULTILINE)
    assert len(reports) == (1 if workers == 1 else workers + 1)
    assert all(int(frozen) > 40_000 and int(threshold) == 50_000 for frozen, threshold in reports)


@linux_only
async def test_workers_are_forked_from_one_thread(
    start: CommandStarter, store: EmbeddedServer, write_config: ConfigWriter
) -> None:
    """The supervisor has no second thread when it forks; one worker, not it, measures the hash rate."""
    config = write_config(server="workers = 2")
    environ = {**SECRET_ENVIRON, "REDIS_URL": store.url}
    service = start("serve", "--config", str(config), environ=environ, module="tests.cli.serve_with_report")
    await started(service, 2)
    await wait_until(lambda: '"hash_rate"' in service.log)
    for pid in await started(service, 2):
        os.kill(pid, signal.SIGKILL)
    await wait_until(lambda: len(workers_of(service)) == 4)

    assert re.findall(r"threads at fork: (\d+)", service.log) == ["1"] * 4
    assert service.log.count('"hash_rate"') == 1


@pytest.mark.parametrize("workers", [1, 2])
async def test_the_first_request_imports_nothing(serve: Serve, write_config: ConfigWriter, workers: int) -> None:
    """After readiness a request imports no module: the numbering plan of the tenant is loaded before."""
    service = serve(write_config(server=f"workers = {workers}"), PYTHONPROFILEIMPORTTIME="1")
    await started(service, workers)
    await wait_until(lambda: service.log.count("Application startup complete") == workers)
    imports = service.log.count("import time:")
    async with api_client(await service.url()) as client:
        response = await client.post("/v1/request-code", json={"phone": PHONE, "purpose": "login"})
    assert response.status_code == 202

    assert re.findall(r"import time:.*\| +(\S+)", service.log)[imports:] == []


@linux_only
async def test_workers_import_nothing_again(serve: Serve, write_config: ConfigWriter) -> None:
    """Two workers and their supervisor import each module of the package once, together."""
    service = serve(write_config(server="workers = 2"), PYTHONPROFILEIMPORTTIME="1")
    await started(service, 2)

    names = re.findall(r"^import time:.*\| +(otp_service\S*|redis|httptools|uvloop)$", service.log, re.MULTILINE)
    assert "otp_service.api.app" in names
    assert len(names) == len(set(names))


async def test_sigterm_during_the_start(serve: Serve, write_config: ConfigWriter) -> None:
    """A signal right after the workers are started ends them and the supervisor."""
    service = serve(write_config(server="workers = 4"))
    await wait_until(lambda: len(service.descendants()) >= 4, 15)
    family = service.descendants()
    service.send(signal.SIGTERM)
    assert await service.status() == 0
    await wait_until(lambda: not any(map(is_running, family)))


async def test_workers_in_new_interpreters(
    start: CommandStarter, store: EmbeddedServer, write_config: ConfigWriter
) -> None:
    """Where workers are not forked, they serve, share their metrics, and end at SIGTERM, too."""
    config = write_config(server="workers = 2")
    environ = {**SECRET_ENVIRON, "REDIS_URL": store.url}
    service = start("serve", "--config", str(config), environ=environ, module="tests.cli.serve_by_spawn")
    await started(service, 2)
    url = await service.url()
    for _ in range(10):
        async with api_client(url, API_KEY) as client:
            assert (await client.post("/v1/normalize-phone", json={"phone": PHONE})).status_code == 200
    counted = re.compile(r'otp_requests_total\{route="/v1/normalize-phone",status="200"\} 10\.0')
    async with asyncio.timeout(10), api_client(url) as client:  # a request is counted after its response is sent
        while not counted.search((await client.get("/metrics")).text):
            await asyncio.sleep(0.02)
    service.send(signal.SIGTERM)
    assert await service.status() == 0
