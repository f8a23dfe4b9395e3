"""How a verification ends, what is readable afterwards, and for how long."""

from __future__ import annotations

from otp_service.domain.results import NotFound
from otp_service.domain.verification import VerificationSnapshot, VerificationStatus
from tests.store.replica_store import POLICY, TENANT, Store
from tests.store.verification_endings import Ending, canceled, for_each_ending

TEN_MINUTES = 600


@for_each_ending
async def test_an_ended_verification_is_readable_for_ten_minutes(store: Store, end: Ending) -> None:
    """Each end is readable, with its time, for ten minutes to the millisecond; then it is unknown."""
    verification_id = await store.started()
    await end(store, verification_id)
    ended_ms = await store.now()

    snapshot = await store.snapshot(verification_id)
    assert snapshot.record.status_at(snapshot.now_ms) is VerificationStatus(end.__name__)
    assert snapshot.record.ended_at(snapshot.now_ms) == ended_ms

    await store.advance(TEN_MINUTES - 0.001)
    assert await store.status(verification_id) == end.__name__
    await store.advance(0.001)
    assert await store.verifications.read(verification_id, TENANT) == NotFound()
    assert await store.verifications.cancel(verification_id, TENANT) == NotFound()
    assert await store.attempts.reserve_attempt(verification_id, TENANT, POLICY) == NotFound()
    assert await store.attempts.consume(verification_id) == NotFound()


@for_each_ending
async def test_the_first_end_wins(store: Store, end: Ending) -> None:
    """No cancel, newer verification or time changes how one has ended, or when."""
    verification_id = await store.started()
    await end(store, verification_id)
    ended = (await store.snapshot(verification_id)).record

    assert await store.verifications.cancel(verification_id, TENANT) == await store.snapshot(verification_id)
    await store.advance(300)
    await store.started()
    await store.verifications.cancel(verification_id, TENANT)

    assert (await store.snapshot(verification_id)).record == ended


async def test_canceling_ends_a_pending_verification(store: Store) -> None:
    """It is canceled from now on, its message and outbox entry are deleted, and the reply shows that."""
    verification_id = await store.started()
    await store.advance(10)

    answer = await store.verifications.cancel(verification_id, TENANT)

    assert isinstance(answer, VerificationSnapshot)
    assert (answer.record.status, answer.record.ended_ms) == ("canceled", await store.now())
    assert answer == await store.snapshot(verification_id)
    assert {name.split(":")[2] for name in await store.keys()} == {"d", "r", "v"}


async def test_canceling_again_changes_nothing(store: Store) -> None:
    """The second reply is the first one, later."""
    verification_id = await store.started()
    await canceled(store, verification_id)
    first = await store.snapshot(verification_id)
    before = await store.dump()
    await store.advance(5)

    again = await store.verifications.cancel(verification_id, TENANT)

    assert isinstance(again, VerificationSnapshot)
    assert (again.record, again.now_ms - first.now_ms) == (first.record, 5000)
    assert await store.dump() == before


async def test_canceling_keeps_the_limits(store: Store) -> None:
    """A canceled verification was a send: the cooldown and the chain go on."""
    verification_id = await store.started()
    await store.verifications.cancel(verification_id, TENANT)

    assert (await store.denied()).wait_ms == 30_000
    await store.advance(30)
    assert (await store.admitted()).sends_left == 3


async def test_another_tenants_verification_is_unknown(store: Store) -> None:
    """No tenant reads or cancels another's verification."""
    verification_id = await store.started()

    assert await store.verifications.read(verification_id, "other") == NotFound()
    assert await store.verifications.cancel(verification_id, "other") == NotFound()
    assert await store.status(verification_id) == "pending"


async def test_reading_changes_nothing(store: Store) -> None:
    """A read changes no key."""
    verification_id = await store.started()
    before = await store.dump()

    await store.snapshot(verification_id)

    assert await store.dump() == before
