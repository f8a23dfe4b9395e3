"""A circuit that was open is tried by one call, whatever else is heard meanwhile."""

from __future__ import annotations

from otp_service.domain.message import Delivered
from otp_service.domain.outcomes import Outcome
from otp_service.domain.provider_policy import GatewayPolicy, Go, Held
from otp_service.store.provider_limits import RedisDispatch
from tests.store.kit import Store


async def test_an_answer_to_an_older_call_does_not_let_a_second_probe_in(store: Store) -> None:
    """A call from before the circuit opened is told to slow down while the probe is under way."""
    dispatch = RedisDispatch(store.topology, {"gw": GatewayPolicy()}, {}, {"gw": 13_000})

    async def take(n: int) -> Go:
        go = await dispatch.take("gw", "acme", f"m{n}", country="ID", segments=1, patience_ms=100_000)
        assert isinstance(go, Go)
        return go

    old = await take(0)
    for n in range(1, 6):
        await dispatch.done(await take(n), Delivered(Outcome.TRANSIENT))
    await store.advance(2)
    await take(6)
    await dispatch.done(old, Delivered(Outcome.THROTTLED, retry_after=0.0))

    held = await dispatch.take("gw", "acme", "m7", country="ID", segments=1, patience_ms=100_000)
    assert isinstance(held, Held)
