"""`otp-service dev`: the whole flow, a config over the defaults, and a clean end."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
from pathlib import Path
from typing import Any

import httpx

from otp_service.sandbox.dev_config import API_KEY
from tests.cli.service_config import CommandStarter, api_client
from tests.service_process import free_port, is_running
from tests.waits import wait_until


async def inbox(client: httpx.AsyncClient, count: int) -> list[dict[str, Any]]:
    """Wait for `count` messages; return the inbox."""
    async with asyncio.timeout(5):
        while True:
            messages: list[dict[str, Any]] = (await client.get("/dev/messages")).json()["messages"]
            if len(messages) >= count:
                return messages
            await asyncio.sleep(0.01)


async def test_the_flow_in_the_readme_works(start: CommandStarter) -> None:
    """A requested code is in the inbox and verifies; SIGTERM ends the service with status 0, and its store."""
    service = start("dev", "--port", "0")
    async with api_client(await service.ready(), API_KEY) as client:
        ids = []
        for phone in ("0812-1010-0055", "0812-1010-0056"):
            response = await client.post("/v1/request-code", json={"phone": phone, "purpose": "login"})
            assert response.status_code == 202, response.text
            ids.append(response.json()["verification_id"])
            await inbox(client, len(ids))
        messages = await inbox(client, len(ids))
        page = await client.get("/")
        newest = messages[0]
        code = re.search(r"\d{6}", newest["text"])
        assert code
        verified = await client.post("/v1/verify-code", json={"verification_id": ids[1], "code": code[0]})

    assert [message["id"] for message in messages] == ids[::-1]
    assert newest.keys() == {"id", "to", "text", "provider", "channel", "sent_at"}
    assert (newest["to"], newest["provider"]) == ("+6281210100056", "inbox")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert verified.status_code == 200
    family = service.descendants()
    assert family
    service.send(signal.SIGTERM)
    assert await service.status() == 0
    await wait_until(lambda: not any(map(is_running, family)))


async def test_a_config_is_merged_over_the_defaults(start: CommandStarter, tmp_path: Path) -> None:
    """Port, brand and policy of the file apply, and `dev-key` still works; kill -9 also ends the store."""
    port = free_port()
    config = tmp_path / "over.toml"
    config.write_text(
        f"""
        [server]
        port = {port}
        [tenants.demo]
        brand = "Kopi"
        [tenants.demo.policy]
        code_length = 8
        """
    )
    service = start("dev", "--config", str(config))
    url = await service.ready()
    async with api_client(url, API_KEY) as client:
        response = await client.post("/v1/request-code", json={"phone": "081210100055", "purpose": "login"})
        text = (await inbox(client, 1))[0]["text"]

    assert url == f"http://127.0.0.1:{port}"
    assert response.json()["code_length"] == 8
    assert re.search(r"Kopi.*\b\d{8}\b", text)
    family = service.descendants()
    assert family
    await service.kill()
    await wait_until(lambda: not any(map(is_running, family)))


async def test_ctrl_c_ends_it_without_errors(start: CommandStarter) -> None:
    """SIGINT to the process group ends the service before its store, with no warning or error in the log."""
    service = start("dev", "--port", "0")
    await service.ready()
    family = service.descendants()
    os.killpg(service.pid, signal.SIGINT)

    assert await service.status() == 0
    await wait_until(lambda: not any(map(is_running, family)))
    assert not re.search('"level":"(warning|error)"|Traceback', service.log)


async def test_an_invalid_config_is_rejected(start: CommandStarter, tmp_path: Path) -> None:
    """A line for each error and status 2, as with `serve`."""
    config = tmp_path / "bad.toml"
    config.write_text("[server]\nport = 70000\nhots = 1\n")
    service = start("dev", "--config", str(config))

    assert await service.status() == 2
    assert sorted(line.split(":")[0] for line in service.log.splitlines()) == ["server.hots", "server.port"]


async def test_a_port_in_use_is_an_error(start: CommandStarter) -> None:
    """The error is in the log, and no store is left."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        service = start("dev", "--port", str(taken.getsockname()[1]))
        assert await service.status() not in (0, None)

    assert "address already in use" in service.log
    assert service.descendants() == []
