"""Conversion counts: exact sums over replicas, bounded in size and in time."""

from __future__ import annotations

import asyncio
from collections import Counter

from otp_service.domain.conversion import COUNTED_MINUTES, CountKey
from otp_service.store.conversion_counts import MAX_FIELDS, RedisConversionCounts
from otp_service.store.keys import conversion_key
from tests.store.replica_store import ReplicaFactory, Store

MINUTE_MS = 60_000


def sent(minute: int, provider: str = "first", prefix: str = "+62812") -> CountKey:
    """Return the key of sent messages."""
    return CountKey(minute, provider, prefix, verified=False)


async def test_replicas_add_up_exactly(store: Store, make_replicas: ReplicaFactory) -> None:
    """What four replicas add 25 times each in parallel is all there, for every replica."""
    replicas = [RedisConversionCounts(one.topology) for one in (store, *make_replicas(3))]
    now_minute, nothing = await replicas[0].add_and_read({})
    key, verified = sent(now_minute), sent(now_minute)._replace(verified=True)

    await asyncio.gather(*(one.add_and_read({key: 2, verified: 1}) for one in replicas for _ in range(25)))

    assert nothing == {}
    for one in replicas:
        assert await one.add_and_read({}) == (now_minute, {key: 200, verified: 100})


async def test_late_verifications_count_while_codes_live(store: Store) -> None:
    """A minute is read again as long as its codes can be verified, and leaves the sums when it does not count."""
    counts, other = RedisConversionCounts(store.topology), RedisConversionCounts(store.topology)
    first, _ = await counts.add_and_read({})
    await counts.add_and_read({sent(first): 3})
    for minutes in (1, 8):
        await store.advance(minutes * 60)
        await other.add_and_read({sent(first)._replace(verified=True): 1})
    await store.advance(60)
    found = {sent(first): 3, sent(first)._replace(verified=True): 2}

    assert await counts.add_and_read({}) == (first + 10, found)
    await store.advance((COUNTED_MINUTES - 10) * 60)
    assert await counts.add_and_read({}) == (first + COUNTED_MINUTES, found)
    await store.advance(60)
    await counts.add_and_read({})
    assert await counts.add_and_read({}) == (first + COUNTED_MINUTES + 1, {})


async def test_a_minute_has_a_bounded_number_of_fields(store: Store) -> None:
    """Fields beyond the bound are not counted, and those that exist still are; the key expires."""
    counts = RedisConversionCounts(store.topology)
    minute, _ = await counts.add_and_read({})
    added = Counter({sent(minute, prefix=f"+{n:05}"): 1 for n in range(MAX_FIELDS + 50)})
    await counts.add_and_read(added)
    _, found = await counts.add_and_read({sent(minute, prefix="+00000"): 1})

    assert (len(found), found[sent(minute, prefix="+00000")]) == (MAX_FIELDS, 2)
    left_ms = await store.redis.pttl(conversion_key(minute))
    assert 0 < left_ms <= (COUNTED_MINUTES + 1) * MINUTE_MS


async def test_a_value_of_another_type_is_replaced(store: Store) -> None:
    """Data that is not a hash does not stop the counting."""
    counts = RedisConversionCounts(store.topology)
    minute, _ = await counts.add_and_read({})
    await store.redis.set(conversion_key(minute), "text")

    assert await counts.add_and_read({sent(minute): 1}) == (minute, {sent(minute): 1})
