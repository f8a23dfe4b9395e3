"""What `start` stores, what it ends, and how a code is sent again."""

from __future__ import annotations

from otp_service.domain.results import AlreadyEnded, AttemptReserved, IdInUse, Verified
from otp_service.domain.verification import VerificationStatus
from tests.store.recipient_model import READABLE_AFTER_END_MS
from tests.store.replica_store import CODE, PURPOSE, RECIPIENT, TENANT, Store, policy, record_of

REUSE = policy(reuse=True)


async def test_a_started_verification_is_read_unchanged(store: Store) -> None:
    """The record survives the packing of the scripts."""
    admitted = await store.admitted()
    verification_id = await store.start(admitted, locale="id", deliveries=())

    snapshot = await store.snapshot(verification_id)

    record = record_of(admitted)
    assert snapshot.id == verification_id
    assert snapshot.now_ms == admitted.now_ms == record.created_ms
    assert (snapshot.record.code_hash, snapshot.record.phone, snapshot.record.locale) == (
        record.code_hash,
        record.phone,
        "id",
    )
    assert snapshot.record.deliveries == ()
    spent = await store.attempts.reserve_attempt(verification_id, TENANT, policy())
    assert isinstance(spent, AttemptReserved)
    assert spent.snapshot.record == (await store.snapshot(verification_id)).record


async def test_a_newer_verification_supersedes_the_older(store: Store) -> None:
    """The older one has ended, and its message and its outbox entry are deleted."""
    older = await store.started()
    await store.advance(30)
    newer = await store.started()

    assert (await store.status(older), await store.status(newer)) == ("superseded", "pending")
    assert (await store.snapshot(older)).record.ended_ms == await store.now()
    assert await store.attempts.reserve_attempt(older, TENANT, policy()) == AlreadyEnded(VerificationStatus.SUPERSEDED)
    assert await store.attempts.consume(older) == AlreadyEnded(VerificationStatus.SUPERSEDED)
    assert await store.redis.zrange("otp:{p07}:o", 0, -1) == [newer.encode()]
    assert {name for name in await store.keys() if ":m:" in name} == {f"otp:{{p07}}:m:{newer}"}


async def test_only_the_same_tenant_recipient_and_purpose_is_superseded(store: Store) -> None:
    """The others stay pending."""
    others = [
        await store.started(purpose="registration"),
        await store.started(tenant="other"),
        await store.started(recipient="bob"),
    ]

    await store.started()

    assert [await store.status(others[0]), await store.status(others[2])] == ["pending", "pending"]
    assert (await store.snapshot(others[1], "other")).record.status == "pending"


async def test_an_ended_verification_is_not_superseded(store: Store) -> None:
    """The first end wins: a canceled, expired or exhausted verification does not change."""
    canceled = await store.started()
    await store.verifications.cancel(canceled, TENANT)
    await store.advance(30)
    exhausted = await store.start(await store.admitted(), attempts_left=1)
    await store.attempts.reserve_attempt(exhausted, TENANT, policy())
    await store.advance(30)
    expired = await store.started()
    await store.advance(300)
    await store.started()

    assert [await store.status(one) for one in (canceled, exhausted, expired)] == ["canceled", "exhausted", "expired"]


async def test_a_new_code_does_not_reset_the_failures(store: Store) -> None:
    """Wrong codes count over all verifications of the recipient: the log grows through resends."""
    for _ in range(3):
        verification_id = await store.started()
        await store.attempts.reserve_attempt(verification_id, TENANT, policy())
        await store.advance(30)

    assert await store.redis.hstrlen(f"otp:{{p07}}:r:{RECIPIENT}", f"f:{TENANT}") == 3 * 6


async def test_a_start_with_an_existing_id_is_refused(store: Store) -> None:
    """A second start under an id changes nothing, and its result says why."""
    admitted = await store.admitted()
    verification_id = await store.start(admitted)
    before = await store.dump()

    record = record_of(admitted, max_attempts=9)
    assert await store.verifications.start(admitted, verification_id, record, b"other", None) == IdInUse()

    assert await store.dump() == before


async def test_a_decoy_has_no_message(store: Store) -> None:
    """It is a verification like any other, without a code to send."""
    verification_id = await store.started(sealed_code=None)

    assert await store.status(verification_id) == "pending"
    assert {name.split(":")[2] for name in await store.keys()} == {"d", "r", "v"}
    await store.advance(60)
    assert await store.claimed() == []


async def test_the_verification_is_readable_ten_minutes_after_its_code(store: Store) -> None:
    """TTLs: the record ten minutes beyond the code, the message as long as the code."""
    verification_id = await store.started()
    expires = (await store.snapshot(verification_id)).record.expires_ms

    assert await store.redis.pexpiretime(f"otp:{{p07}}:v:{verification_id}") == expires + READABLE_AFTER_END_MS
    assert await store.redis.pexpiretime(f"otp:{{p07}}:m:{verification_id}") == expires


async def test_the_pending_code_is_returned_for_reuse(store: Store) -> None:
    """Under `reuse` the next admission has the pending verification's id, record and sealed code."""
    verification_id = await store.started(policy=REUSE)
    await store.advance(30)

    active = (await store.admitted(policy=REUSE)).active

    assert active is not None
    assert (active.id, active.sealed_code) == (verification_id, CODE)
    assert active.record == (await store.snapshot(verification_id)).record


async def test_no_ended_code_is_returned_for_reuse(store: Store) -> None:
    """Without `reuse`, after an end, or when the code is gone, there is nothing to send again."""
    verification_id = await store.started(policy=REUSE)
    await store.advance(30)
    plain = await store.admitted()
    assert plain.active is None
    await store.verifications.release(plain)

    await store.verifications.cancel(verification_id, TENANT)
    assert (await store.admitted(policy=REUSE)).active is None

    await store.advance(30)
    await store.started(policy=REUSE)
    await store.advance(300)
    assert (await store.admitted(policy=REUSE)).active is None


async def test_a_success_begins_a_new_chain_but_keeps_the_cooldown(store: Store) -> None:
    """After a success all sends of the chain are free again, yet the next code waits for its cooldown."""
    few = policy(max_sends=2, recipient=())
    await store.started(policy=few)
    await store.advance(30)
    verification_id = await store.started(policy=few)
    assert isinstance(await store.attempts.consume(verification_id), Verified)

    assert (await store.denied(policy=few)).wait_ms == 30_000
    await store.advance(30)
    assert (await store.admitted(policy=few)).sends_left == 1


async def test_a_start_without_its_reservation_has_a_ttl(store: Store) -> None:
    """When the reservation is lost, for example by a failover, the recipient's key gets a TTL."""
    admitted = await store.admitted()
    await store.redis.delete(f"otp:{{p07}}:r:{RECIPIENT}")

    verification_id = await store.start(admitted)

    expires = (await store.snapshot(verification_id)).record.expires_ms
    assert await store.redis.pexpiretime(f"otp:{{p07}}:r:{RECIPIENT}") == expires
    assert await store.redis.hexists(f"otp:{{p07}}:r:{RECIPIENT}", f"c:{TENANT}:{PURPOSE}")
