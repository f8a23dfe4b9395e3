"""The events of a message, in every order in which its gateway's answer and its receipts may arrive."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import pytest

from otp_service.domain.events import TENANT_EVENTS, EventTarget, EventType, StoredEvent, encode_targets
from otp_service.domain.message import Receipt
from otp_service.domain.outcomes import DeliveryStatus, Outcome
from otp_service.domain.results import DeliveryUpdate
from otp_service.store.keys import ALL_PARTITIONS
from otp_service.store.webhook_queue import RedisWebhookQueue
from tests.store.replica_store import PARTITION, Store

ENDPOINT = "acme.main"
SLOT = ALL_PARTITIONS[PARTITION].events
EVENTS = encode_targets(SLOT, "", [EventTarget(ENDPOINT, frozenset(TENANT_EVENTS))])
COMMON = {"provider": "first", "purpose": "login", "country": "ID", "channel": "sms"}
SENT = DeliveryUpdate(provider="first", call=1, status=DeliveryStatus.SENT, provider_message_id="gw-1")
LOST = DeliveryUpdate(
    provider="first", call=1, status=DeliveryStatus.UNKNOWN, error=Outcome.AMBIGUOUS, due_in_ms=15_000
)
REPORTS: dict[str, tuple[DeliveryStatus | None, Outcome | None]] = {
    "in transit": (None, None),
    "delivered": (DeliveryStatus.DELIVERED, None),
    "undelivered": (DeliveryStatus.UNDELIVERED, Outcome.RECIPIENT_INVALID),
}
ORDERS = [
    order
    for answer in ("sent", "lost")
    for final in ("delivered", "undelivered")
    for order in permutations((answer, final, "in transit"))
]


async def called(store: Store) -> str:
    """Start a verification, and begin the call to its provider; the event of the request is behind it."""
    verification_id = await store.start(await store.admitted(), events=EVENTS)
    assert await store.outbox.begin(verification_id, 1, "first", 9000)
    [requested] = await events_of(store)
    assert requested.type is EventType.REQUESTED
    return verification_id


async def record_step(store: Store, verification_id: str, step: str) -> None:
    """Record an answer or a receipt."""
    if step in REPORTS:
        status, error = REPORTS[step]
        await store.outbox.record_receipt("first", Receipt(verification_id, status, error, "gw-1"), "")
    else:
        await store.outbox.record_result(verification_id, 1, SENT if step == "sent" else LOST)


async def events_of(store: Store) -> Sequence[StoredEvent]:
    """Lease all events that became due since, in the order in which a worker gets them."""
    await store.advance(0.002)
    return [one.event for one in await RedisWebhookQueue(store.topology).claim(SLOT, ENDPOINT, 100, 600_000)]


@pytest.mark.parametrize("order", ORDERS, ids=", ".join)
async def test_every_order_has_the_same_events(store: Store, order: tuple[str, ...]) -> None:
    """The acceptance comes before the final status, and each has one event, however often a step is repeated."""
    verification_id = await called(store)
    found: list[StoredEvent] = []
    for step in order:
        await record_step(store, verification_id, step)
        await record_step(store, verification_id, step)
        found += await events_of(store)

    final = "delivered" if "delivered" in order else "undelivered"
    failure = {} if final == "delivered" else {"error": "recipient_invalid"}
    retrying = [one.facts.pop("retrying") for one in found if "retrying" in one.facts]
    assert [(one.type, one.facts) for one in found] == [
        (EventType.SENT, COMMON | {"status": "sent"}),
        (EventType.DELIVERED if final == "delivered" else EventType.FAILED, COMMON | {"status": final} | failure),
    ]
    assert len(retrying) == len(failure)


@pytest.mark.parametrize("order", [("sent", "delivered"), ("delivered", "sent")], ids=", ".join)
async def test_the_order_holds_for_a_worker_that_comes_late(store: Store, order: tuple[str, ...]) -> None:
    """Both events wait when it looks."""
    verification_id = await called(store)
    for step in order:
        await record_step(store, verification_id, step)
        await store.advance(0.001)

    assert [one.type for one in await events_of(store)] == [EventType.SENT, EventType.DELIVERED]


async def test_receipts_of_parts_before_the_answer(store: Store) -> None:
    """The answer says that the parts that were reported are all parts: it is accepted and delivered at once."""
    verification_id = await called(store)
    for part in ("gw-1", "gw-2"):
        receipt = Receipt(verification_id, DeliveryStatus.DELIVERED, part=part)
        await store.outbox.record_receipt("first", receipt, "")
    assert await events_of(store) == []
    answer = DeliveryUpdate(
        provider="first", call=1, status=DeliveryStatus.SENT, provider_message_id="gw-1", parts=("gw-1", "gw-2")
    )
    await store.outbox.record_result(verification_id, 1, answer)

    assert [one.type for one in await events_of(store)] == [EventType.SENT, EventType.DELIVERED]


async def test_a_refused_message_was_not_sent(store: Store) -> None:
    """A gateway that did not accept the message has the failure only."""
    verification_id = await called(store)
    refused = DeliveryUpdate(provider="first", call=1, status=DeliveryStatus.FAILED, error=Outcome.RECIPIENT_INVALID)
    await store.outbox.record_result(verification_id, 1, refused)
    await record_step(store, verification_id, "delivered")

    assert [one.type for one in await events_of(store)] == [EventType.FAILED]
