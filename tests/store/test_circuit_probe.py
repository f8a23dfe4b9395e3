"""Which calls open circuits; a half-open one lets one call through, whatever other results arrive meanwhile."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.domain.provider_policy import Deferred, Permit, ProviderPolicy
from otp_service.store.keys import provider_keys
from otp_service.store.provider_limits import MAX_PAUSE_MS, OPEN_MS, RedisProviderLimiter
from otp_service.store.scripts import script
from tests.store.replica_store import Store


async def test_a_call_reports_the_circuits_that_it_opened(store: Store) -> None:
    """Five failures open that of a destination, five of another the provider's too; a call not made counts nowhere."""
    limiter = RedisProviderLimiter(store.topology, {"gw": ProviderPolicy()}, {}, {"gw": 13_000})
    permits = []
    for country in ("ID", "SG", "MY"):
        for n in range(5):
            permit = await limiter.acquire("gw", "acme", country + str(n), country=country, segments=1, max_wait_ms=0)
            assert isinstance(permit, Permit)
            permits.append(permit)
    for permit in permits[10:]:
        await limiter.release(permit, None)
    assert await store.redis.exists(provider_keys("gw").circuit, provider_keys("gw").destination("MY")) == 0

    opened = []
    for permit in permits[:10]:
        with capture_logs() as events:
            await limiter.release(permit, SendResult(Outcome.TRANSIENT))
        opened.append([(event["event"], event.get("country")) for event in events])
    by_second = [("circuit_opened", None), ("destination_circuit_opened", "SG")]
    assert opened == [[]] * 4 + [[("destination_circuit_opened", "ID")]] + [[]] * 4 + [by_second]


async def test_the_result_of_an_older_call_does_not_admit_a_second_probe(store: Store) -> None:
    """A call from before the circuit opened is throttled while the probe is in progress."""
    limiter = RedisProviderLimiter(store.topology, {"gw": ProviderPolicy()}, {}, {"gw": 13_000})

    async def acquire(n: int) -> Permit:
        permit = await limiter.acquire("gw", "acme", f"m{n}", country="ID", segments=1, max_wait_ms=100_000)
        assert isinstance(permit, Permit)
        return permit

    old = await acquire(0)
    for n in range(1, 6):
        await limiter.release(await acquire(n), SendResult(Outcome.TRANSIENT))
    await store.advance(2)
    await acquire(6)
    await limiter.release(old, SendResult(Outcome.THROTTLED, retry_after=0.0))

    deferred = await limiter.acquire("gw", "acme", "m7", country="ID", segments=1, max_wait_ms=100_000)
    assert isinstance(deferred, Deferred)


@pytest.mark.parametrize(
    ("result", "times"), [(SendResult(Outcome.TRANSIENT), 5), (SendResult(Outcome.THROTTLED, retry_after=60.0), 1)]
)
async def test_nothing_waits_for_a_clock_that_went_back(store: Store, result: SendResult, times: int) -> None:
    """After a failover to a server whose clock is an hour behind, an open circuit is probed, and a pause is over."""
    limiter = RedisProviderLimiter(store.topology, {"gw": ProviderPolicy()}, {}, {"gw": 13_000})

    async def acquire(n: int) -> Permit | Deferred:
        return await limiter.acquire("gw", "acme", f"m{n}", country="ID", segments=1, max_wait_ms=100_000)

    await store.advance(3600)
    for n in range(times):
        permit = await acquire(n)
        assert isinstance(permit, Permit)
        await limiter.release(permit, result)
    assert isinstance(await acquire(5), Deferred)

    await store.advance(-3600)
    assert isinstance(await acquire(6), Permit)
    assert isinstance(await acquire(7), Deferred if times > 1 else Permit)  # one probe at a time


async def test_no_call_waits_for_a_clock_that_went_back(store: Store) -> None:
    """The failover that sets the clock back loses the ends of calls: they end after the longest time of a call."""
    limiter = RedisProviderLimiter(store.topology, {"gw": ProviderPolicy(max_concurrent=1)}, {}, {"gw": 13_000})

    async def acquire(message_id: str) -> Permit | Deferred:
        return await limiter.acquire("gw", "acme", message_id, country="ID", segments=1, max_wait_ms=100_000)

    await store.advance(7200)  # a key expires by the server's own clock, which is never ahead here
    assert isinstance(await acquire("m1"), Permit)
    await store.advance(-3600)
    assert isinstance(await acquire("m2"), Deferred)
    await store.advance(13)
    probed = await acquire("m2")
    assert isinstance(probed, Permit)

    await limiter.release(probed, SendResult(Outcome.FUNDS))
    await store.advance(60)
    assert isinstance(await acquire("probe"), Permit)
    await store.advance(-3600)
    assert isinstance(await acquire("m3"), Deferred)  # one call at a time
    await store.advance(13)
    assert isinstance(await acquire("m3"), Permit)


def test_scripts_know_the_longest_times() -> None:
    """What two scripts take for a clock that went back is what no circuit and no pause reaches."""
    assert f"MAX_OPEN_MS = {max(longest for _, longest in OPEN_MS.values())}" in script("provider_acquire").text
    assert f"MAX_PAUSE_MS = {MAX_PAUSE_MS}" in script("provider_acquire").text
