"""A gateway that asks for rest gets it, from every message; one that was away is tried again soon."""

from __future__ import annotations

import asyncio

from otp_service.domain.provider_policy import Availability, ProviderPolicy
from otp_service.sandbox.simulators.eims import EimsSimulator
from otp_service.sandbox.simulators.http_server import Respond, SimulatorResponse
from otp_service.store.provider_status import provider_statuses
from otp_service.store.topology import connect
from tests.delivery.gateway_config import route_through
from tests.message_waits import POLL_ROUNDS_SECONDS, wait_for_deliveries, wait_for_message
from tests.running_service import RunningService, ServiceFactory

NUMBER = "0812-1010-{:04d}"


def throttled(seconds: int) -> Respond:
    """Return a 429 response with `Retry-After`."""
    return Respond(SimulatorResponse(b"", 429, {"Retry-After": str(seconds)}))


async def open_ms(service: RunningService, name: str = "first") -> int:
    """Return for how many ms the circuit of the provider or of Indonesia is still open; 0 if both are closed."""
    topology = connect(f"unix://{service.store.connection_pool.connection_kwargs['path']}")
    try:
        found = (await provider_statuses(topology, {name: ProviderPolicy()}))[name]
        provider_ms = found.state.retry_in_ms if found.state.availability is Availability.OPEN else 0
        return max(provider_ms, found.destinations.get("ID", 0))
    finally:
        await topology.close()


async def test_retry_after_is_honored(make_service: ServiceFactory, gateway: EimsSimulator) -> None:
    """The throttled message and the one after it wait as long as `Retry-After` demands."""
    gateway.script(throttled(7))
    service = await make_service(route_through(gateway))
    first = (await service.request(NUMBER.format(1))).json()["verification_id"]
    await wait_for_deliveries(service, first, {"first": ("queued", "throttled")})
    second = (await service.request(NUMBER.format(2))).json()["verification_id"]
    await service.advance(6)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    assert len(gateway.requests) == 1
    await service.advance(1.1)

    await wait_for_message(gateway, 2)
    for verification_id in (first, second):
        await wait_for_deliveries(service, verification_id, {"first": ("sent", None)})
    assert len(gateway.requests) == 3


async def test_throttled_message_fails_over_at_once(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """A message does not wait for a throttling gateway while another provider was not called yet."""
    gateway.script(throttled(30))
    service = await make_service(route_through(gateway, second))
    verification_id = (await service.request()).json()["verification_id"]

    await wait_for_deliveries(service, verification_id, {"first": ("failed", "throttled"), "second": ("sent", None)})
    assert len(second.messages) == 1


async def test_pause_of_one_provider_delays_nothing(
    make_service: ServiceFactory, gateway: EimsSimulator, second: EimsSimulator
) -> None:
    """The next message is sent through the idle provider at once."""
    gateway.always = throttled(60)
    service = await make_service(route_through(gateway, second))
    for n in (1, 2):
        await service.request(NUMBER.format(n))
        await wait_for_message(second, n, seconds=2)

    assert len(gateway.requests) == 1


async def test_unreachable_gateway_is_probed_within_six_seconds(
    make_service: ServiceFactory, gateway: EimsSimulator
) -> None:
    """The circuit opens for at most 6 s, however often it opened before; then every message arrives exactly once."""
    service = await make_service(route_through(gateway, timeout=10))
    await service.stop_clock()
    await gateway.close()
    await asyncio.gather(*(service.request(NUMBER.format(n)) for n in range(8)))
    opened = []
    for _ in range(6):
        async with asyncio.timeout(20):
            while not await open_ms(service):
                await asyncio.sleep(0.02)
        opened.append(await open_ms(service))
        await service.advance(opened[-1] / 1000 + 8)  # also past the backoff of every message
    assert 4_000 < max(opened) <= 6_000

    await gateway.listen()
    await service.advance(20)
    async with asyncio.timeout(20):
        while len(gateway.messages) < 8:  # after one probe at a time
            await asyncio.sleep(POLL_ROUNDS_SECONDS)
            await service.advance(1)
    await asyncio.sleep(POLL_ROUNDS_SECONDS)
    assert len({message.to for message in gateway.messages}) == len(gateway.messages) == 8
