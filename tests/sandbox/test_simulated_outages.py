"""A simulated gateway that goes down and comes back: its port is left, and taken again."""

from __future__ import annotations

import asyncio
import socket

import httpx
import pytest

from otp_service.sandbox.simulators.http_server import Down, Hang, Respond, SimulatorResponse
from tests.sandbox.receipt_listener import ReceiptListener
from tests.sandbox.sandbox_client import NO_TLS
from tests.waits import wait_until

BUSY = Respond(SimulatorResponse(b"", 503))


async def asked(gateway: ReceiptListener, path: str = "/") -> int | str:
    """Ask once, as a client does that nobody helps: the status, or what was wrong."""
    async with httpx.AsyncClient(trust_env=False, timeout=0.3, verify=NO_TLS) as client:
        try:
            return (await client.get(gateway.url + path)).status_code
        except httpx.TransportError as problem:
            return type(problem).__name__


async def test_an_outage_begins_and_ends_in_its_turn() -> None:
    """Served, refused a connection for its seconds, then the script goes on where it was."""
    async with ReceiptListener() as gateway:
        gateway.script(BUSY, Down(0.2), BUSY, None)
        assert await asked(gateway) == 503
        assert not gateway.listening
        assert [await asked(gateway) for _ in range(3)] == ["ConnectError"] * 3
        await wait_until(lambda: gateway.listening)
        assert [await asked(gateway) for _ in range(3)] == [503, 200, 200]
    assert len(gateway.requests) == 4


async def test_an_outage_that_lasts_ends_when_it_is_told() -> None:
    """`always` down takes connections only for what the script still has."""
    async with ReceiptListener() as gateway:
        gateway.always = Down()
        assert await asked(gateway) == "ConnectError"
        gateway.script(None)
        await wait_until(lambda: gateway.listening)
        assert await asked(gateway) == 200
        assert await asked(gateway) == "ConnectError"
        gateway.always = None
        await wait_until(lambda: gateway.listening)
        assert await asked(gateway) == 200


async def test_two_outages_follow_each_other() -> None:
    """And a script that is made anew ends one that is under way."""
    async with ReceiptListener() as gateway:
        gateway.script(Down(0.05), Down(0.05), BUSY)
        assert await asked(gateway) == "ConnectError"
        await wait_until(lambda: gateway.pending_steps == (BUSY,))
        await wait_until(lambda: gateway.listening)
        assert await asked(gateway) == 503
        gateway.script(Down(60), BUSY)
        assert await asked(gateway) == "ConnectError"
        gateway.script(BUSY, replace_pending=True)
        await wait_until(lambda: gateway.listening)
        assert [await asked(gateway) for _ in range(2)] == [503, 200]


async def test_a_port_that_somebody_has_taken_is_waited_for() -> None:
    """The gateway stays down, and comes back when its port is free."""
    async with ReceiptListener() as gateway:
        gateway.always = Down()
        await asyncio.sleep(0)
        port = int(gateway.url.rpartition(":")[2])
        with socket.create_server(("127.0.0.1", port)):
            gateway.always = None
            await asyncio.sleep(0.05)
            assert not gateway.listening
        await wait_until(lambda: gateway.listening)
        assert await asked(gateway) == 200


@pytest.mark.parametrize("step", [Down(60), None])
async def test_closing_in_the_middle_leaves_nothing_behind(step: Down | None) -> None:
    """During an outage, and while it is coming back: no task, no timer, and the port is free."""
    before = asyncio.all_tasks()
    gateway = ReceiptListener()
    async with gateway:
        gateway.script(Down(60))
        gateway.script(*[] if step is None else [step], replace_pending=True)
    assert asyncio.all_tasks() == before
    assert not gateway.listening
    with socket.create_server(("127.0.0.1", int(gateway.url.rpartition(":")[2]))):
        pass


async def test_a_bound_port_is_known_before_it_listens() -> None:
    """Who connects early waits; one that never listens lets go of it; a taken one is an error."""
    gateway, other = ReceiptListener(), ReceiptListener()
    gateway.bind()
    with pytest.raises(OSError, match="in use"):
        other.bind(int(gateway.url.rpartition(":")[2]))
    early = asyncio.create_task(asked(gateway))
    await asyncio.sleep(0.02)
    async with gateway:
        assert await early == 200
    other.bind()
    await other.close()
    assert await asked(other) == "ConnectError"


async def test_a_script_may_be_for_some_requests_only() -> None:
    """Logins and reports do not use up what was meant for sends."""
    async with ReceiptListener() as gateway:
        gateway.scripted_paths = frozenset({"/send"})
        gateway.script(BUSY, Hang())
        assert [await asked(gateway, path) for path in ("/login", "/send?a", "/report", "/login", "/send")] == [
            200, 503, 200, 200, "ReadTimeout"
        ]  # fmt: skip
