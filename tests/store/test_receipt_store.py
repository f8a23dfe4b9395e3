"""The port's contract: a gateway's own word about a message, and what may be used once."""

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
    """Hand a message over to a gateway that tells later."""
    verification_id = await store.started()
    await store.outbox.begin(verification_id, 1, "first", CALL_MS)
    await store.outbox.record_result(verification_id, 1, SENT)
    return verification_id


async def told(store: Store, verification_id: str) -> tuple[str, str]:
    """Show how the message stands."""
    delivery = await store.delivery(verification_id)
    assert delivery is not None
    return delivery.status, delivery.error


async def due(store: Store) -> list[str]:
    """Claim, and name what was due."""
    return [one.id for one in await store.claimed()]


async def test_delivered_is_the_end(store: Store) -> None:
    """The message is gone, and nobody looks for it any more; the moment is the receipt's."""
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
    assert await due(store) == []


async def test_undelivered_is_due_at_once(store: Store) -> None:
    """With its reason, and with the code still there."""
    verification_id = await sent(store)

    receipt = Receipt(verification_id, UNDELIVERED, Outcome.CONTENT_REJECTED, provider_message_id="msg-7")
    assert await store.outbox.record_receipt("first", receipt, "") is ReceiptEffect.NOTED

    assert await told(store, verification_id) == ("undelivered", "content_rejected")
    delivery = await store.delivery(verification_id)
    assert delivery is not None
    assert delivery.provider_message_id == "msg-7"
    assert await due(store) == [verification_id]


@for_each_ending
async def test_of_what_has_ended_only_the_fact_is_noted(store: Store, end: Ending) -> None:
    """Nothing is due, however it ended."""
    verification_id = await sent(store)
    await end(store, verification_id)

    assert (
        await store.outbox.record_receipt("first", Receipt(verification_id, UNDELIVERED), RECIPIENT)
        is ReceiptEffect.NOTED
    )

    assert (await told(store, verification_id))[0] == "undelivered"
    await store.advance(1)
    assert verification_id not in await due(store)


async def test_the_first_last_word_stays(store: Store) -> None:
    """100 receipts at once that contradict each other: one is news."""
    verification_id = await sent(store)
    receipts = [Receipt(verification_id, (DELIVERED, UNDELIVERED)[n % 2]) for n in range(100)]

    noted = await asyncio.gather(*(store.outbox.record_receipt("first", one, RECIPIENT) for one in receipts))

    assert Counter(noted) == {ReceiptEffect.NOTED: 1, ReceiptEffect.KNOWN: 99}
    assert (await told(store, verification_id))[0] == receipts[noted.index(ReceiptEffect.NOTED)].status


@pytest.mark.parametrize("told_status", [DELIVERED, UNDELIVERED])
async def test_an_answer_that_comes_after_the_receipt(store: Store, told_status: DeliveryStatus) -> None:
    """It does not take the receipt's place; a message that was not delivered is due, whatever the answer wanted."""
    verification_id = await store.started()
    await store.outbox.begin(verification_id, 1, "first", CALL_MS)
    await store.outbox.record_receipt("first", Receipt(verification_id, told_status), RECIPIENT)

    await store.outbox.record_result(verification_id, 1, SENT)

    assert (await told(store, verification_id))[0] == told_status
    assert await due(store) == ([verification_id] if told_status is UNDELIVERED else [])


async def test_a_receipt_while_another_gateway_is_asked(store: Store) -> None:
    """The call under way keeps its lease; the message is not claimed by anybody else."""
    verification_id = await sent(store)
    await store.outbox.record_receipt("first", Receipt(verification_id, UNDELIVERED), RECIPIENT)
    [claimed] = await store.claimed()
    await store.outbox.begin(verification_id, claimed.record.lease, "second", CALL_MS)

    for status in (DELIVERED, UNDELIVERED):
        await store.outbox.record_receipt("first", Receipt(verification_id, status), RECIPIENT)

    assert await due(store) == []
    assert (
        await store.outbox.record_receipt("second", Receipt(verification_id, DELIVERED), RECIPIENT)
        is ReceiptEffect.NOTED
    )


async def test_whom_nobody_asked_has_nothing_to_tell(store: Store) -> None:
    """A provider that was not tried, a message of somebody else, an id that is none, one that is gone."""
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


async def test_a_refusal_is_not_undone(store: Store) -> None:
    """What has failed for good has no text that could have come."""
    verification_id = await store.started()
    await store.outbox.begin(verification_id, 1, "first", CALL_MS)
    refused = DeliveryUpdate(provider="first", call=1, status=DeliveryStatus.FAILED, error="funds", due_in_ms=0)
    await store.outbox.record_result(verification_id, 1, refused)

    assert (
        await store.outbox.record_receipt("first", Receipt(verification_id, DELIVERED), RECIPIENT)
        is ReceiptEffect.KNOWN
    )
    assert await told(store, verification_id) == ("failed", "funds")


async def test_once(store: Store) -> None:
    """For the first time, and again for the same; not for anything else, until it is forgotten."""
    assert await store.outbox.mark_used("token", "a", 60)
    assert await store.outbox.mark_used("token", "a", 60)
    assert not await store.outbox.mark_used("token", "b", 60)
    assert await store.outbox.mark_used("another", "b", 60)
    assert 0 < await store.redis.pttl("otp:u:token") <= 60_000


async def test_once_has_one_winner(store: Store) -> None:
    """Of 100 different uses at once exactly one is let through."""
    used = await asyncio.gather(*(store.outbox.mark_used("token", str(n), 60) for n in range(100)))

    assert used.count(True) == 1


async def test_delivered_stops_the_next_gateway_also_when_the_code_is_kept(store: Store) -> None:
    """By `reuse` the code outlives its delivery: whoever claimed the message before it still asks nobody else."""
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
