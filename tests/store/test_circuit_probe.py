"""A half-open circuit lets one call through, whatever other results arrive meanwhile."""

from __future__ import annotations

from otp_service.domain.message import SendResult
from otp_service.domain.outcomes import Outcome
from otp_service.domain.provider_policy import Deferred, Permit, ProviderPolicy
from otp_service.store.provider_limits import RedisProviderLimiter
from tests.store.replica_store import Store


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
