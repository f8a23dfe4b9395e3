"""A recipient that is removed from stored events: which events, at which tenant, and what stays of them."""

from __future__ import annotations

from typing import Any

import pytest

from otp_service.domain.events import TENANT_EVENTS, AttemptResult, EventTarget, StoredEvent, encode_targets
from otp_service.store.keys import ALL_PARTITIONS
from otp_service.store.recipient_data import RedisRecipientData
from otp_service.store.webhook_queue import RedisWebhookQueue
from tests.store.replica_store import PARTITION, Store

ENDPOINT = "acme.main"
SLOT = ALL_PARTITIONS[PARTITION].events
EVENTS = encode_targets(SLOT, "sealed-reference", [EventTarget(ENDPOINT, frozenset(TENANT_EVENTS))])
ACCEPTED = AttemptResult("204", accepted=True)


async def requested(store: Store, recipient: str, **wanted: Any) -> None:
    """Start a verification, which has an event."""
    await store.start(await store.admitted(recipient=recipient, **wanted), events=EVENTS)


async def by_recipient(store: Store) -> dict[str, StoredEvent]:
    """Return the events by the keyed hash of their recipients."""
    found = await RedisWebhookQueue(store.topology).summaries([ENDPOINT], 10)
    return {event.recipient_hash: event for _, event in found[ENDPOINT].events}


@pytest.mark.parametrize("delivered", [False, True], ids=["waiting", "delivered"])
async def test_only_the_recipient_is_removed(store: Store, delivered: bool) -> None:
    """From events that wait, and from those in a history without any that waits; a repeated call finds none."""
    queue, data = RedisWebhookQueue(store.topology), RedisRecipientData(store.topology)
    for recipient in ("alice", "bob"):
        await requested(store, recipient)
    if delivered:
        for one in await queue.claim(SLOT, ENDPOINT, 5, 1000):
            await queue.record(one, ACCEPTED)
    before = await by_recipient(store)

    assert await data.forget_in_events(PARTITION, "alice", tenant="") == 1
    assert await data.forget_in_events(PARTITION, "alice", tenant="") == 0
    after = await by_recipient(store)
    assert after["bob"] == before["bob"]
    assert (after[""].recipient, after[""].reference) == ("", "")
    assert (after[""].verification_id, after[""].facts) == (before["alice"].verification_id, before["alice"].facts)
    assert (after[""].state, after[""].attempts) == (before["alice"].state, before["alice"].attempts)


async def test_only_at_the_tenant(store: Store) -> None:
    """Events of another tenant keep the recipient."""
    await requested(store, "alice", tenant="other")
    data = RedisRecipientData(store.topology)

    assert await data.forget_in_events(PARTITION, "alice", tenant="acme") == 0
    assert set(await by_recipient(store)) == {"alice"}
    assert await data.forget_in_events(PARTITION, "alice", tenant="other") == 1
