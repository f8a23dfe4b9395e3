"""The watch over empty accounts: a circuit closes by the balance, and by no text that tries it."""

from __future__ import annotations

import asyncio

import pytest

from otp_service.delivery import balances
from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.domain.provider_policy import Permit, ProviderPolicy
from otp_service.sandbox.embedded_server import EmbeddedServer
from otp_service.sandbox.simulators.eims import EimsSimulator, refusal
from otp_service.sandbox.simulators.http_server import Hang
from otp_service.store.provider_limits import RedisProviderLimiter
from otp_service.store.provider_status import RedisCircuits
from otp_service.store.topology import connect
from tests.delivery.gateway_config import GatewayFactory, route_through
from tests.message_waits import wait_for_deliveries, wait_for_message
from tests.running_service import RunningService, ServiceFactory
from tests.waits import wait_until

AUTHENTICATION_ERROR, NO_FUNDS = -1, -10
EMPTY, FULL = ("0.000000", "0.000000"), ("12.500000", "0.000000")
ROUNDS_SECONDS = 0.3
"""Several rounds of the watch."""


@pytest.fixture(autouse=True)
def _quick_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look more often than in real life."""
    monkeypatch.setattr(balances, "POLL_INTERVAL_SECONDS", 0.05)


def asked(gateway: EimsSimulator, path: str) -> int:
    """Count what the gateway was asked for."""
    return sum(request.path == path for request in gateway.requests)


async def refused_for(service: RunningService, gateway: EimsSimulator, status: int, error: str) -> None:
    """Have the gateway refuse a message, which opens its circuit: nobody serves the next one."""
    gateway.script(refusal(status))
    verification_id = (await service.request("0812-1010-0001")).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("failed", error)})
    assert (await service.request("0812-1010-0002")).json()["code"] == "no_route"


async def closed(service: RunningService) -> None:
    """Wait until the service takes a request again."""
    async with asyncio.timeout(4):
        while (await service.request("0812-1010-0003")).status_code != 202:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("amounts", [FULL, ("0", "3.25"), ("-1.5", "2")])
async def test_money_closes_the_circuit(
    make_service: ServiceFactory, make_gateway: GatewayFactory, amounts: tuple[str, str]
) -> None:
    """While the account is empty it is only asked; once there is money or a bonus the next message goes through."""
    gateway = await make_gateway(balance=EMPTY)
    service = await make_service(route_through(gateway, timeout=2))
    await refused_for(service, gateway, NO_FUNDS, "funds")
    await wait_until(lambda: asked(gateway, "/getbalance") >= 3)
    assert (await service.request("0812-1010-0003")).json()["code"] == "no_route"
    assert asked(gateway, "/sendsms") == 1

    gateway.balance = amounts
    await closed(service)
    await wait_for_message(gateway)
    assert asked(gateway, "/sendsms") == 2
    metrics = (await service.client.get("/metrics")).text
    assert f'otp_provider_balance{{provider="first"}} {sum(map(float, amounts))}' in metrics
    assert 'otp_circuit_open{provider="first"} 0.0' in metrics


async def test_nobody_is_asked_without_need(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """A gateway that is well, or shut for another reason, is not asked for its balance, and stays as it is."""
    service = await make_service(route_through(gateway, timeout=2))
    await asyncio.sleep(ROUNDS_SECONDS)
    await refused_for(service, gateway, AUTHENTICATION_ERROR, "config_error")
    await asyncio.sleep(ROUNDS_SECONDS)

    assert asked(gateway, "/getbalance") == 0
    assert (await service.request("0812-1010-0003")).json()["code"] == "no_route"


async def test_a_silent_gateway_does_not_end_the_watch(
    make_service: ServiceFactory, make_gateway: GatewayFactory
) -> None:
    """Nor does one whose answer is no balance: they are asked again, while the others are looked after."""
    gateway, silent = await make_gateway(balance=EMPTY), await make_gateway(balance=EMPTY)
    service = await make_service(route_through(silent, gateway))
    for one in (silent, gateway):
        one.script(refusal(NO_FUNDS))
    verification_id = (await service.request("0812-1010-0001")).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("failed", "funds"), "second": ("failed", "funds")})
    silent.always = Hang()
    gateway.script(refusal("broken"), refusal(NO_FUNDS))
    gateway.balance = FULL

    await closed(service)
    message = await wait_for_message(gateway)
    assert message.to.endswith("0003")
    await wait_until(lambda: asked(silent, "/getbalance") >= 2)


async def test_one_of_many_closes_it(server: EmbeddedServer, make_service: ServiceFactory) -> None:
    """Of 50 replicas that saw the money exactly one closes the circuit, and none closes it for another reason."""
    await make_service()
    topology = connect(server.url)
    circuits = RedisCircuits(topology)
    limiter = RedisProviderLimiter(topology, {"first": ProviderPolicy(), "second": ProviderPolicy()}, {}, {})
    permit = Permit("first", "demo", "v1", "ID", 0, 0)
    assert await circuits.out_of_funds(["first", "second"]) == []
    assert not await circuits.close_after_top_up("first")

    await limiter.release(permit, SendResult(Outcome.FUNDS))
    assert await circuits.out_of_funds(["first", "second"]) == ["first"]
    assert sum(await asyncio.gather(*(circuits.close_after_top_up("first") for _ in range(50)))) == 1
    assert await circuits.out_of_funds(["first", "second"]) == []

    await limiter.release(permit, SendResult(Outcome.CONFIG_ERROR))
    assert not await circuits.close_after_top_up("first")
    await topology.close()
