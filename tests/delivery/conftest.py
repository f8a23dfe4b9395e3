"""Gateways to deliver to, and services that do: simulators on loopback, each dropped at its test's end."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote

import pytest

from otp_service.delivery import outbox_worker
from otp_service.sandbox.simulators.eims import EimsMessage, EimsSimulator
from otp_service.sandbox.simulators.http_server import Request
from otp_service.store.keys import partition_of_id
from tests.world import World

ACCOUNT = "acme & sons"
PASSWORD = "p%s+w&rd=100% ü"
TIMEOUT_SECONDS = 0.5

LOOK_SECONDS = 0.2
"""A few rounds of the courier: what it is going to do, it has done."""

GatewayMaker = Callable[..., Awaitable[EimsSimulator]]


@pytest.fixture(autouse=True)
def _quick_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look through the outbox more often than in real life, so that tests wait less."""
    monkeypatch.setattr(outbox_worker, "POLL_INTERVAL_SECONDS", 0.05)


@pytest.fixture
async def make_gateway() -> AsyncIterator[GatewayMaker]:
    """Start simulated gateways with options of one's own."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(**options: Any) -> EimsSimulator:
            return await stack.enter_async_context(EimsSimulator(ACCOUNT, PASSWORD, **options))

        yield make


@pytest.fixture
async def gateway(make_gateway: GatewayMaker) -> EimsSimulator:
    """One simulated gateway that takes everything."""
    return await make_gateway()


@pytest.fixture
async def second(make_gateway: GatewayMaker) -> EimsSimulator:
    """Another one, to fail over to."""
    return await make_gateway()


def through(*gateways: EimsSimulator, timeout: float = TIMEOUT_SECONDS, **delivery: float) -> dict[str, Any]:
    """Configure gateways as the providers `first`, `second`, `third` of every route, and no limits in the way."""
    names = ("first", "second", "third")[: len(gateways)]
    providers = {
        name: {
            "type": "eims",
            "base_url": gateway.url,
            "account": ACCOUNT,
            "password": PASSWORD,
            "timeout_seconds": timeout,
            "report_poll_seconds": 0,
        }
        for name, gateway in zip(names, gateways, strict=True)
    }
    return {
        "providers": providers,
        "routes": [{"providers": list(names)}],
        "delivery": delivery,
        "limits": {"client_ip": [], "recipient": [], "prefix": []},
    }


async def until(condition: Callable[[], bool], seconds: float = 4.0) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def arrived(gateway: EimsSimulator, count: int = 1, seconds: float = 4.0) -> EimsMessage:
    """Wait for the gateway's `count`th text."""
    await until(lambda: len(gateway.messages) >= count, seconds)
    return gateway.messages[count - 1]


async def deliveries(world: World, verification_id: str) -> list[dict[str, Any]]:
    """Read the deliveries of a verification, as a caller sees them."""
    response = await world.client.get(f"/v1/verifications/{verification_id}")
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["deliveries"]
    return found


async def settled(
    world: World, verification_id: str, expected: Mapping[str, tuple[str, str | None]], seconds: float = 4.0
) -> None:
    """Wait until the deliveries are `expected`: by provider, the status and the error."""
    found: dict[str, tuple[str, str | None]] = {}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while found != expected:
                await asyncio.sleep(0.03)
                found = {d["provider"]: (d["status"], d["error"]) for d in await deliveries(world, verification_id)}
    assert found == expected


def shared_keys() -> dict[str, Any]:
    """Configure keys that two replicas have in common."""
    key = base64.b64encode(bytes(32)).decode()
    return {"keys": {"current": "shared", "index": "shared", "shared": key}}


def text_in(request: Request) -> str:
    """Read the text out of a GET to an EIMS gateway, also of one that it did not take."""
    return unquote(dict(pair.split("=", 1) for pair in request.query.split("&"))["content"])


def code_in(text: str) -> str:
    """Read the code out of a text."""
    found = re.search(r"\d{6}", text)
    assert found, text
    return found[0]


async def keeps_message(world: World, verification_id: str) -> bool:
    """Say whether the store still has the sealed code of a verification."""
    partition = partition_of_id(verification_id)
    assert partition
    return bool(await world.store.exists(partition.messages + verification_id))
