"""Outages of a simulated gateway: it closes its port and reopens it."""

from __future__ import annotations

import asyncio
import socket
import sys

import httpx
import pytest

from otp_service.sandbox.simulators.http_server import Down, Hang, Respond, SimulatorResponse
from tests.sandbox.receipt_listener import ReceiptListener
from tests.sandbox.sandbox_client import NO_TLS
from tests.waits import wait_until

BUSY = Respond(SimulatorResponse(b"", 503))


async def request_once(gateway: ReceiptListener, path: str = "/") -> int | str:
    """Send one request without retries; return the HTTP status, or the name of the error."""
    async with httpx.AsyncClient(trust_env=False, timeout=0.3, verify=NO_TLS) as client:
        try:
            return (await client.get(gateway.url + path)).status_code
        except httpx.TransportError as problem:
            return type(problem).__name__


async def test_an_outage_has_its_place_in_the_script() -> None:
    """A request is served, connections are refused for the outage, then the script continues."""
    async with ReceiptListener() as gateway:
        gateway.script(BUSY, Down(0.2), BUSY, None)
        assert await request_once(gateway) == 503
        assert not gateway.listening
        assert [await request_once(gateway) for _ in range(3)] == ["ConnectError"] * 3
        await wait_until(lambda: gateway.listening)
        assert [await request_once(gateway) for _ in range(3)] == [503, 200, 200]
    assert len(gateway.requests) == 4


async def test_a_permanent_outage_ends_when_the_script_changes() -> None:
    """With `always` down, connections are accepted only while there are pending steps."""
    async with ReceiptListener() as gateway:
        gateway.always = Down()
        assert await request_once(gateway) == "ConnectError"
        gateway.script(None)
        await wait_until(lambda: gateway.listening)
        assert await request_once(gateway) == 200
        assert await request_once(gateway) == "ConnectError"
        gateway.always = None
        await wait_until(lambda: gateway.listening)
        assert await request_once(gateway) == 200


async def test_two_outages_follow_each_other() -> None:
    """Two outages in a row are two closed periods; replacing the script ends the current one."""
    async with ReceiptListener() as gateway:
        gateway.script(Down(0.05), Down(0.05), BUSY)
        assert await request_once(gateway) == "ConnectError"
        await wait_until(lambda: gateway.pending_steps == (BUSY,))
        await wait_until(lambda: gateway.listening)
        assert await request_once(gateway) == 503
        gateway.script(Down(60), BUSY)
        assert await request_once(gateway) == "ConnectError"
        gateway.script(BUSY, replace_pending=True)
        await wait_until(lambda: gateway.listening)
        assert [await request_once(gateway) for _ in range(2)] == [503, 200]


async def test_a_port_in_use_is_retried() -> None:
    """The gateway stays down while another process has its port, and reopens it afterwards."""
    async with ReceiptListener() as gateway:
        gateway.always = Down()
        await asyncio.sleep(0)
        port = int(gateway.url.rpartition(":")[2])
        with socket.create_server(("127.0.0.1", port)):
            gateway.always = None
            await asyncio.sleep(0.05)
            assert not gateway.listening
        await wait_until(lambda: gateway.listening)
        assert await request_once(gateway) == 200


@pytest.mark.parametrize("step", [Down(60), None])
async def test_close_during_an_outage_cleans_up(step: Down | None) -> None:
    """During an outage, and while the port is reopened: no task or timer is left, and the port is free."""
    before = asyncio.all_tasks()
    gateway = ReceiptListener()
    async with gateway:
        gateway.script(Down(60))
        gateway.script(*[] if step is None else [step], replace_pending=True)
    assert asyncio.all_tasks() == before
    assert not gateway.listening
    with socket.create_server(("127.0.0.1", int(gateway.url.rpartition(":")[2]))):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not let two sockets bind one number")
async def test_the_port_of_an_outage_is_not_free() -> None:
    """Otherwise a process that asks for any free port could get it, and the gateway would not come back."""
    async with ReceiptListener() as gateway:
        gateway.always = Down()
        assert await request_once(gateway) == "ConnectError"
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", int(gateway.url.rpartition(":")[2])))
        gateway.always = None
        await wait_until(lambda: gateway.listening)
        assert await request_once(gateway) == 200


async def test_a_closed_simulator_opens_under_its_number_again() -> None:
    """The services that have its address reach it."""
    gateway = ReceiptListener()
    gateway.bind()
    before = gateway.url
    await gateway.close()
    gateway.bind()
    assert gateway.url == before
    await gateway.close()


async def test_a_bound_port_is_known_before_it_listens() -> None:
    """An early connection waits, `close` releases a port that never listened, and a port in use is an error."""
    gateway, other = ReceiptListener(), ReceiptListener()
    gateway.bind()
    with pytest.raises(OSError, match="in use"):
        other.bind(int(gateway.url.rpartition(":")[2]))
    early = asyncio.create_task(request_once(gateway))
    await asyncio.sleep(0.02)
    async with gateway:
        assert await early == 200
    other.bind()
    await other.close()
    assert await request_once(other) == "ConnectError"


async def test_a_script_can_apply_to_some_paths_only() -> None:
    """Requests to other paths, such as logins and reports, use no step of the script."""
    async with ReceiptListener() as gateway:
        gateway.scripted_paths = frozenset({"/send"})
        gateway.script(BUSY, Hang())
        assert [await request_once(gateway, path) for path in ("/login", "/send?a", "/report", "/login", "/send")] == [
            200, 503, 200, 200, "ReadTimeout"
        ]  # fmt: skip
