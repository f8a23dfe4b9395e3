"""`otp-service serve` is killed while it sends: an accepted message is sent once, or its status is unknown."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException

import httpx

from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.sandbox.simulators.http_server import Hang
from tests.cli.service_config import API_KEY, ConfigWriter, api_client
from tests.message_waits import code_in, wait_for_message
from tests.service_process import ServiceProcess
from tests.waits import wait_until

ASKED = {"phone": "0812-1010-0055", "purpose": "login"}


async def state(client: httpx.AsyncClient, verification_id: str) -> tuple[str, str | None]:
    """Return status and error of the only delivery of a verification."""
    response = await client.get(f"/v1/verifications/{verification_id}")
    [delivery] = response.json()["deliveries"]
    return delivery["status"], delivery["error"]


async def becomes(client: httpx.AsyncClient, verification_id: str, *wanted: str) -> str:
    """Wait until the only delivery has one of the statuses; return it."""
    async with asyncio.timeout(12):
        while (status := (await state(client, verification_id))[0]) not in wanted:
            await asyncio.sleep(0.02)
    return status


async def test_a_message_survives_a_crash(
    serve: Callable[..., ServiceProcess], write_config: ConfigWriter, gateway: EimsSimulator
) -> None:
    """The gateway is down and the process is killed; after both restart, the message arrives once and verifies."""
    config = write_config(gateway=gateway.url)
    await gateway.close()
    first = serve(config)
    async with api_client(await first.ready()) as client:
        verification_id = (await client.post("/v1/request-code", json=ASKED)).json()["verification_id"]
        while await state(client, verification_id) != ("queued", "transient"):
            await asyncio.sleep(0.005)
        await first.kill()
    await gateway.listen()

    second = serve(config)
    async with api_client(await second.ready()) as client:
        code = code_in((await wait_for_message(gateway, seconds=10)).text)
        await becomes(client, verification_id, "sent")
        attempt = {"verification_id": verification_id, "code": code}
        assert (await client.post("/v1/verify-code", json=attempt)).status_code == 200
    assert len(gateway.requests) == 1


async def test_a_burst_survives_a_crash(
    serve: Callable[..., ServiceProcess], write_config: ConfigWriter, gateway: EimsSimulator
) -> None:
    """After a kill during sends, each accepted number has one message, or the status unknown and no second message.

    The gateway accepted the first message, but its response was lost: it is not sent again, and its code verifies.
    """
    config = write_config(gateway=gateway.url)
    config.write_text(config.read_text() + "[limits]\nrecipient = []\nprefix = []\nclient_ip = []\n")
    gateway.script(Hang())
    first = serve(config)
    accepted: dict[str, str] = {}

    def ask(url: str, number: str) -> None:
        body = json.dumps({"phone": "+" + number, "purpose": "login"}).encode()
        headers = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}
        connection = HTTPConnection(url.removeprefix("http://"), timeout=10)
        with contextlib.closing(connection), contextlib.suppress(OSError, HTTPException):
            connection.request("POST", "/v1/request-code", body, headers)
            accepted[number] = json.loads(connection.getresponse().read())["verification_id"]

    url = await first.ready()
    await asyncio.to_thread(ask, url, "6281210100055")
    await wait_until(lambda: len(gateway.requests) == 1)
    async with api_client(url) as client:
        assert await state(client, accepted["6281210100055"]) == ("sending", None)
    burst = [asyncio.to_thread(ask, url, f"62812101{suffix:05}") for suffix in range(100)]
    killed = asyncio.gather(*burst)
    await wait_until(lambda: len(gateway.messages) >= 20)
    await first.kill()
    await killed

    second = serve(config)
    async with api_client(await second.ready()) as client:
        for number, verification_id in accepted.items():
            status = await becomes(client, verification_id, "sent", "unknown")
            texts = sum(message.to == number for message in gateway.messages)
            assert texts == 1 or (texts == 0 and status == "unknown"), number
        assert await state(client, accepted["6281210100055"]) == ("unknown", "ambiguous")
        attempt = {"verification_id": accepted["6281210100055"], "code": code_in(gateway.messages[0].text)}
        assert (await client.post("/v1/verify-code", json=attempt)).status_code == 200
    assert max(Counter(message.to for message in gateway.messages).values()) == 1
