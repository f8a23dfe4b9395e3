"""`begin` of a call by another channel: only when the time for a receipt has passed, and by one replica only."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from otp_service.domain.message import Channel, Receipt
from otp_service.domain.outcomes import DeliveryStatus
from otp_service.domain.results import CallStarted, DeliveryUpdate
from otp_service.domain.verification import VerificationRecord
from tests.store.replica_store import ReplicaFactory, Store

CALL_MS, HOLD_MS = 10_000, 20_000


async def sent(store: Store) -> str:
    """Start a verification whose WhatsApp message was accepted; it is due again after the hold."""
    verification_id = await store.started()
    await store.outbox.begin(verification_id, 1, "first", CALL_MS, channel=Channel.WHATSAPP, channel_hold_ms=HOLD_MS)
    accepted = DeliveryUpdate(provider="first", call=1, status=DeliveryStatus.SENT, due_in_ms=HOLD_MS)
    await store.outbox.record_result(verification_id, 1, accepted)
    return verification_id


async def begin(
    store: Store, verification_id: str, lease: int, channel: Channel = Channel.SMS, hold_ms: int = HOLD_MS
) -> bool:
    """Begin a call to the second provider; return whether it may be called."""
    started = await store.outbox.begin(
        verification_id, lease, "second", CALL_MS, channel=channel, channel_hold_ms=hold_ms
    )
    return isinstance(started, CallStarted)


async def test_the_next_channel_begins_after_the_hold(store: Store) -> None:
    """Not a millisecond before; its delivery has its channel."""
    verification_id = await sent(store)
    await store.advance(HOLD_MS / 1000 - 0.001)
    assert await store.claimed() == []
    assert not await begin(store, verification_id, 1)
    await store.advance(0.001)
    [claimed] = await store.claimed()
    assert await begin(store, verification_id, claimed.record.lease)
    deliveries = (await store.snapshot(verification_id)).record.deliveries
    assert [(one.provider, one.channel, one.status) for one in deliveries] == [
        ("first", "whatsapp", "sent"),
        ("second", "sms", "sending"),
    ]


@pytest.mark.parametrize(
    ("channel", "hold_ms"), [(Channel.WHATSAPP, HOLD_MS), (Channel.SMS, 0)], ids=["same channel", "no hold"]
)
async def test_an_acceptance_without_a_hold_is_final(store: Store, channel: Channel, hold_ms: int) -> None:
    """By the same channel, and with `channel_hold_ms` 0 by any."""
    verification_id = await sent(store)
    await store.advance(HOLD_MS / 1000)
    [claimed] = await store.claimed()
    assert not await begin(store, verification_id, claimed.record.lease, channel, hold_ms)


async def test_a_receipt_after_the_claim_stops_the_next_channel(store: Store) -> None:
    """`delivered` came when the replica had already claimed the message; its code may be kept for another send."""
    verification_id = await sent(store)
    packed = await store.redis.get(f"otp:{{p07}}:v:{verification_id}")
    record = msgspec.msgpack.decode(packed, type=VerificationRecord)
    kept = msgspec.msgpack.encode(msgspec.structs.replace(record, keeps_code=True))
    await store.redis.set(f"otp:{{p07}}:v:{verification_id}", kept, keepttl=True)
    await store.advance(HOLD_MS / 1000)
    [claimed] = await store.claimed()
    await store.outbox.record_receipt("first", Receipt(verification_id, DeliveryStatus.DELIVERED), "")
    assert not await begin(store, verification_id, claimed.record.lease)


async def test_a_delivery_of_an_earlier_version_counts_for_every_channel(store: Store) -> None:
    """It has no channel: no other provider is called after its acceptance."""
    verification_id = await sent(store)
    key = f"otp:{{p07}}:v:{verification_id}"
    record: list[Any] = msgspec.msgpack.decode(await store.redis.get(key))
    at = VerificationRecord.__struct_fields__.index("deliveries")
    record[at] = [delivery[:9] for delivery in record[at]]
    await store.redis.set(key, msgspec.msgpack.encode(record), keepttl=True)
    await store.advance(HOLD_MS / 1000)
    [claimed] = await store.claimed()
    assert claimed.record.deliveries[0].channel == ""
    assert not await begin(store, verification_id, claimed.record.lease)


async def test_one_replica_begins(store: Store, make_replicas: ReplicaFactory) -> None:
    """Of 40 claims and calls by 4 replicas at the end of the hold, one call begins; `max_texts` is 2 of 2 then."""
    replicas = make_replicas(4)
    verification_id = await sent(store)
    await store.advance(HOLD_MS / 1000)

    async def work(store: Store) -> int:
        return sum([await begin(store, verification_id, one.record.lease) for one in await store.claimed()])

    assert sum(await asyncio.gather(*(work(store) for store in replicas * 10))) == 1
    await store.advance(2 * HOLD_MS / 1000)
    [claimed] = await store.claimed()
    third = await store.outbox.begin(
        verification_id, claimed.record.lease, "third", CALL_MS, channel=Channel.VOICE, channel_hold_ms=HOLD_MS
    )
    assert third is None
