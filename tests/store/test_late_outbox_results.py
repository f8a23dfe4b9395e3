"""A result that comes too late adds what it knows, and sends nothing."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from otp_service.domain.outcomes import DeliveryStatus
from otp_service.domain.results import DeliveryUpdate
from tests.store.replica_store import POLICY, TENANT, Store
from tests.store.verification_endings import Ending, canceled, for_each_ending

CALL_MS = 13_000
SENT = DeliveryUpdate(provider="first", call=1, status=DeliveryStatus.SENT, provider_message_id="gw-1", forget=True)
AGAIN = DeliveryUpdate(provider="first", call=1, status=DeliveryStatus.QUEUED, error="transient", due_in_ms=100)
HELD = DeliveryUpdate(provider="first", call=1, status=DeliveryStatus.UNKNOWN, error="ambiguous", due_in_ms=15_000)


async def lapsed(store: Store) -> str:
    """Begin a call whose lease expires: another replica waits on the ambiguous outcome, under lease 2."""
    verification_id = await store.started()
    await store.outbox.begin(verification_id, 1, "first", CALL_MS)
    await store.advance(CALL_MS / 1000)
    assert [one.record.lease for one in await store.claimed()] == [2]
    return verification_id


async def test_a_late_result_is_stored_and_schedules_nothing(store: Store) -> None:
    """The delivery becomes sent, while the message stays with the replica that has its lease."""
    verification_id = await lapsed(store)
    await store.outbox.record_result(verification_id, 2, HELD)

    await store.outbox.record_result(verification_id, 1, SENT)

    delivery = await store.delivery(verification_id)
    assert delivery is not None
    assert (delivery.status, delivery.provider_message_id) == ("sent", "gw-1")
    await store.advance(14.999)
    assert await store.claimed() == []
    await store.advance(0.001)
    [claimed] = await store.claimed()
    assert claimed.record.lease == 3


async def test_a_late_result_does_not_change_the_lease(store: Store) -> None:
    """It neither makes the message due nor deletes its code, whatever it asks for."""
    verification_id = await lapsed(store)

    await store.outbox.record_result(verification_id, 1, AGAIN)

    await store.advance(4.999)
    assert await store.claimed() == []
    await store.advance(0.001)
    assert [one.record.lease for one in await store.claimed()] == [3]


async def test_a_late_result_replaces_no_more_certain_one(store: Store) -> None:
    """Once sent is stored, a slower result does not undo it."""
    verification_id = await lapsed(store)
    await store.outbox.record_result(verification_id, 2, HELD)
    await store.outbox.record_result(verification_id, 1, SENT)

    await store.outbox.record_result(verification_id, 1, AGAIN)

    delivery = await store.delivery(verification_id)
    assert delivery is not None
    assert (delivery.status, delivery.error) == ("sent", "")


async def test_the_answer_of_an_older_call_does_not_change_a_newer_one(store: Store) -> None:
    """The gateway is called under another lease: neither a late rejection nor a late acceptance is about that call."""
    verification_id = await lapsed(store)
    await store.outbox.record_result(verification_id, 1, AGAIN)
    assert await store.outbox.begin(verification_id, 2, "first", CALL_MS) is not None

    for late in (AGAIN, SENT):
        await store.outbox.record_result(verification_id, 1, late)

        delivery = await store.delivery(verification_id)
        assert delivery is not None
        assert (delivery.status, delivery.call, delivery.provider_message_id) == ("sending", 2, "")
    newer = replace(SENT, call=2, provider_message_id="gw-2")
    for late in (newer, SENT):
        await store.outbox.record_result(verification_id, 2, late)
        delivery = await store.delivery(verification_id)
        assert delivery is not None
        assert (delivery.status, delivery.provider_message_id) == ("sent", "gw-2")


async def test_an_ambiguous_outcome_does_not_replace_an_answer(store: Store) -> None:
    """The answer of a lapsed call came in time, before the replica that found it lapsed reports that."""
    for answer, status in ((SENT, "sent"), (AGAIN, "queued")):
        verification_id = await lapsed(store)
        await store.outbox.record_result(verification_id, 1, answer)
        await store.outbox.record_result(verification_id, 2, HELD)

        delivery = await store.delivery(verification_id)
        assert delivery is not None
        assert delivery.status == status
        await store.advance(600)


async def test_a_result_for_a_missing_verification_does_nothing(store: Store) -> None:
    """A verification that cannot be read any more stores no result, and no key is created."""
    verification_id = await lapsed(store)
    await store.advance(900)

    await store.outbox.record_result(verification_id, 2, AGAIN)

    assert await store.claimed() == []
    assert await store.outbox.begin(verification_id, 2, "first", CALL_MS) is None
    assert await store.redis.zcard("otp:{p07}:o") == 0


@for_each_ending
async def test_an_ended_verification_is_not_begun(store: Store, end: Ending) -> None:
    """No gateway is called for an ended code, however it ended, by the replica that still has the lease."""
    verification_id = await store.started()
    await end(store, verification_id)

    assert await store.outbox.begin(verification_id, 1, "first", CALL_MS) is None

    assert not any(name.endswith(f":m:{verification_id}") for name in await store.keys())


@for_each_ending
async def test_an_ended_verification_is_not_claimed(store: Store, end: Ending) -> None:
    """It leaves the outbox, and no delivery stays open."""
    verification_id = await store.started()
    await end(store, verification_id)
    await store.advance(60)

    assert verification_id not in [one.id for one in await store.claimed()]

    assert await store.redis.zscore("otp:{p07}:o", verification_id) is None
    record = (await store.snapshot(verification_id)).record
    assert not {"queued", "sending"} & {one.status for one in record.deliveries}


async def test_a_code_that_expired_unsent_is_a_recorded_failure(store: Store) -> None:
    """No replica could send it in time: the delivery is `failed`."""
    verification_id = await store.started()
    await store.advance(300)
    await store.claimed()

    delivery = await store.delivery(verification_id)
    assert delivery is not None
    assert (delivery.status, delivery.error) == ("failed", "transient")


async def test_a_canceled_message_without_a_call_has_no_delivery(store: Store) -> None:
    """No provider was called, so none is listed."""
    verification_id = await store.started()
    await canceled(store, verification_id)

    assert (await store.snapshot(verification_id)).record.deliveries == ()


async def test_a_lapsed_call_of_an_ended_code_may_have_been_accepted(store: Store) -> None:
    """The code expired while a call was lost: its outcome is ambiguous, and the delivery `unknown`."""
    verification_id = await store.started()
    await store.advance(295)
    await store.outbox.begin(verification_id, 1, "first", CALL_MS)
    await store.advance(CALL_MS / 1000)

    assert await store.claimed() == []

    delivery = await store.delivery(verification_id)
    assert delivery is not None
    assert (delivery.status, delivery.error) == ("unknown", "ambiguous")


@pytest.mark.parametrize("late", [False, True], ids=["in time", "late"])
@pytest.mark.parametrize(
    ("settlement", "status"), [(SENT, "sent"), (HELD, "unknown"), (AGAIN, "failed")], ids=["sent", "held", "again"]
)
async def test_the_result_for_an_ended_code_is_stored(
    store: Store, settlement: DeliveryUpdate, status: str, late: bool
) -> None:
    """The verification ended during the call: the result is stored, and nothing is due, nor a retry."""
    verification_id = await (lapsed(store) if late else store.started())
    if not late:
        await store.outbox.begin(verification_id, 1, "first", CALL_MS)
    await store.verifications.cancel(verification_id, TENANT)

    await store.outbox.record_result(verification_id, 1, settlement)

    delivery = await store.delivery(verification_id)
    assert delivery is not None
    assert delivery.status == status
    assert late or await store.redis.zscore("otp:{p07}:o", verification_id) is None
    await store.advance(60)
    claimed, _, waiting = await store.outbox.claim()
    assert (claimed, waiting) == ([], 0)
    assert await store.delivery(verification_id) == delivery
    assert await store.status(verification_id) == "canceled"


@for_each_ending
async def test_a_call_lost_with_its_replica_ends_after_the_verification(store: Store, end: Ending) -> None:
    """The replica stopped in the call and the verification ended: no delivery stays `sending` endlessly."""
    verification_id = await store.started()
    await store.outbox.begin(verification_id, 1, "first", 2 * CALL_MS)
    await end(store, verification_id)
    await store.advance(CALL_MS / 1000)

    assert verification_id not in [one.id for one in await store.claimed()]

    delivery = await store.delivery(verification_id)
    assert delivery is not None
    assert (delivery.status, delivery.error) == ("unknown", "ambiguous")
    assert await store.redis.zscore("otp:{p07}:o", verification_id) is None


async def test_the_last_attempt_during_a_call_leaves_no_open_delivery(store: Store) -> None:
    """A planned retry is stored as failed once the attempts are used up."""
    verification_id = await store.start(await store.admitted(), attempts_left=1)
    await store.outbox.begin(verification_id, 1, "first", CALL_MS)
    await store.attempts.reserve_attempt(verification_id, TENANT, POLICY)
    await store.outbox.record_result(verification_id, 1, AGAIN)
    await store.advance(1)

    assert await store.claimed() == []

    delivery = await store.delivery(verification_id)
    assert delivery is not None
    assert (delivery.status, delivery.error) == ("failed", "transient")


async def test_an_acceptance_after_the_claim_stops_the_next_gateway(store: Store) -> None:
    """The first call's result came when the hold ended: the replica that claimed the message calls no other."""
    verification_id = await lapsed(store)
    await store.outbox.record_result(verification_id, 2, HELD)
    await store.advance(15)
    [claimed] = await store.claimed()
    await store.outbox.record_result(verification_id, 1, SENT)

    assert await store.outbox.begin(verification_id, claimed.record.lease, "second", CALL_MS) is None


async def test_a_late_rejection_makes_a_finished_message_due_again(store: Store) -> None:
    """It counted as lost and finished, then it turns out to be rejected: it is due again while it is wanted."""
    verification_id = await lapsed(store)
    await store.outbox.record_result(verification_id, 2, replace(HELD, due_in_ms=None))

    await store.outbox.record_result(verification_id, 1, AGAIN)

    assert [one.id for one in await store.claimed()] == [verification_id]
    await store.advance(400)
    await store.claimed()
    delivery = await store.delivery(verification_id)
    assert delivery is not None
    assert (delivery.status, delivery.error) == ("failed", "transient")


async def test_a_late_rejection_without_a_code_is_a_failure(store: Store) -> None:
    """The code is deleted, so nothing can be sent any more: the delivery is `failed`."""
    verification_id = await lapsed(store)
    await store.outbox.record_result(verification_id, 2, replace(HELD, due_in_ms=None, forget=True))

    await store.outbox.record_result(verification_id, 1, AGAIN)

    assert await store.claimed() == []
    delivery = await store.delivery(verification_id)
    assert delivery is not None
    assert (delivery.status, delivery.error) == ("failed", "transient")
