"""A request that will probably be denied is sent another way, which changes nothing but its cost."""

from __future__ import annotations

import pytest

from otp_service.domain.errors import Reason
from otp_service.domain.limits import Window
from otp_service.domain.results import Denied, RateLimit
from tests.store.replica_store import POLICY, Store, record_batches

HOUR = (RateLimit("prefix", "block", (Window(2, 3600),)),)
DAY = (RateLimit("country", "ID", (Window(1, 86_400),)),)


@pytest.fixture
def batches(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Collect the names of the scripts of each batch that is sent."""
    return record_batches(store, monkeypatch)


async def test_an_expected_denial_acquires_nothing(store: Store, batches: list[list[str]]) -> None:
    """The first denial releases what it acquired; the ones after it are one batch, and change no key."""
    await store.admitted(rate_limits=HOUR)
    before = await store.dump()
    batches.clear()

    found = [await store.denied(rate_limits=HOUR) for _ in range(3)]

    assert found == [Denied(Reason.RESEND_TOO_SOON, POLICY.cooldown_seconds * 1000)] * 3
    assert [len(batch) for batch in batches] == [2, 1, 2, 2]
    assert await store.dump() == before


async def test_an_expected_denial_waits_for_the_longest_limit(store: Store) -> None:
    """The other limits are looked at: what is reported is the longest wait, as in a batch that acquires."""
    await store.admitted(rate_limits=DAY)
    await store.denied()

    assert await store.denied(rate_limits=DAY) == Denied(Reason.RATE_LIMITED, 86_400_000, "country")


async def test_a_denial_that_is_over_is_not_expected(store: Store, batches: list[list[str]]) -> None:
    """The store decides: the next request is admitted, acquires its limits once, and the one after it is denied."""
    await store.admitted(rate_limits=HOUR)
    await store.denied(rate_limits=HOUR)
    await store.advance(POLICY.cooldown_seconds)
    batches.clear()

    admitted = await store.admitted(rate_limits=HOUR)

    assert (admitted.sends_left, [one.limit for one, _ in admitted.acquired]) == (POLICY.max_sends - 2, ["prefix"])
    assert batches == [["reserve", "rate_limit_acquire"], ["rate_limit_acquire"]]
    await store.advance(POLICY.cooldown_seconds)
    wait_ms = (3600 - 2 * POLICY.cooldown_seconds) * 1000
    assert await store.denied(rate_limits=HOUR) == Denied(Reason.RATE_LIMITED, wait_ms, "prefix")


async def test_a_reservation_is_released_if_another_limit_denies(store: Store) -> None:
    """The recipient's own wait is over, but another limit is full: nothing stays acquired."""
    await store.started(rate_limits=DAY)
    await store.denied(rate_limits=DAY)
    await store.advance(POLICY.cooldown_seconds)
    before = await store.dump()

    assert (await store.denied(rate_limits=DAY)).limit == "country"

    assert await store.dump() == before
