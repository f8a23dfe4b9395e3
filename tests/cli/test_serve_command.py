"""`otp-service serve`: what it serves, how it ends, and how several workers are one service."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from otp_service.sandbox.simulators.eims import EimsSimulator
from tests.cli.service_config import API_KEY, ConfigWriter, api_client
from tests.message_waits import code_in, wait_for_message
from tests.service_process import ServiceProcess, is_running
from tests.waits import wait_until

PHONE = "0812-1010-0055"
Serve = Callable[..., ServiceProcess]


async def opened(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection of one's own."""
    parts = urlsplit(url)
    return await asyncio.open_connection(parts.hostname, parts.port)


async def refused(url: str) -> None:
    """Wait until nobody listens any more."""
    async with asyncio.timeout(5):
        while True:
            try:
                _, writer = await opened(url)
            except ConnectionRefusedError:
                return
            except ConnectionResetError:  # it came in the very moment
                continue
            writer.transport.abort()
            await asyncio.sleep(0.02)


def half_of_a_request() -> bytes:
    """Write a request down, but for the last bytes of its body."""
    body = b'{"phone": "' + PHONE.encode() + b'"}'
    head = (
        "POST /v1/normalize-phone HTTP/1.1\r\nHost: otp\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {API_KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body[:10]


@pytest.mark.parametrize("workers", [1, 2])
async def test_it_serves_and_ends(
    serve: Serve, write_config: ConfigWriter, gateway: EimsSimulator, workers: int
) -> None:
    """A code arrives and verifies; SIGTERM refuses new connections, drops half a request, and is status 0."""
    service = serve(write_config(gateway=gateway.url, server=f"workers = {workers}"))
    url = await service.ready()
    async with api_client(url) as client:
        response = await client.post("/v1/request-code", json={"phone": PHONE, "purpose": "login"})
        assert response.status_code == 202, response.text
        guess = {
            "verification_id": response.json()["verification_id"],
            "code": code_in((await wait_for_message(gateway)).text),
        }
        assert (await client.post("/v1/verify-code", json=guess)).status_code == 200
        of_dev = [(await client.get(path)).status_code for path in ("/", "/dev/messages")]
    assert of_dev == [404, 404]

    family = service.family()
    reader, writer = await opened(url)
    with contextlib.closing(writer):
        writer.write(half_of_a_request())
        await asyncio.sleep(0.1)
        service.send(signal.SIGTERM)
        await refused(url)
        assert await asyncio.wait_for(reader.read(), 5) == b""

    assert await service.status() == 0
    await wait_until(lambda: not any(map(is_running, family)))
    assert not re.search('Traceback|"level":"(warning|error)"', service.log)  # our store keeps what it is told


async def test_a_running_hash_is_finished(serve: Serve, write_config: ConfigWriter, gateway: EimsSimulator) -> None:
    """SIGTERM in the middle of a request-code: it is answered, and its text is sent."""
    service = serve(write_config(gateway=gateway.url, memory_kib=300_000))
    async with api_client(await service.ready()) as client:
        request = asyncio.create_task(client.post("/v1/request-code", json={"phone": PHONE, "purpose": "login"}))
        await asyncio.sleep(0.1)
        service.send(signal.SIGTERM)
        response = await request

    assert response.status_code == 202
    assert await service.status() == 0
    assert len(gateway.messages) == 1


async def test_workers_are_one_service(serve: Serve, write_config: ConfigWriter) -> None:
    """/metrics adds them all up, a worker that dies is replaced, and none outlives a supervisor that is killed."""
    service = serve(write_config(server="workers = 2"))
    url = await service.ready()
    await wait_until(lambda: service.log.count("Started server process") == 2)  # one is enough to be ready
    for _ in range(40):
        async with api_client(url) as client:  # a connection each, so that both workers have some
            await client.post("/v1/normalize-phone", json={"phone": PHONE})
    pages = []
    for _ in range(6):
        async with api_client(url) as client:
            pages.append((await client.get("/metrics")).text)
    counted = r'otp_requests_total\{route="/v1/normalize-phone",status="200"\} 40\.0'
    assert all(re.search(counted, page) for page in pages)

    workers = [int(pid) for pid in re.findall(r"Started server process \[(\d+)\]", service.log)]
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    await wait_until(lambda: service.log.count("Started server process") == 3)
    await service.ready()
    family = service.family()
    await service.kill()
    await wait_until(lambda: not any(map(is_running, family)))
