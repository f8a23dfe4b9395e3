"""`serve` reads its config again at SIGHUP: what changes, what does not, and what a config with errors does."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from otp_service.bootstrap import ConfigFile
from otp_service.observability.audit import AUDIT
from otp_service.sandbox.embedded_server import EmbeddedServer
from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.sandbox.simulators.http_server import Respond, SimulatorResponse
from otp_service.settings import load_file
from tests.cli.config_edits import NUMBER, Serve, Workers, entry, reload, replace_file, set_keys, statuses
from tests.cli.service_config import API_KEY, SECRET_ENVIRON, CommandStarter, ConfigWriter, api_client
from tests.issuer_simulator import AUDIENCE, CLIENT, IssuerSimulator
from tests.message_waits import code_in
from tests.service_process import ServiceProcess
from tests.waits import wait_for_sample, wait_until


async def refusal(service: ServiceProcess) -> str:
    """Send SIGHUP, and return the last line of the log that says why the config was refused."""
    before = service.log.count('"config_reload_refused"')
    service.send(signal.SIGHUP)
    await wait_until(lambda: service.log.count('"config_reload_refused"') > before, 30)
    return [line for line in service.log.splitlines() if '"config_reload_refused"' in line][-1]


@Workers
async def test_a_code_from_before_a_reload_verifies_after_it(
    serve: Serve, write_config: ConfigWriter, gateway: EimsSimulator, workers: int
) -> None:
    """A verification does not belong to the application that started it."""
    config = write_config(gateway=gateway.url, server=f"workers = {workers}")
    service = serve(config)
    async with api_client(await service.ready()) as client:
        asked = await client.post("/v1/request-code", json={**NUMBER, "purpose": "login"})
        await wait_until(lambda: len(gateway.messages) == 1, 30)
        await reload(service, workers)
        code = code_in(gateway.messages[0].text)
        attempt = {"verification_id": asked.json()["verification_id"], "code": code}
        assert (await client.post("/v1/verify-code", json=attempt)).status_code == 200


async def test_access_tokens_hold_while_their_issuer_is_down(serve: Serve, write_config: ConfigWriter) -> None:
    """A reload keeps the issuer's keys: tokens go on while it does not answer, and no others become valid."""
    async with IssuerSimulator() as issuer:
        table = f'issuer = "{issuer.url}"\naudience = "{AUDIENCE}"\njwks_url = "{issuer.url}/jwks.json"\n'
        config = write_config(server="workers = 2")
        config.write_text(f'{config.read_text()}[issuers.corp]\n{table}clients = {{ "{CLIENT}" = "acme" }}\n')
        service = serve(config)
        url = await service.ready()
        assert await statuses(url, issuer.token()) == {200}
        async with api_client(url) as client:  # both workers have the keys
            await wait_for_sample(client, 'otp_issuer_fetches_total{issuer="corp",result="ok"} 2.0')

        issuer.always = Respond(SimulatorResponse(status=500))
        await reload(service, 2)
        assert await statuses(url, issuer.token()) == {200}
        issuer.keys["k2"] = Ed25519PrivateKey.generate()
        assert await statuses(url, issuer.token(), times=2) == {503}

        replace_file(config, config.read_text().replace("/jwks.json", "/other.json"))
        await reload(service, 2)
        assert await statuses(url, issuer.token(key_id="k1"), times=2) == {503}


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
        good + "[redis2]\n": "redis2: unknown key",
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


async def test_tenants_purposes_and_limits_change(serve: Serve, write_config: ConfigWriter) -> None:
    """A new tenant, another purpose and another limit hold after a reload."""
    config = write_config(server="workers = 2")
    service = serve(config)
    url = await service.ready()
    asked = {**NUMBER, "purpose": "withdraw"}
    async with api_client(url) as client:
        assert (await client.post("/v1/request-code", json=asked)).json()["code"] == "purpose_not_allowed"
    text = config.read_text().replace('country = "ID"', 'country = "ID"\npurposes = ["withdraw"]')
    text += f'[tenants.other]\ncountry = "ID"\napi_keys = [{entry("web", "other-key")}]\n'
    text += '[limits]\nclient_ip = ["1/60"]\n'
    replace_file(config, text)
    await reload(service, 2)
    assert await statuses(url, "other-key") == {200}
    async with api_client(url) as client:
        assert (await client.post("/v1/request-code", json=asked)).status_code == 202
        limited = await client.post("/v1/request-code", json={**asked, "phone": "0812-1010-0066"})
        assert limited.json()["limit"] == "client_ip"


async def test_what_needs_a_restart_is_named(serve: Serve, write_config: ConfigWriter) -> None:
    """Keys of the server, the store and the hashes keep their values, and the log names those that differ, once."""
    config = write_config(server="workers = 2")
    service = serve(config, OTHER_URL="redis://:other-password@127.0.0.1:9/0")
    url = await service.ready()
    text = config.read_text()
    for old, new in (
        ("workers = 2", 'workers = 3\npublic_url = "https://otp.example.com"'),
        ("port = 0", "port = 1"),
        ('url = "env:REDIS_URL"', 'url = "env:OTHER_URL"'),
        ("time_cost = 1", "time_cost = 2"),
    ):
        text = text.replace(old, new)
    replace_file(config, text)
    await reload(service, 2)
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
    await wait_until(lambda: len(re.findall("Application startup complete", service.log)) == 4, 30)
    assert (await statuses(url, API_KEY), await statuses(url, "another-key")) == ({401}, {200})


async def test_the_expiry_of_keys_is_a_metric(serve: Serve, write_config: ConfigWriter) -> None:
    """A key with `expires_at` has a sample; after a reload it is the new time, and +Inf for a key that is gone."""
    config = write_config(server="workers = 2")
    web = entry("web", API_KEY)
    set_keys(config, web, f"{entry('old', 'old-key')[:-2]}, expires_at = 2999-01-01T00:00:00Z }}")
    service = serve(config)
    url = await service.ready()

    async def samples() -> dict[str, float]:
        async with api_client(url) as client:
            page = (await client.get("/metrics")).text
        found = re.findall(
            r'^otp_api_key_expiry_timestamp_seconds\{api_key="(\w+)",tenant="acme"\} (\S+)$', page, re.MULTILINE
        )
        return {name: float(value) for name, value in found}

    assert await samples() == {"old": 32472144000.0}
    set_keys(config, web, f"{entry('old', 'old-key')[:-2]}, expires_at = 2020-01-01T00:00:00Z }}")
    await reload(service, 2)
    assert await samples() == {"old": 1577836800.0}
    assert re.search(r'the API key \\"old\\" has expired [\d.]+ days ago"', service.log)
    set_keys(config, web)
    await reload(service, 2)
    assert await samples() == {"old": float("inf")}


async def test_workers_in_new_interpreters_reload(
    start: CommandStarter, store: EmbeddedServer, write_config: ConfigWriter
) -> None:
    """Where workers are not forked, SIGHUP has them read the config, too."""
    config = write_config(server="workers = 2")
    environ: dict[str, Any] = {**SECRET_ENVIRON, "REDIS_URL": store.url}
    service = start("serve", "--config", str(config), environ=environ, module="tests.cli.serve_by_spawn")
    url = await service.ready()
    await wait_until(lambda: service.log.count("Application startup complete") == 2, 30)
    set_keys(config, entry("web", "another-key"))
    await reload(service, 2)
    assert (await statuses(url, API_KEY), await statuses(url, "another-key")) == ({401}, {200})


@Workers
async def test_sighup_during_the_start(serve: Serve, write_config: ConfigWriter, workers: int) -> None:
    """A signal before the service listens does not end it; what the file has by then holds."""
    config = write_config(server=f"workers = {workers}")
    service = serve(config)
    await wait_until(lambda: service.log != "" or service.ended, 30)
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


@Workers
async def test_a_reload_is_in_the_audit_log(serve: Serve, write_config: ConfigWriter, workers: int) -> None:
    """One line for each reload says which keys changed, and no value; a refused one says so."""
    config = write_config(server=f"workers = {workers}")
    log = config.with_name("audit.jsonl")
    good = config.read_text() + f'[audit]\nfile = "{log}"\n'
    config.write_text(good)
    service = serve(config)
    await service.ready()
    replace_file(config, good.replace('brand = "', 'brand = "Secret ') + '[limits]\nclient_ip = ["7/777"]\n')
    await reload(service, workers)
    replace_file(config, "[")
    await refusal(service)
    await wait_until(lambda: len(log.read_text().splitlines()) == 2, 30)
    first, second = (json.loads(line) for line in log.read_text().splitlines())
    assert (first["action"], first["actor"], first["result"]) == ("config_reload", "SIGHUP", "reloaded")
    assert first["changed"] == ["limits.client_ip", "tenants.acme.brand"]
    assert (second["action"], second["result"]) == ("config_reload", "refused")
    assert not any(word in log.read_text() for word in ("Secret", "777"))


def test_the_audit_log_of_every_process_moves(write_config: ConfigWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload to another file is the last line of the old one, also in a process that builds no application."""
    for name, value in {**SECRET_ENVIRON, "REDIS_URL": "redis://127.0.0.1:9/0"}.items():
        monkeypatch.setenv(name, value)
    config = write_config()
    logs = [config.with_name(name) for name in ("first.jsonl", "second.jsonl")]
    texts = [f'{config.read_text()}[audit]\nfile = "{log}"\n' for log in logs]
    replace_file(config, texts[0])
    file = ConfigFile(str(config), load_file(config, os.environ))
    AUDIT.configure(str(logs[0]))
    try:
        replace_file(config, texts[1])
        assert (file.reload(), file.reload()) == (True, True)
    finally:
        AUDIT.configure(None)
    changed = [json.loads(line)["changed"] for log in logs for line in log.read_text().splitlines()]
    assert changed == [["audit.file"], []]
