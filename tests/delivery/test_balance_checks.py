"""Balance queries close a circuit that is open for lack of funds, without a probe message."""

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
POLLS_SECONDS = 0.3
"""Several polls of the balance monitor."""


@pytest.fixture(autouse=True)
def _short_poll_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poll balances more often than in production."""
    monkeypatch.setattr(balances, "POLL_INTERVAL_SECONDS", 0.05)


def request_count(gateway: EimsSimulator, path: str) -> int:
    """Count the requests to a path of the gateway."""
    return sum(request.path == path for request in gateway.requests)


async def open_circuit(service: RunningService, gateway: EimsSimulator, status: int, error: str) -> None:
    """Open the circuit by a rejected message, so that the next request gets `no_route`."""
    gateway.script(refusal(status))
    verification_id = (await service.request("0812-1010-0001")).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("failed", error)})
    assert (await service.request("0812-1010-0002")).json()["code"] == "no_route"


async def wait_until_accepted(service: RunningService) -> None:
    """Wait until the service accepts a request again."""
    async with asyncio.timeout(4):
        while (await service.request("0812-1010-0003")).status_code != 202:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("amounts", [FULL, ("0", "3.25"), ("-1.5", "2")])
async def test_funds_close_the_circuit(
    make_service: ServiceFactory, make_gateway: GatewayFactory, amounts: tuple[str, str]
) -> None:
    """An empty account is only queried; once it has a balance or a bonus, the next message is sent."""
    gateway = await make_gateway(balance=EMPTY)
    service = await make_service(route_through(gateway, timeout=2))
    await open_circuit(service, gateway, NO_FUNDS, "funds")
    await wait_until(lambda: request_count(gateway, "/getbalance") >= 3)
    assert (await service.request("0812-1010-0003")).json()["code"] == "no_route"
    assert request_count(gateway, "/sendsms") == 1

    gateway.balance = amounts
    await wait_until_accepted(service)
    await wait_for_message(gateway)
    assert request_count(gateway, "/sendsms") == 2
    metrics = (await service.client.get("/metrics")).text
    assert f'otp_provider_balance{{provider="first"}} {sum(map(float, amounts))}' in metrics
    assert 'otp_circuit_open{provider="first"} 0.0' in metrics


async def test_no_query_while_circuit_is_open_for_other_reasons(
    make_service: ServiceFactory, gateway: EimsSimulator
) -> None:
    """A provider whose circuit is closed, or open for another reason, is not queried, and keeps its circuit."""
    service = await make_service(route_through(gateway, timeout=2))
    await asyncio.sleep(POLLS_SECONDS)
    await open_circuit(service, gateway, AUTHENTICATION_ERROR, "config_error")
    await asyncio.sleep(POLLS_SECONDS)

    assert request_count(gateway, "/getbalance") == 0
    assert (await service.request("0812-1010-0003")).json()["code"] == "no_route"


async def test_failed_query_does_not_stop_the_monitor(
    make_service: ServiceFactory, make_gateway: GatewayFactory
) -> None:
    """A gateway that does not respond, or responds without a balance, is queried again, and others are not delayed."""
    gateway, silent = await make_gateway(balance=EMPTY), await make_gateway(balance=EMPTY)
    service = await make_service(route_through(silent, gateway))
    for one in (silent, gateway):
        one.script(refusal(NO_FUNDS))
    verification_id = (await service.request("0812-1010-0001")).json()["verification_id"]
    await wait_for_deliveries(service, verification_id, {"first": ("failed", "funds"), "second": ("failed", "funds")})
    silent.always = Hang()
    gateway.script(refusal("broken"), refusal(NO_FUNDS))
    gateway.balance = FULL

    await wait_until_accepted(service)
    message = await wait_for_message(gateway)
    assert message.to.endswith("0003")
    await wait_until(lambda: request_count(silent, "/getbalance") >= 2)


async def test_one_replica_closes_the_circuit(server: EmbeddedServer, make_service: ServiceFactory) -> None:
    """Of 50 parallel calls exactly one closes the circuit, and none closes it if it is open for another reason."""
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
