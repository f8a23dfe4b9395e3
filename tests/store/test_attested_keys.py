"""Keys of attested apps in the store: one assertion for each counter, and a TTL that each use renews."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from otp_service.domain.app_attest import CounterUse
from otp_service.domain.errors import Refused
from otp_service.store.attested_keys import RedisAttestedKeys
from otp_service.store.topology import connect
from tests.store.replica_store import Store

PUBLIC_KEY = b"\2" + bytes(32)


async def test_one_of_many_assertions_with_one_counter(store: Store) -> None:
    """Of 50 parallel assertions with one counter exactly one is accepted."""
    keys = RedisAttestedKeys(store.topology)
    await keys.add("key", PUBLIC_KEY, 60)

    found = await asyncio.gather(*(keys.advance("key", 7, 60) for _ in range(50)))

    assert Counter(found) == {CounterUse.ADVANCED: 1, CounterUse.REPLAYED: 49}


async def test_counter_only_grows(store: Store) -> None:
    """A counter is accepted if it is greater than the stored one, up to the greatest that iOS can send."""
    keys = RedisAttestedKeys(store.topology)
    await keys.add("key", PUBLIC_KEY, 60)

    found = [await keys.advance("key", counter, 60) for counter in (0, 1, 9, 10, 9, 2**32 - 1, 2**32 - 2)]

    assert found == [CounterUse.REPLAYED] + [CounterUse.ADVANCED] * 3 + [
        CounterUse.REPLAYED,
        CounterUse.ADVANCED,
        CounterUse.REPLAYED,
    ]


async def test_registering_again_keeps_the_counter(store: Store) -> None:
    """A key that is registered again is not set back, so that no assertion is accepted twice."""
    keys = RedisAttestedKeys(store.topology)
    await keys.add("key", PUBLIC_KEY, 60)
    await keys.advance("key", 5, 60)
    await keys.add("key", PUBLIC_KEY, 60)

    assert await keys.advance("key", 5, 60) is CounterUse.REPLAYED
    assert await keys.find("key") == PUBLIC_KEY


async def test_unknown_key(store: Store) -> None:
    """An assertion of a key that is not registered, or was forgotten, creates nothing."""
    keys, before = RedisAttestedKeys(store.topology), await store.dump()

    assert await keys.advance("key", 1, 60) is CounterUse.UNKNOWN
    assert await keys.find("key") is None
    assert await store.dump() == before


async def test_use_renews_the_ttl(store: Store) -> None:
    """A key lives from its last use; what shortens the configured time shortens no TTL."""
    keys = RedisAttestedKeys(store.topology)

    async def seconds_left() -> int:
        [name] = await store.redis.keys("otp:ak:*")
        return int(await store.redis.ttl(name))

    await keys.add("key", PUBLIC_KEY, 1000)
    assert 900 < await seconds_left() <= 1000
    await keys.advance("key", 1, 5000)
    assert 4900 < await seconds_left() <= 5000
    await keys.advance("key", 2, 1000)
    await keys.add("key", PUBLIC_KEY, 1000)
    assert 4900 < await seconds_left() <= 5000
    await keys.advance("key", 2, 9000)
    assert await seconds_left() <= 5000


async def test_store_away() -> None:
    """Without the store nothing is found, registered or accepted."""
    topology = connect("redis://127.0.0.1:1")
    keys = RedisAttestedKeys(topology)
    try:
        for call in (keys.find("key"), keys.add("key", PUBLIC_KEY, 60), keys.advance("key", 1, 60)):
            with pytest.raises(Refused, match="store_unavailable"):
                await call
    finally:
        await topology.close()
