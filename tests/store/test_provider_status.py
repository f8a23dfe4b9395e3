"""Provider status: what an operator sees of circuits, calls, queues and daily usage."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.domain.provider_policy import Availability, Caps, DeferReason, Deferred, Permit, ProviderPolicy
from otp_service.sandbox.embedded_server import EmbeddedServer
from otp_service.store.provider_limits import RedisProviderLimiter
from otp_service.store.provider_status import ProviderStatus, provider_statuses
from otp_service.store.topology import Topology, connect
from tests.running_service import CLOCK_KEY, ServiceFactory

POLICIES = {
    "slow": ProviderPolicy(max_per_second=0.5, price={"ID": 15_000}, caps=Caps(messages=2)),
    "free": ProviderPolicy(),
}


@pytest.fixture
async def topology(server: EmbeddedServer, make_service: ServiceFactory) -> AsyncIterator[Topology]:
    """Connect to an empty store."""
    assert make_service.url == server.url
    found = connect(server.url)
    yield found
    await found.close()


@pytest.fixture
def limiter(topology: Topology) -> RedisProviderLimiter:
    """Return the limiter of two providers."""
    return RedisProviderLimiter(topology, POLICIES, {}, dict.fromkeys(POLICIES, 5_000))


async def acquired(limiter: RedisProviderLimiter, provider: str, message_id: str) -> Permit | Deferred:
    """Ask for a call for a message that can wait a minute."""
    return await limiter.acquire(provider, "demo", message_id, country="ID", segments=2, max_wait_ms=60_000)


async def test_the_status_of_unused_providers(topology: Topology) -> None:
    """Every provider is available, with no call in progress."""
    found = await provider_statuses(topology, POLICIES)
    assert list(found) == ["slow", "free"]
    for one in found.values():
        assert (one.state.availability, one.state.open_reason, one.state.active_calls, one.waiting) == (
            Availability.OK,
            "",
            0,
            0,
        )
    assert await provider_statuses(topology, {}) == {}


async def test_calls_spend_and_waiting_messages(topology: Topology, limiter: RedisProviderLimiter) -> None:
    """An acquired call counts, at its price; a message held by the rate waits, and is not counted twice."""
    permit = await acquired(limiter, "slow", "v1")
    assert isinstance(permit, Permit)
    for message_id in ("v2", "v3", "v2"):
        deferred = await acquired(limiter, "slow", message_id)
        assert isinstance(deferred, Deferred)
        assert deferred.reason is DeferReason.WAIT
    slow, free = (await provider_statuses(topology, POLICIES)).values()

    assert (slow.state.active_calls, slow.state.messages, slow.state.spend, slow.waiting) == (1, 1, 30_000, 2)
    assert (free.state.active_calls, free.state.messages, free.waiting) == (0, 0, 0)
    await limiter.release(permit, SendResult(Outcome.ACCEPTED))
    assert (await provider_statuses(topology, POLICIES))["slow"].state.active_calls == 0


async def test_an_abandoned_message_does_not_wait(
    topology: Topology, limiter: RedisProviderLimiter, make_service: ServiceFactory
) -> None:
    """A message that does not ask again leaves the queue after a second and a half, without other calls."""
    for message_id in ("v1", "v2", "v3"):
        await acquired(limiter, "slow", message_id)
    for seconds, waiting in ((3.0, 2), (1.0, 0)):
        await make_service.store.incrby(CLOCK_KEY, int(seconds * 1000))
        assert (await provider_statuses(topology, POLICIES))["slow"].waiting == waiting


async def test_a_circuit_that_waits_for_its_probe(
    topology: Topology, limiter: RedisProviderLimiter, make_service: ServiceFactory
) -> None:
    """It is open for its reason; after its time it may be called, and the reason still shows."""
    permit = await acquired(limiter, "free", "v1")
    assert isinstance(permit, Permit)
    await limiter.release(permit, SendResult(Outcome.FUNDS))

    async def free() -> ProviderStatus:
        return (await provider_statuses(topology, POLICIES))["free"]

    opened = (await free()).state
    assert (opened.availability, opened.open_reason) == (Availability.OPEN, "funds")
    assert 59_000 <= opened.retry_in_ms <= 60_000
    await make_service.store.incrby(CLOCK_KEY, 61_000)
    assert ((await free()).state.availability, (await free()).state.open_reason) == (Availability.OK, "funds")


async def test_parallel_account_errors_are_one_trip(limiter: RedisProviderLimiter, topology: Topology) -> None:
    """Sixteen calls with `config_error` open a circuit for its first 30 s, not for the sixteenth doubling."""
    permits = [await acquired(limiter, "free", f"m{n}") for n in range(16)]
    for permit in permits:
        assert isinstance(permit, Permit)
        await limiter.release(permit, SendResult(Outcome.CONFIG_ERROR))

    state = (await provider_statuses(topology, POLICIES))["free"].state
    assert state.availability is Availability.OPEN
    assert 29_000 < state.retry_in_ms <= 30_000
