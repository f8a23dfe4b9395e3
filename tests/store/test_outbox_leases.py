"""Which replica may work on a message, and until when."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from otp_service.domain.outcomes import DeliveryStatus
from otp_service.domain.results import CallStarted, DeliveryUpdate
from otp_service.store.outbox import CLAIMS_PER_PARTITION, LEASE_MS
from otp_service.store.verifications import FIRST_LEASE_MS
from tests.store.replica_store import CODE, Store, policy

FIRST_LEASE = FIRST_LEASE_MS / 1000
LEASE = LEASE_MS / 1000
CALL_MS = 13_000
HELD = DeliveryUpdate(provider="first", call=1, status=DeliveryStatus.UNKNOWN, error="ambiguous", due_in_ms=15_000)
SENT = DeliveryUpdate(provider="first", call=1, status=DeliveryStatus.SENT, provider_message_id="gw-1", forget=True)


async def test_a_new_message_belongs_to_the_replica_that_started_it(store: Store) -> None:
    """While the first lease lasts no other replica can claim the message, to the millisecond."""
    verification_id = await store.started()

    assert await store.outbox.claim() == ([], 0, 1)
    await store.advance(FIRST_LEASE - 0.001)
    assert await store.outbox.claim() == ([], 0, 1)
    await store.advance(0.001)
    [claimed], overdue, waiting = await store.outbox.claim()

    assert (claimed.id, claimed.sealed_code, claimed.record.lease, claimed.now_ms) == (
        verification_id,
        CODE,
        2,
        await store.now(),
    )
    assert (overdue, waiting) == (0, 1)


async def test_a_queued_message_with_a_lapsed_lease_is_claimed_again(store: Store) -> None:
    """The new claim has the next lease number; the replica before it can begin no call any more."""
    verification_id = await store.started()
    for lease in (2, 3, 4):
        await store.advance(LEASE)
        [claimed] = await store.claimed()
        assert claimed.record.lease == lease
        assert await store.claimed() == []

    assert await store.outbox.begin(verification_id, 3, "first", CALL_MS) is None
    assert await store.outbox.begin(verification_id, 4, "first", CALL_MS) == CallStarted(await store.now())


async def test_a_claim_returns_the_age_of_the_oldest_message(store: Store) -> None:
    """How long the oldest due message has waited, and how many there are, over all partitions."""
    await store.started()
    await store.advance(2)
    await store.started(recipient="bob")
    await store.advance(FIRST_LEASE + 1)

    claimed, overdue, waiting = await store.outbox.claim()

    assert (len(claimed), overdue, waiting) == (2, 3000, 2)


async def test_a_claim_is_limited_per_partition(store: Store) -> None:
    """One claim takes the oldest sixteen of a partition, the next one the rest."""
    ids = []
    for n in range(CLAIMS_PER_PARTITION + 4):
        ids.append(await store.started(recipient=f"r{n}"))
        await store.advance(0.01)
    await store.advance(FIRST_LEASE)

    rounds = [[one.id for one in await store.claimed()] for _ in range(3)]

    assert rounds == [ids[:CLAIMS_PER_PARTITION], ids[CLAIMS_PER_PARTITION:], []]


async def test_begin_sets_the_delivery_to_sending(store: Store) -> None:
    """The delivery is `sending`, under our lease, and the lease lasts as long as the call may."""
    verification_id = await store.started()
    await store.advance(1)

    assert await store.outbox.begin(verification_id, 1, "first", CALL_MS) == CallStarted(await store.now())

    delivery = await store.delivery(verification_id)
    assert delivery is not None
    assert (delivery.status, delivery.at_ms, delivery.call) == ("sending", await store.now(), 1)
    await store.advance(CALL_MS / 1000 - 0.001)
    assert await store.claimed() == []


async def test_a_claim_shows_a_lapsed_call(store: Store) -> None:
    """The replica that claims it sees that a gateway may have it: `sending`, under the lapsed lease."""
    verification_id = await store.started()
    await store.outbox.begin(verification_id, 1, "first", CALL_MS)
    await store.advance(CALL_MS / 1000)

    [claimed] = await store.claimed()

    assert (claimed.id, claimed.record.lease) == (verification_id, 2)
    assert [(one.status, one.call) for one in claimed.record.deliveries] == [("sending", 1)]


async def test_a_sent_message_leaves_the_outbox(store: Store) -> None:
    """It is `sent`, with the gateway's id; the code is deleted, and no replica claims it again."""
    verification_id = await store.started()
    await store.outbox.begin(verification_id, 1, "first", CALL_MS)

    await store.outbox.record_result(verification_id, 1, SENT)

    delivery = await store.delivery(verification_id)
    assert delivery is not None
    assert (delivery.status, delivery.error, delivery.provider_message_id) == ("sent", "", "gw-1")
    assert {name.split(":")[2] for name in await store.keys()} == {"d", "r", "v"}
    await store.advance(60)
    assert await store.outbox.claim() == ([], 0, 0)
    assert await store.status(verification_id) == "pending"


async def test_the_code_stays_while_it_may_be_sent_again(store: Store) -> None:
    """By the tenant's policy, or because a receipt may make the message due: as long as the code is valid."""
    reuse = policy(reuse=True)
    verification_id = await store.started(policy=reuse)
    await store.outbox.begin(verification_id, 1, "first", CALL_MS)

    await store.outbox.record_result(verification_id, 1, SENT)

    await store.advance(30)
    active = (await store.admitted(policy=reuse)).active
    assert active is not None
    assert active.sealed_code == CODE

    other = await store.started(recipient="bob")
    await store.outbox.begin(other, 1, "first", CALL_MS)
    await store.outbox.record_result(other, 1, replace(SENT, forget=False))
    assert f"otp:{{p07}}:m:{other}" in await store.keys()


async def test_a_result_sets_the_next_due_time(store: Store) -> None:
    """A retry waits in the outbox until its time, and no replica claims it before."""
    verification_id = await store.started()
    await store.outbox.begin(verification_id, 1, "first", CALL_MS)
    again = DeliveryUpdate(provider="first", call=1, status=DeliveryStatus.QUEUED, error="transient", due_in_ms=2000)
    await store.outbox.record_result(verification_id, 1, again)

    await store.advance(1.999)
    assert await store.claimed() == []
    await store.advance(0.001)
    [claimed] = await store.claimed()

    assert (claimed.record.lease, claimed.sealed_code) == (2, CODE)
    assert [(one.status, one.error) for one in claimed.record.deliveries] == [("queued", "transient")]


async def test_begin_stops_at_max_texts(store: Store) -> None:
    """A third gateway is not called when two may have accepted; one that definitely has nothing does not count."""
    verification_id = await store.started()
    for name in ("first", "second", "third"):
        assert await store.outbox.begin(verification_id, 1, name, CALL_MS) is not None
        news = DeliveryUpdate(provider=name, call=1, status=DeliveryStatus.UNKNOWN, error="ambiguous", due_in_ms=100)
        if name == "second":
            news = replace(news, status=DeliveryStatus.FAILED, error="funds")
        await store.outbox.record_result(verification_id, 1, news)

    assert await store.outbox.begin(verification_id, 1, "fourth", CALL_MS) is None

    record = (await store.snapshot(verification_id)).record
    assert [(one.provider, one.status) for one in record.deliveries] == [
        ("first", "unknown"),
        ("second", "failed"),
        ("third", "unknown"),
    ]


async def test_a_repeated_begin_is_one_call(store: Store) -> None:
    """Its reply was lost and it is repeated under the same lease: the call may be made."""
    verification_id = await store.started()

    for _ in range(3):
        assert await store.outbox.begin(verification_id, 1, "first", CALL_MS) is not None

    assert [one.call for one in (await store.snapshot(verification_id)).record.deliveries] == [1]


@pytest.mark.parametrize("status", ["sent", "unknown", "delivered", "undelivered"])
async def test_a_gateway_that_may_have_the_message_is_not_called_again(store: Store, status: str) -> None:
    """Only one that sends a repeated message once may be called while its outcome is ambiguous."""
    verification_id = await store.started()
    await store.outbox.begin(verification_id, 1, "first", CALL_MS)
    news = DeliveryUpdate(provider="first", call=1, status=DeliveryStatus(status), error="ambiguous", due_in_ms=0)
    await store.outbox.record_result(verification_id, 1, news)

    assert await store.outbox.begin(verification_id, 1, "first", CALL_MS) is None
    repeated = await store.outbox.begin(verification_id, 1, "first", CALL_MS, idempotent_send=True)
    assert (repeated is not None) is (status == "unknown")


async def test_a_provider_keeps_the_time_of_its_next_call(store: Store) -> None:
    """The time is stored in its delivery, and cleared when it is called again."""
    verification_id = await store.started()
    await store.outbox.begin(verification_id, 1, "first", CALL_MS)
    later = DeliveryUpdate(
        provider="first", call=1, status=DeliveryStatus.QUEUED, error="throttled", retry_after_ms=9000, due_in_ms=9000
    )
    await store.outbox.record_result(verification_id, 1, later)
    delivery = await store.delivery(verification_id)
    assert delivery is not None
    assert delivery.retry_at_ms == await store.now() + 9000

    await store.outbox.begin(verification_id, 1, "first", CALL_MS)
    delivery = await store.delivery(verification_id)
    assert delivery is not None
    assert delivery.retry_at_ms == 0


async def test_an_ambiguous_outcome_dates_from_the_first_call(store: Store) -> None:
    """Repeated calls with an ambiguous outcome: the hold counts from the first one."""
    verification_id = await store.started()
    since = await store.now()
    for _ in range(3):
        assert await store.outbox.begin(verification_id, 1, "first", CALL_MS, idempotent_send=True) is not None
        await store.outbox.record_result(verification_id, 1, HELD)
        await store.advance(2)

    delivery = await store.delivery(verification_id)
    assert delivery is not None
    assert (delivery.ambiguous_since_ms, delivery.at_ms) == (since, since + 4000)


async def test_a_decoy_is_never_begun(store: Store) -> None:
    """Without a message there is nothing to send."""
    verification_id = await store.started(sealed_code=None)

    assert await store.outbox.begin(verification_id, 1, "first", CALL_MS) is None


async def test_a_rejected_repetition_keeps_the_outcome_ambiguous(store: Store) -> None:
    """A gateway that sends once rejects the repetition of an ambiguous call: it may still have the message."""
    verification_id = await store.started()
    since = await store.now()
    await store.outbox.begin(verification_id, 1, "first", CALL_MS, idempotent_send=True)
    await store.outbox.record_result(verification_id, 1, HELD)
    await store.advance(2)
    await store.outbox.begin(verification_id, 1, "first", CALL_MS, idempotent_send=True)
    refused = DeliveryUpdate(provider="first", call=1, status=DeliveryStatus.QUEUED, error="transient", due_in_ms=100)
    await store.outbox.record_result(verification_id, 1, refused)

    delivery = await store.delivery(verification_id)
    assert delivery is not None
    assert (delivery.status, delivery.error, delivery.ambiguous_since_ms) == ("unknown", "ambiguous", since)
    await store.outbox.begin(verification_id, 1, "second", CALL_MS)
    await store.outbox.record_result(verification_id, 1, replace(HELD, provider="second"))
    assert await store.outbox.begin(verification_id, 1, "third", CALL_MS) is None
