"""`otp-service serve`: the whole flow, SIGTERM, and several workers as one service."""

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
    """Open a connection."""
    parts = urlsplit(url)
    return await asyncio.open_connection(parts.hostname, parts.port)


async def wait_until_refused(url: str) -> None:
    """Wait until connections are refused."""
    async with asyncio.timeout(5):
        while True:
            try:
                _, writer = await opened(url)
            except ConnectionRefusedError:
                return
            except ConnectionResetError:  # accepted at the moment of the shutdown
                continue
            writer.transport.abort()
            await asyncio.sleep(0.02)


def partial_request() -> bytes:
    """Return a request without the last bytes of its body."""
    body = b'{"phone": "' + PHONE.encode() + b'"}'
    head = (
        "POST /v1/normalize-phone HTTP/1.1\r\nHost: otp\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {API_KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body[:10]


@pytest.mark.parametrize("workers", [1, 2])
async def test_it_serves_and_ends_at_sigterm(
    serve: Serve, write_config: ConfigWriter, gateway: EimsSimulator, workers: int
) -> None:
    """A code arrives and verifies; SIGTERM refuses connections, drops a partial request, and exits with status 0."""
    service = serve(write_config(gateway=gateway.url, server=f"workers = {workers}"))
    url = await service.ready()
    async with api_client(url) as client:
        response = await client.post("/v1/request-code", json={"phone": PHONE, "purpose": "login"})
        assert response.status_code == 202, response.text
        attempt = {
            "verification_id": response.json()["verification_id"],
            "code": code_in((await wait_for_message(gateway)).text),
        }
        assert (await client.post("/v1/verify-code", json=attempt)).status_code == 200
        dev_statuses = [(await client.get(path)).status_code for path in ("/", "/dev/messages")]
    assert dev_statuses == [404, 404]
    await wait_until(lambda: service.log.count('"hash_rate"') == 1)

    family = service.descendants()
    reader, writer = await opened(url)
    with contextlib.closing(writer):
        writer.write(partial_request())
        await asyncio.sleep(0.1)
        service.send(signal.SIGTERM)
        await wait_until_refused(url)
        assert await asyncio.wait_for(reader.read(), 5) == b""

    assert await service.status() == 0
    await wait_until(lambda: not any(map(is_running, family)))
    assert not re.search('Traceback|"level":"(warning|error)"', service.log)  # the store of these tests is persistent


async def test_a_running_hash_is_finished(serve: Serve, write_config: ConfigWriter, gateway: EimsSimulator) -> None:
    """At SIGTERM, requests whose hashes are being computed get their responses, and their messages are sent."""
    service = serve(write_config(gateway=gateway.url, memory_kib=65_536))
    bodies = [{"phone": f"0812101{number:05}", "purpose": "login"} for number in range(4)]
    async with api_client(await service.ready()) as client:
        requests = [asyncio.create_task(client.post("/v1/request-code", json=body)) for body in bodies]
        await asyncio.wait(requests, return_when=asyncio.FIRST_COMPLETED)
        service.send(signal.SIGTERM)
        responses = await asyncio.gather(*requests)

    assert [response.status_code for response in responses] == [202] * 4
    assert await service.status() == 0
    assert len(gateway.messages) == 4


async def test_workers_are_one_service(serve: Serve, write_config: ConfigWriter) -> None:
    """/metrics sums all workers, a dead worker is replaced, and killing the supervisor ends all workers."""
    service = serve(write_config(server="workers = 2"))
    url = await service.ready()
    await wait_until(lambda: service.log.count("Started server process") == 2)  # one worker is enough to be ready
    for _ in range(40):
        async with api_client(url) as client:  # one connection for each request, so that both workers get some
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
    family = service.descendants()
    await service.kill()
    await wait_until(lambda: not any(map(is_running, family)))
