"""Receipts of the parts of a long text: delivered when each part is, undelivered when one is, in every order."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from otp_service.domain.message import Receipt
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.results import DeliveryUpdate, ReceiptEffect
from tests.store.replica_store import RECIPIENT, Store

CALL_MS = 13_000
DELIVERED, UNDELIVERED = DeliveryStatus.DELIVERED, DeliveryStatus.UNDELIVERED
ANSWER = DeliveryUpdate(
    provider="first", call=1, status=DeliveryStatus.SENT, provider_message_id="a", parts=("a", "b"), due_in_ms=60_000
)
LOST = replace(ANSWER, status=DeliveryStatus.UNKNOWN, error="ambiguous", provider_message_id="", parts=())
Event = str | DeliveryUpdate
"""A part that was delivered, `!` and a part that was not, or the answer to the call."""


async def apply(store: Store, events: Sequence[Event], parts: int) -> str:
    """Begin a call with a text of probably `parts` parts, let the events happen, and return the status."""
    verification_id = await store.started()
    assert await store.outbox.begin(verification_id, 1, "first", CALL_MS, parts=parts)
    for event in events:
        if isinstance(event, DeliveryUpdate):
            await store.outbox.record_result(verification_id, 1, event)
        else:
            part, status = event.lstrip("!"), UNDELIVERED if event.startswith("!") else DELIVERED
            receipt = Receipt(verification_id, status, provider_message_id=part, part=part, call=1)
            await store.outbox.record_receipt("first", receipt, RECIPIENT)
    delivery = await store.delivery(verification_id)
    assert delivery is not None
    assert delivery.provider_message_id == "a" or ANSWER not in events
    await store.redis.flushdb()
    await store.stop_clock()
    return delivery.status


@pytest.mark.parametrize("parts", [1, 2, 3])
async def test_every_order_of_receipts_and_the_answer(store: Store, parts: int) -> None:
    """The same receipts have the same result in every order, also before the answer, and however often they come."""
    expected: list[tuple[list[Event], str]] = [
        (["a", "b", ANSWER], "delivered"),
        (["a", "a", "b", "b", ANSWER], "delivered"),
        (["a", ANSWER], "sent"),
        (["a", "a", ANSWER], "sent"),
        (["a", "c", ANSWER], "sent"),  # a part of another text
        (["a", "!b", ANSWER], "undelivered"),
        (["!b", ANSWER], "undelivered"),
        ([ANSWER], "sent"),
    ]
    for events, status in expected:
        for order in set(itertools.permutations(events)):
            assert await apply(store, order, parts) == status, (order, parts)


@pytest.mark.parametrize(("parts", "needed"), [(1, 1), (2, 2), (3, 3)])
async def test_without_an_answer_our_own_count_decides(store: Store, parts: int, needed: int) -> None:
    """If the answer is lost, the message is delivered when as many parts are as the text probably has."""
    names = ["a", "b", "c"][:needed]
    events: list[Event] = [*names, LOST]
    for order in set(itertools.permutations(events)):
        assert await apply(store, order, parts) == "delivered"
    assert await apply(store, [LOST, *names[1:], *names[1:]], parts) == "unknown"


@pytest.mark.parametrize("answered", [("a", ""), ("", "a"), ("a", "", "")])
async def test_a_part_that_was_refused_is_never_delivered(store: Store, answered: tuple[str, ...]) -> None:
    """The answer counts it, so the other parts alone do not make the message delivered."""
    partly = replace(ANSWER, status=DeliveryStatus.UNKNOWN, error=Outcome.AMBIGUOUS.value, parts=answered)
    events: list[Event] = ["a", "a", partly]
    for order in set(itertools.permutations(events)):
        assert await apply(store, order, 2) == "unknown"


async def test_what_is_stored_is_bounded(store: Store) -> None:
    """A thousand receipts for invented parts leave at most 32 hashes, and do not make the message delivered."""
    verification_id = await store.started()
    await store.outbox.begin(verification_id, 1, "first", CALL_MS, parts=2)
    await store.outbox.record_result(verification_id, 1, ANSWER)
    [size] = [await store.redis.memory_usage(key) for key in await store.keys() if f":v:{verification_id}" in key]
    for number in range(1000):
        receipt = Receipt(verification_id, DELIVERED, part="x" * 100 + str(number), call=1)
        assert await store.outbox.record_receipt("first", receipt, RECIPIENT) is ReceiptEffect.NOTED
    delivery = await store.delivery(verification_id)
    assert delivery is not None
    assert delivery.status == "sent"
    [grown] = [await store.redis.memory_usage(key) for key in await store.keys() if f":v:{verification_id}" in key]
    assert grown - size < 600


async def test_a_message_of_one_receipt_needs_no_more_memory(store: Store) -> None:
    """Without parts the record is as before: no element is added."""
    verification_id = await store.started()
    await store.outbox.begin(verification_id, 1, "first", CALL_MS)
    await store.outbox.record_result(verification_id, 1, replace(ANSWER, parts=()))
    [before] = [await store.redis.strlen(key) for key in await store.keys() if f":v:{verification_id}" in key]
    await store.outbox.record_receipt("first", Receipt(verification_id, DELIVERED, call=1), RECIPIENT)
    [after] = [await store.redis.strlen(key) for key in await store.keys() if f":v:{verification_id}" in key]
    assert after - before == len("delivered") - len("sent")
