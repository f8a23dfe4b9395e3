"""Key rotation: a replica neither counts, ends nor hides a verification that it has no key for."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from otp_service.domain.results import AttemptReserved, DeliveryUpdate, Unreadable
from tests.store.replica_store import KEY_ID, POLICY, TENANT, Store

NEW = "k2"


@pytest.fixture
async def replica_without_key(store: Store) -> AsyncIterator[Store]:
    """Return the same store for a replica that lacks the key of `store`."""
    store_without_key = Store(store.url, (NEW,))
    yield store_without_key
    await store_without_key.close()


async def test_an_attempt_is_not_counted(store: Store, replica_without_key: Store) -> None:
    """Nothing changes, however often it is called; a replica with the key compares as usual."""
    verification_id = await store.started()
    before = await store.dump()

    for _ in range(7):
        assert await replica_without_key.attempts.reserve_attempt(verification_id, TENANT, POLICY) == Unreadable()

    assert await store.dump() == before
    spent = await store.attempts.reserve_attempt(verification_id, TENANT, POLICY)
    assert isinstance(spent, AttemptReserved)
    assert spent.attempts_left == 4


async def test_it_is_not_canceled(store: Store, replica_without_key: Store) -> None:
    """The answer could not be opened, so nothing is done."""
    verification_id = await store.started()

    assert await replica_without_key.verifications.cancel(verification_id, TENANT) == Unreadable()

    assert await store.status(verification_id) == "pending"


async def test_its_message_stays_for_replicas_with_the_key(store: Store, replica_without_key: Store) -> None:
    """A replica without the key changes neither record nor due time: another one has it at once."""
    verification_id = await store.started()
    await store.advance(6)
    before = await store.dump()

    for _ in range(3):
        assert await replica_without_key.outbox.claim() == ([], 1_000, 1)
        assert await replica_without_key.outbox.claim_near([verification_id]) == []
    assert await store.dump() == before

    assert [message.id for message in await store.claimed()] == [verification_id]


@pytest.mark.parametrize("count", [16, 40, 300, 600])
async def test_unreadable_messages_do_not_delay_those_behind_them(
    store: Store, replica_without_key: Store, count: int
) -> None:
    """However many are due before it in its partition, a readable message is claimed."""
    for n in range(count):
        await store.started(recipient=f"r{n}")
    await store.advance(0.5)
    mine = await store.start(await store.admitted(recipient="mine"), key_id=NEW)
    await store.advance(6)

    claimed = []
    for _ in range(2):  # each claim inspects another page
        claimed += (await replica_without_key.outbox.claim())[0]
        await store.advance(0.5)

    assert [message.id for message in claimed] == [mine]


async def test_a_message_without_its_key_has_failed_when_its_code_expires(
    store: Store, replica_without_key: Store
) -> None:
    """Any replica stores that, and removes it from the outbox."""
    verification_id = await store.started()
    await store.advance(300)

    assert await replica_without_key.outbox.claim() == ([], 295_000, 0)

    delivery = await store.delivery(verification_id)
    assert delivery is not None
    assert (delivery.status, delivery.error) == ("failed", "transient")


async def test_a_message_is_left_to_others(store: Store) -> None:
    """It is due at once for other replicas, and not claimed by the one that left it; its deliveries stay."""
    other = Store(store.url, (KEY_ID,))
    verification_id = await store.started()
    await store.advance(5)
    [message] = await store.claimed()
    before = await store.delivery(verification_id)

    await store.outbox.release_to_others(verification_id, message.record.lease)

    assert await store.claimed() == []
    assert await store.delivery(verification_id) == before
    [again] = await other.claimed()
    assert (again.id, again.record.lease) == (verification_id, message.record.lease + 1)
    await other.outbox.record_result(verification_id, again.record.lease, DeliveryUpdate(due_in_ms=0))
    await store.advance(300)
    await store.claimed()
    assert await store.redis.zcard("otp:{p07}:o") == 0
    await other.close()
