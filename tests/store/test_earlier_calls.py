"""What comes late of an earlier call to a provider changes neither the state nor the id of the last one."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from otp_service.domain.message import Receipt
from otp_service.domain.outcomes import DeliveryStatus
from otp_service.domain.results import DeliveryUpdate, ReceiptEffect
from tests.store.replica_store import RECIPIENT, Store

CALL_MS = 13_000
DELIVERED, UNDELIVERED = DeliveryStatus.DELIVERED, DeliveryStatus.UNDELIVERED
REFUSED = DeliveryUpdate(
    provider="first", call=1, status=DeliveryStatus.QUEUED, error="throttled", provider_message_id="gw-1", due_in_ms=0
)


async def called_twice(store: Store, answer: DeliveryUpdate | None) -> str:
    """Call a provider that refuses the message, and call it again; `answer` is its second answer, None: none yet."""
    verification_id = await store.started()
    await store.outbox.begin(verification_id, 1, "first", CALL_MS)
    await store.outbox.record_result(verification_id, 1, REFUSED)
    [claimed] = await store.claimed()
    lease = claimed.record.lease
    assert await store.outbox.begin(verification_id, lease, "first", CALL_MS)
    if answer:
        await store.outbox.record_result(verification_id, lease, replace(answer, call=lease))
    return verification_id


SENT = DeliveryUpdate(
    provider="first", call=2, status=DeliveryStatus.SENT, provider_message_id="gw-2", parts=("gw-2",), due_in_ms=60_000
)


@pytest.mark.parametrize("answer", [None, SENT])
@pytest.mark.parametrize("status", [DELIVERED, UNDELIVERED, None])
async def test_a_receipt_at_the_url_of_an_earlier_call(
    store: Store, answer: DeliveryUpdate | None, status: DeliveryStatus | None
) -> None:
    """It changes nothing, before and after the second answer; that of the last call does."""
    verification_id = await called_twice(store, answer)
    before = await store.delivery(verification_id)
    assert before is not None
    assert before.provider_message_id == ("gw-2" if answer else "")

    for part in ("", "gw-1"):
        late = Receipt(verification_id, status, provider_message_id="gw-1", part=part, call=1)
        assert await store.outbox.record_receipt("first", late, RECIPIENT) is ReceiptEffect.EARLIER
    assert await store.delivery(verification_id) == before

    own = Receipt(verification_id, DELIVERED, provider_message_id="gw-2", call=before.call)
    assert await store.outbox.record_receipt("first", own, RECIPIENT) is ReceiptEffect.NOTED


@pytest.mark.parametrize("part", ["", "gw-1"])
async def test_a_signed_receipt_with_the_id_of_an_earlier_call(store: Store, part: str) -> None:
    """Without a call in its URL, the gateway's id tells."""
    verification_id = await called_twice(store, SENT)
    before = await store.delivery(verification_id)

    late = Receipt(verification_id, UNDELIVERED, provider_message_id="gw-1", part=part)
    assert await store.outbox.record_receipt("first", late, RECIPIENT) is ReceiptEffect.EARLIER
    assert await store.delivery(verification_id) == before
    own = Receipt(verification_id, DELIVERED, provider_message_id="gw-2", part=part and "gw-2")
    assert await store.outbox.record_receipt("first", own, RECIPIENT) is ReceiptEffect.NOTED


async def test_an_id_of_an_earlier_call_does_not_find_the_message(store: Store) -> None:
    """A receipt that names the gateway's id only finds the message by the id of the last call."""
    verification_id = await called_twice(store, None)
    for provider_message_id, found in (("gw-1", ""), ("gw-2", verification_id)):
        if found:
            await store.outbox.record_result(verification_id, 2, SENT)
        partition = 7
        assert await store.outbox.find_message(partition, RECIPIENT, "first", provider_message_id) == found


async def test_a_repeated_call_is_about_the_same_text(store: Store) -> None:
    """A provider that sends a repeated message once: receipts of the first call count."""
    verification_id = await store.started()
    await store.outbox.begin(verification_id, 1, "first", CALL_MS)
    lost = DeliveryUpdate(provider="first", call=1, status=DeliveryStatus.UNKNOWN, error="ambiguous", due_in_ms=0)
    await store.outbox.record_result(verification_id, 1, lost)
    [claimed] = await store.claimed()
    assert await store.outbox.begin(verification_id, claimed.record.lease, "first", CALL_MS, idempotent_send=True)

    first = Receipt(verification_id, DELIVERED, provider_message_id="gw-1", call=1)
    assert await store.outbox.record_receipt("first", first, RECIPIENT) is ReceiptEffect.NOTED
