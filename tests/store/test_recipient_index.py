"""The index by which a recipient is forgotten: what it names, for how long, and what a damaged one costs."""

from __future__ import annotations

from otp_service.store.keys import ALL_PARTITIONS
from tests.store.replica_store import PARTITION, RECIPIENT, Store, policy

INDEX = ALL_PARTITIONS[PARTITION].recipient_indexes + RECIPIENT
LIVES_SECONDS = 300 + 600  # the code, and the time for which an ended verification is readable
QUICK = policy(cooldown_seconds=1, recipient=(), max_sends=20)


async def names(store: Store) -> list[str]:
    """Return the verifications that the index names."""
    return [member.decode().split(":")[2] for member in await store.redis.zrange(INDEX, 0, -1)]


async def test_it_names_what_is_stored(store: Store) -> None:
    """Each verification until it is gone; the index lives as long as the last of them."""
    first = await store.started(policy=QUICK)
    await store.advance(600)
    second = await store.started(policy=QUICK)
    assert await names(store) == [first, second]
    assert await store.redis.pexpiretime(INDEX) == await store.now() + LIVES_SECONDS * 1000

    await store.advance(LIVES_SECONDS - 600)
    third = await store.started(policy=QUICK)
    assert await names(store) == [second, third]


async def test_a_damaged_index_stops_no_request(store: Store) -> None:
    """One of another type is replaced."""
    await store.redis.set(INDEX, b"text")
    verification_id = await store.started()

    assert await names(store) == [verification_id]
    assert await store.redis.pttl(INDEX) > 0
