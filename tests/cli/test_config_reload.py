"""`serve` reads its config again at SIGHUP: under load no request fails, and a config with errors changes nothing."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from otp_service.sandbox.embedded_server import EmbeddedServer
from otp_service.sandbox.simulators.eims import EimsSimulator
from tests.cli.service_config import API_KEY, SECRET_ENVIRON, CommandStarter, ConfigWriter, api_client
from tests.message_waits import code_in
from tests.service_process import ServiceProcess
from tests.waits import wait_until

Serve = Callable[..., ServiceProcess]
Workers = pytest.mark.parametrize("workers", [1, 2])
NO_LIMITS = "[limits]\nrecipient = []\nprefix = []\nclient_ip = []\nverify_ip = []\n"
ROTATED = "the-key-that-is-removed"
NUMBER = {"phone": "0812-1010-0055"}


def entry(name: str, key: str) -> str:
    """Return the entry of an API key."""
    return f'{{ id = "{name}", sha256 = "{hashlib.sha256(key.encode()).hexdigest()}" }}'


def set_keys(config: Path, *entries: str) -> None:
    """Write a config whose tenant has these API keys, atomically, as an operator's tools do."""
    text = re.sub(r"^api_keys = .*$", f"api_keys = [{', '.join(entries)}]", config.read_text(), flags=re.MULTILINE)
    replace_file(config, text)


def replace_file(config: Path, text: str) -> None:
    """Replace the text of a file atomically."""
    following = config.with_suffix(".next")
    following.write_text(text, encoding="utf-8")
    following.rename(config)


async def reload(service: ServiceProcess, workers: int) -> None:
    """Send SIGHUP, and wait until every process has a new application."""
    before = service.log.count('"config_reloaded"')
    service.send(signal.SIGHUP)
    await wait_until(lambda: service.log.count('"config_reloaded"') == before + workers, 15)


async def refusal(service: ServiceProcess) -> str:
    """Send SIGHUP, and return the last line of the log that says why the config was refused."""
    before = service.log.count('"config_reload_refused"')
    service.send(signal.SIGHUP)
    await wait_until(lambda: service.log.count('"config_reload_refused"') > before)
    return [line for line in service.log.splitlines() if '"config_reload_refused"' in line][-1]


async def statuses(url: str, key: str, times: int = 12) -> set[int]:
    """Return the statuses of calls over new connections, so that every worker answers some of them."""
    found = set()
    for _ in range(times):
        async with api_client(url, key) as client:
            found.add((await client.post("/v1/normalize-phone", json=NUMBER)).status_code)
    return found


class Load:
    """Calls the service without a pause, over connections that are kept and over new ones."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._numbers: Iterator[int] = itertools.count(1_000_000)
        self.outcomes: Counter[str] = Counter()
        self.accepted: dict[str, str] = {}
        self.is_over = False

    async def kept_connection(self) -> None:
        """Send request after request over one connection; each number is requested once."""
        async with api_client(self._url) as client:
            while not self.is_over:
                await self._call(client)

    async def new_connections(self) -> None:
        """Send each request over a connection of its own."""
        while not self.is_over:
            async with api_client(self._url) as client:
                await self._call(client)

    async def more(self) -> None:
        """Wait until 40 more requests are accepted."""
        before = len(self.accepted)
        await wait_until(lambda: len(self.accepted) >= before + 40, 30)

    async def _call(self, client: httpx.AsyncClient) -> None:
        number = f"+62812{next(self._numbers)}"
        try:
            response = await client.post("/v1/request-code", json={"phone": number, "purpose": "login"})
        except httpx.HTTPError as error:
            self.outcomes[type(error).__name__] += 1
            return
        self.outcomes[str(response.status_code)] += 1
        if response.status_code == 202:
            self.accepted[number.lstrip("+")] = response.json()["verification_id"]


@Workers
async def test_a_reload_under_load_loses_no_request(
    serve: Serve, write_config: ConfigWriter, gateway: EimsSimulator, workers: int
) -> None:
    """During five reloads all requests are accepted, each message is sent once, and at the end a removed key is 401."""
    config = write_config(gateway=gateway.url, server=f"workers = {workers}", jakarta="timeout_seconds = 5")
    replace_file(config, config.read_text().replace("timeout_seconds = 0.5\n", "") + NO_LIMITS)
    both = entry("web", API_KEY), entry("old", ROTATED)
    set_keys(config, *both)
    service = serve(config)
    url = await service.ready()
    load = Load(url)
    calls = [asyncio.create_task(load.kept_connection()) for _ in range(4)]
    calls += [asyncio.create_task(load.new_connections()) for _ in range(2)]
    for turn in range(5):
        await load.more()
        set_keys(config, *(both if turn < 4 else both[:1]))
        await reload(service, workers)
    await load.more()
    load.is_over = True
    await asyncio.gather(*calls)

    assert set(load.outcomes) == {"202"}, load.outcomes
    assert load.outcomes["202"] >= 240
    await wait_until(lambda: len(gateway.messages) >= len(load.accepted), 20)
    assert Counter(message.to for message in gateway.messages) == Counter(load.accepted.keys())
    assert await statuses(url, ROTATED) == {401}
    assert await statuses(url, API_KEY) == {200}
    service.send(signal.SIGTERM)
    assert await service.status() == 0
    assert '"level":"error"' not in service.log


@Workers
async def test_a_code_from_before_a_reload_verifies_after_it(
    serve: Serve, write_config: ConfigWriter, gateway: EimsSimulator, workers: int
) -> None:
    """A verification does not belong to the application that started it."""
    config = write_config(gateway=gateway.url, server=f"workers = {workers}")
    service = serve(config)
    async with api_client(await service.ready()) as client:
        asked = await client.post("/v1/request-code", json={**NUMBER, "purpose": "login"})
        await wait_until(lambda: len(gateway.messages) == 1)
        await reload(service, workers)
        code = code_in(gateway.messages[0].text)
        attempt = {"verification_id": asked.json()["verification_id"], "code": code}
        assert (await client.post("/v1/verify-code", json=attempt)).status_code == 200


@Workers
async def test_a_config_with_errors_changes_nothing(serve: Serve, write_config: ConfigWriter, workers: int) -> None:
    """Its errors are in the log as `serve` prints them; the old config goes on, and the next good one holds."""
    config = write_config(server=f"workers = {workers}")
    service = serve(config)
    url = await service.ready()
    good = config.read_text()
    faults = {
        good.replace("[hashing]", "[hashing"): "not TOML",
        good.replace('country = "ID"', 'country = "XX"'): "tenants.acme.country",
        good.replace('"env:GATEWAY_PASSWORD"', '"plain-password"'): "a plain value (not shown)",
        re.sub("^api_keys.*$", "", good, flags=re.MULTILINE): "tenants.acme.api_keys: missing",
    }
    for text, error in faults.items():
        replace_file(config, text)
        assert error in await refusal(service)
    config.unlink()
    assert "cannot be read: No such file" in await refusal(service)
    assert await statuses(url, API_KEY) == {200}
    assert "plain-password" not in service.log
    assert '"config_reloaded"' not in service.log

    replace_file(config, good)
    set_keys(config, entry("web", "another-key"))
    await reload(service, workers)
    assert (await statuses(url, API_KEY), await statuses(url, "another-key")) == ({401}, {200})


@Workers
async def test_tenants_purposes_and_limits_change(serve: Serve, write_config: ConfigWriter, workers: int) -> None:
    """A new tenant, another purpose and another limit hold after a reload."""
    config = write_config(server=f"workers = {workers}")
    service = serve(config)
    url = await service.ready()
    asked = {**NUMBER, "purpose": "withdraw"}
    async with api_client(url) as client:
        assert (await client.post("/v1/request-code", json=asked)).json()["code"] == "purpose_not_allowed"
    text = config.read_text().replace('country = "ID"', 'country = "ID"\npurposes = ["withdraw"]')
    text += f'[tenants.other]\ncountry = "ID"\napi_keys = [{entry("web", "other-key")}]\n'
    text += '[limits]\nclient_ip = ["1/60"]\n'
    replace_file(config, text)
    await reload(service, workers)
    assert await statuses(url, "other-key") == {200}
    async with api_client(url) as client:
        assert (await client.post("/v1/request-code", json=asked)).status_code == 202
        limited = await client.post("/v1/request-code", json={**asked, "phone": "0812-1010-0066"})
        assert limited.json()["limit"] == "client_ip"


@Workers
async def test_what_needs_a_restart_is_named(serve: Serve, write_config: ConfigWriter, workers: int) -> None:
    """Keys of the server, the store and the hashes keep their values, and the log names those that differ, once."""
    config = write_config(server=f"workers = {workers}")
    service = serve(config, OTHER_URL="redis://:other-password@127.0.0.1:9/0")
    url = await service.ready()
    text = config.read_text()
    for old, new in (
        (f"workers = {workers}", 'workers = 3\npublic_url = "https://otp.example.com"'),
        ("port = 0", "port = 1"),
        ('url = "env:REDIS_URL"', 'url = "env:OTHER_URL"'),
        ("time_cost = 1", "time_cost = 2"),
    ):
        text = text.replace(old, new)
    replace_file(config, text)
    await reload(service, workers)
    [line] = [line for line in service.log.splitlines() if '"config_reload_ignored"' in line]
    assert '"keys":"server.port, server.workers, redis.url, hashing.time_cost"' in line
    assert await statuses(url, API_KEY) == {200}
    await service.ready()
    assert "other-password" not in service.log


async def test_a_new_worker_has_the_config_of_the_others(serve: Serve, write_config: ConfigWriter) -> None:
    """A worker that replaces a dead one has the config that was valid last, although the file has errors now."""
    config = write_config(server="workers = 2")
    service = serve(config)
    url = await service.ready()
    set_keys(config, entry("web", "another-key"))
    await reload(service, 2)
    replace_file(config, "not TOML")
    started = re.findall(r"Started server process \[(\d+)\]", service.log)
    for pid in started:
        os.kill(int(pid), signal.SIGKILL)
    await wait_until(lambda: len(re.findall("Application startup complete", service.log)) == 4, 15)
    assert (await statuses(url, API_KEY), await statuses(url, "another-key")) == ({401}, {200})


async def test_workers_in_new_interpreters_reload(
    start: CommandStarter, store: EmbeddedServer, write_config: ConfigWriter
) -> None:
    """Where workers are not forked, SIGHUP has them read the config, too."""
    config = write_config(server="workers = 2")
    environ: dict[str, Any] = {**SECRET_ENVIRON, "REDIS_URL": store.url}
    service = start("serve", "--config", str(config), environ=environ, module="tests.cli.serve_by_spawn")
    url = await service.ready()
    await wait_until(lambda: service.log.count("Application startup complete") == 2, 15)
    set_keys(config, entry("web", "another-key"))
    await reload(service, 2)
    assert (await statuses(url, API_KEY), await statuses(url, "another-key")) == ({401}, {200})


@Workers
async def test_sighup_during_the_start(serve: Serve, write_config: ConfigWriter, workers: int) -> None:
    """A signal before the service listens does not end it; what the file has by then holds."""
    config = write_config(server=f"workers = {workers}")
    service = serve(config)
    await wait_until(lambda: service.log != "" or service.ended, 15)
    for _ in range(20):
        service.send(signal.SIGHUP)
        await asyncio.sleep(0.02)
    assert await statuses(await service.ready(), API_KEY) == {200}
    service.send(signal.SIGTERM)
    assert await service.status() == 0


@Workers
async def test_sigterm_right_after_sighup(serve: Serve, write_config: ConfigWriter, workers: int) -> None:
    """A service that is reloading ends in order."""
    service = serve(write_config(server=f"workers = {workers}"))
    await service.ready()
    service.send(signal.SIGHUP)
    await asyncio.sleep(0.05 if workers == 1 else 0.6)
    service.send(signal.SIGTERM)
    assert await service.status() == 0
    assert "Traceback" not in service.log
