"""The port's contract: who may work on a message, and until when."""

from __future__ import annotations

from dataclasses import replace

import pytest

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


async def test_a_fresh_message_is_its_starters(store: Store) -> None:
    """While the first lease lasts nobody else may claim the message, to the millisecond."""
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


async def test_a_lapsed_lease_of_a_queued_message_is_retaken(store: Store) -> None:
    """Whoever claims it gets the next lease number; who had it before may not begin any more."""
    verification_id = await store.started()
    for lease in (2, 3, 4):
        await store.advance(LEASE)
        [claimed] = await store.claimed()
        assert claimed.record.lease == lease
        assert await store.claimed() == []

    assert await store.outbox.begin(verification_id, 3, "first", CALL_MS) is None
    assert await store.outbox.begin(verification_id, 4, "first", CALL_MS) == CallStarted(await store.now())


async def test_the_oldest_waiting_message_is_told(store: Store) -> None:
    """How long the oldest due message has waited, and how many there are, over all partitions."""
    await store.started()
    await store.advance(2)
    await store.started(recipient="bob")
    await store.advance(FIRST_LEASE + 1)

    claimed, overdue, waiting = await store.outbox.claim()

    assert (len(claimed), overdue, waiting) == (2, 3000, 2)


async def test_a_claim_takes_so_many_of_a_partition(store: Store) -> None:
    """One round takes the oldest sixteen of a partition, the next one the rest."""
    ids = []
    for n in range(CLAIMS_PER_PARTITION + 4):
        ids.append(await store.started(recipient=f"r{n}"))
        await store.advance(0.01)
    await store.advance(FIRST_LEASE)

    rounds = [[one.id for one in await store.claimed()] for _ in range(3)]

    assert rounds == [ids[:CLAIMS_PER_PARTITION], ids[CLAIMS_PER_PARTITION:], []]


async def test_begin_marks_the_message_as_being_sent(store: Store) -> None:
    """The delivery is `sending`, under our lease, and the lease lasts as long as the call may."""
    verification_id = await store.started()
    await store.advance(1)

    assert await store.outbox.begin(verification_id, 1, "first", CALL_MS) == CallStarted(await store.now())

    delivery = await store.delivery(verification_id)
    assert delivery is not None
    assert (delivery.status, delivery.at_ms, delivery.call) == ("sending", await store.now(), 1)
    await store.advance(CALL_MS / 1000 - 0.001)
    assert await store.claimed() == []


async def test_a_lapsed_lease_of_a_sending_message_is_told_as_such(store: Store) -> None:
    """Whoever claims it sees that a gateway may have it: the delivery is still `sending`, under the lapsed lease."""
    verification_id = await store.started()
    await store.outbox.begin(verification_id, 1, "first", CALL_MS)
    await store.advance(CALL_MS / 1000)

    [claimed] = await store.claimed()

    assert (claimed.id, claimed.record.lease) == (verification_id, 2)
    assert [(one.status, one.call) for one in claimed.record.deliveries] == [("sending", 1)]


async def test_a_settled_message_leaves_the_outbox(store: Store) -> None:
    """It is told as sent, with the gateway's id; the code is gone, and nobody claims it again."""
    verification_id = await store.started()
    await store.outbox.begin(verification_id, 1, "first", CALL_MS)

    await store.outbox.record_result(verification_id, 1, SENT)

    delivery = await store.delivery(verification_id)
    assert delivery is not None
    assert (delivery.status, delivery.error, delivery.provider_message_id) == ("sent", "", "gw-1")
    assert {name.split(":")[2] for name in await store.keys()} == {"r", "v"}
    await store.advance(60)
    assert await store.outbox.claim() == ([], 0, 0)
    assert await store.status(verification_id) == "pending"


async def test_the_code_stays_where_it_may_be_sent_again(store: Store) -> None:
    """By the tenant's policy, or because a receipt may bring the message back: as long as the code itself lives."""
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


async def test_a_message_is_due_again_when_its_settlement_says_so(store: Store) -> None:
    """A retry waits in the outbox until its moment, and nobody touches it before."""
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


async def test_no_more_texts_than_may_be(store: Store) -> None:
    """A third gateway is not asked when two may have accepted; one that surely has nothing does not count."""
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


async def test_begin_said_again_is_one_call(store: Store) -> None:
    """Its reply was lost and it is said again under the same lease: the call may be made."""
    verification_id = await store.started()

    for _ in range(3):
        assert await store.outbox.begin(verification_id, 1, "first", CALL_MS) is not None

    assert [one.call for one in (await store.snapshot(verification_id)).record.deliveries] == [1]


@pytest.mark.parametrize("status", ["sent", "unknown", "delivered", "undelivered"])
async def test_a_gateway_that_may_have_the_text_is_not_asked_again(store: Store, status: str) -> None:
    """Whatever a replica thinks it knows; the one that sends a message once may be asked while it is in doubt."""
    verification_id = await store.started()
    await store.outbox.begin(verification_id, 1, "first", CALL_MS)
    news = DeliveryUpdate(provider="first", call=1, status=DeliveryStatus(status), error="ambiguous", due_in_ms=0)
    await store.outbox.record_result(verification_id, 1, news)

    assert await store.outbox.begin(verification_id, 1, "first", CALL_MS) is None
    repeated = await store.outbox.begin(verification_id, 1, "first", CALL_MS, idempotent_send=True)
    assert (repeated is not None) is (status == "unknown")


async def test_a_gateway_that_asked_to_be_left_alone(store: Store) -> None:
    """The moment is kept with its delivery, and gone when it is asked again."""
    verification_id = await store.started()
    await store.outbox.begin(verification_id, 1, "first", CALL_MS)
    later = DeliveryUpdate(
        provider="first", call=1, status=DeliveryStatus.QUEUED, error="throttled", again_in_ms=9000, due_in_ms=9000
    )
    await store.outbox.record_result(verification_id, 1, later)
    delivery = await store.delivery(verification_id)
    assert delivery is not None
    assert delivery.again_ms == await store.now() + 9000

    await store.outbox.begin(verification_id, 1, "first", CALL_MS)
    delivery = await store.delivery(verification_id)
    assert delivery is not None
    assert delivery.again_ms == 0


async def test_a_doubt_is_as_old_as_its_first_outcome(store: Store) -> None:
    """Asked again and again in doubt: the hold counts from the first time."""
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
    """Without a message there is nothing to hand over."""
    verification_id = await store.started(sealed_code=None)

    assert await store.outbox.begin(verification_id, 1, "first", CALL_MS) is None


async def test_a_refused_repetition_says_nothing_of_the_call_in_doubt(store: Store) -> None:
    """A gateway that sends once was in doubt and refuses the repetition: it still may have the text."""
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
