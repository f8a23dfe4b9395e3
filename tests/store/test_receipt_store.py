"""Delivery receipts of a message, and values that may be used once."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from otp_service.domain.message import Receipt
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.results import DeliveryUpdate, ReceiptEffect
from tests.store.replica_store import RECIPIENT, Store, policy
from tests.store.verification_endings import Ending, for_each_ending

CALL_MS = 13_000
DELIVERED, UNDELIVERED = DeliveryStatus.DELIVERED, DeliveryStatus.UNDELIVERED
SENT = DeliveryUpdate(provider="first", call=1, status=DeliveryStatus.SENT, provider_message_id="task-1")


async def sent(store: Store) -> str:
    """Send a message through a gateway that reports delivery later."""
    verification_id = await store.started()
    await store.outbox.begin(verification_id, 1, "first", CALL_MS)
    await store.outbox.record_result(verification_id, 1, SENT)
    return verification_id


async def delivery_states(store: Store, verification_id: str) -> tuple[str, str]:
    """Return the state of the deliveries."""
    delivery = await store.delivery(verification_id)
    assert delivery is not None
    return delivery.status, delivery.error


async def claim_due(store: Store) -> list[str]:
    """Claim, and return what was due."""
    return [one.id for one in await store.claimed()]


async def test_delivered_is_final(store: Store) -> None:
    """The message is gone, and no replica polls for it any more; the time is the receipt's."""
    verification_id = await sent(store)
    await store.advance(4)

    assert (
        await store.outbox.record_receipt("first", Receipt(verification_id, DELIVERED), RECIPIENT)
        is ReceiptEffect.NOTED
    )

    delivery = await store.delivery(verification_id)
    assert delivery is not None
    assert (delivery.status, delivery.at_ms, delivery.provider_message_id) == ("delivered", await store.now(), "task-1")
    assert not any(f":m:{verification_id}" in name for name in await store.keys())
    assert await claim_due(store) == []


async def test_undelivered_is_due_at_once(store: Store) -> None:
    """With its reason, and with the code still there."""
    verification_id = await sent(store)

    receipt = Receipt(verification_id, UNDELIVERED, Outcome.CONTENT_REJECTED, provider_message_id="msg-7", call=1)
    assert await store.outbox.record_receipt("first", receipt, "") is ReceiptEffect.NOTED

    assert await delivery_states(store, verification_id) == ("undelivered", "content_rejected")
    delivery = await store.delivery(verification_id)
    assert delivery is not None
    assert delivery.provider_message_id == "msg-7"
    assert await claim_due(store) == [verification_id]


@for_each_ending
async def test_a_receipt_after_the_end_is_stored_and_schedules_nothing(store: Store, end: Ending) -> None:
    """Nothing is due, however the verification ended."""
    verification_id = await sent(store)
    await end(store, verification_id)

    assert (
        await store.outbox.record_receipt("first", Receipt(verification_id, UNDELIVERED), RECIPIENT)
        is ReceiptEffect.NOTED
    )

    assert (await delivery_states(store, verification_id))[0] == "undelivered"
    await store.advance(1)
    assert verification_id not in await claim_due(store)


async def test_the_first_final_receipt_stays(store: Store) -> None:
    """Of 100 contradicting receipts at once one is stored."""
    verification_id = await sent(store)
    receipts = [Receipt(verification_id, (DELIVERED, UNDELIVERED)[n % 2]) for n in range(100)]

    noted = await asyncio.gather(*(store.outbox.record_receipt("first", one, RECIPIENT) for one in receipts))

    assert Counter(noted) == {ReceiptEffect.NOTED: 1, ReceiptEffect.KNOWN: 99}
    assert (await delivery_states(store, verification_id))[0] == receipts[noted.index(ReceiptEffect.NOTED)].status


@pytest.mark.parametrize("reported", [DELIVERED, UNDELIVERED])
async def test_a_result_after_the_receipt_does_not_replace_it(store: Store, reported: DeliveryStatus) -> None:
    """An undelivered message is due at once, whatever the result asks for."""
    verification_id = await store.started()
    await store.outbox.begin(verification_id, 1, "first", CALL_MS)
    await store.outbox.record_receipt("first", Receipt(verification_id, reported), RECIPIENT)

    await store.outbox.record_result(verification_id, 1, SENT)

    assert (await delivery_states(store, verification_id))[0] == reported
    assert await claim_due(store) == ([verification_id] if reported is UNDELIVERED else [])


async def test_a_receipt_while_another_gateway_is_called(store: Store) -> None:
    """The call in progress keeps its lease; no other replica claims the message."""
    verification_id = await sent(store)
    await store.outbox.record_receipt("first", Receipt(verification_id, UNDELIVERED), RECIPIENT)
    [claimed] = await store.claimed()
    await store.outbox.begin(verification_id, claimed.record.lease, "second", CALL_MS)

    for status in (DELIVERED, UNDELIVERED):
        await store.outbox.record_receipt("first", Receipt(verification_id, status), RECIPIENT)

    assert await claim_due(store) == []
    assert (
        await store.outbox.record_receipt("second", Receipt(verification_id, DELIVERED), RECIPIENT)
        is ReceiptEffect.NOTED
    )


async def test_a_receipt_of_a_provider_that_was_not_called_is_unknown(store: Store) -> None:
    """Also for another recipient's message, an impossible id, and one that is gone."""
    verification_id = await store.started()
    before = await store.dump()

    for provider, identity, recipient, noted in (
        ("first", verification_id, RECIPIENT, ReceiptEffect.UNKNOWN),
        ("second", verification_id, RECIPIENT, ReceiptEffect.UNKNOWN),
        ("first", "x", "", ReceiptEffect.UNKNOWN),
        ("first", "A" * 23, "", ReceiptEffect.UNKNOWN),
    ):
        assert await store.outbox.record_receipt(provider, Receipt(identity, DELIVERED), recipient) is noted
    assert await store.dump() == before

    await store.outbox.begin(verification_id, 1, "first", CALL_MS)
    assert (
        await store.outbox.record_receipt("first", Receipt(verification_id, DELIVERED), "somebody-else")
        is ReceiptEffect.OTHER
    )


async def test_a_rejection_is_not_undone(store: Store) -> None:
    """A message that a gateway rejected for good cannot be delivered by it."""
    verification_id = await store.started()
    await store.outbox.begin(verification_id, 1, "first", CALL_MS)
    refused = DeliveryUpdate(provider="first", call=1, status=DeliveryStatus.FAILED, error="funds", due_in_ms=0)
    await store.outbox.record_result(verification_id, 1, refused)

    assert (
        await store.outbox.record_receipt("first", Receipt(verification_id, DELIVERED), RECIPIENT)
        is ReceiptEffect.KNOWN
    )
    assert await delivery_states(store, verification_id) == ("failed", "funds")


async def test_a_one_time_value_is_used_for_one_thing(store: Store) -> None:
    """It may be used first, and again for the same; for nothing else until it expires."""
    assert await store.outbox.mark_used("token", "a", 60)
    assert await store.outbox.mark_used("token", "a", 60)
    assert not await store.outbox.mark_used("token", "b", 60)
    assert await store.outbox.mark_used("another", "b", 60)
    assert 0 < await store.redis.pttl("otp:u:token") <= 60_000


async def test_parallel_uses_have_one_winner(store: Store) -> None:
    """Of 100 different uses at once exactly one is allowed."""
    used = await asyncio.gather(*(store.outbox.mark_used("token", str(n), 60) for n in range(100)))

    assert used.count(True) == 1


async def test_delivered_stops_the_next_gateway_also_when_the_code_is_kept(store: Store) -> None:
    """Under `reuse` the code outlives its delivery: a replica that claimed the message before calls no other."""
    verification_id = await store.started(policy=policy(reuse=True))
    await store.outbox.begin(verification_id, 1, "first", CALL_MS)
    held = DeliveryUpdate(provider="first", call=1, status=DeliveryStatus.UNKNOWN, error="ambiguous", due_in_ms=15_000)
    await store.outbox.record_result(verification_id, 1, held)
    await store.advance(15)
    [claimed] = await store.claimed()
    assert (
        await store.outbox.record_receipt("first", Receipt(verification_id, DELIVERED), RECIPIENT)
        is ReceiptEffect.NOTED
    )

    assert await store.outbox.begin(verification_id, claimed.record.lease, "second", CALL_MS) is None
