"""An attempt is reserved before its code is compared, and one script decides the success."""

from __future__ import annotations

from otp_service.domain.limits import Window
from otp_service.domain.outcomes import DeliveryStatus
from otp_service.domain.results import (
    AlreadyEnded,
    AttemptReserved,
    AttemptsExhausted,
    DeliveryUpdate,
    NotFound,
    RecipientLocked,
    Verified,
)
from otp_service.domain.verification import VerificationStatus
from otp_service.store.keys import ALL_PARTITIONS, new_verification_id
from tests.store.replica_store import POLICY, RECIPIENT, TENANT, Store, policy

FAILURES = f"f:{TENANT}"
KEY = f"otp:{{p07}}:r:{RECIPIENT}"


async def test_each_attempt_is_counted(store: Store) -> None:
    """The attempts count down; the returned record has the hash and the new count."""
    verification_id = await store.started()

    for left in (4, 3, 2, 1, 0):
        spent = await store.attempts.reserve_attempt(verification_id, TENANT, POLICY)
        assert isinstance(spent, AttemptReserved)
        assert (spent.attempts_left, spent.snapshot.record.attempts_left) == (left, left)
        assert spent.snapshot.record.code_hash.startswith("$argon2id$")
        assert spent.snapshot.now_ms == await store.now()


async def test_after_the_last_attempt_the_caller_waits_for_a_new_code(store: Store) -> None:
    """It costs nothing any more, and returns exactly when request-code is accepted."""
    verification_id = await store.start(await store.admitted(), attempts_left=1)
    await store.attempts.reserve_attempt(verification_id, TENANT, POLICY)
    before = await store.dump()

    assert await store.attempts.reserve_attempt(verification_id, TENANT, POLICY) == AttemptsExhausted(30_000)

    assert await store.dump() == before
    await store.advance(29.999)
    assert await store.attempts.reserve_attempt(verification_id, TENANT, POLICY) == AttemptsExhausted(1)
    await store.advance(0.001)
    assert await store.attempts.reserve_attempt(verification_id, TENANT, POLICY) == AttemptsExhausted(0)
    await store.admitted()


async def test_exhausted_stays_exhausted_when_the_code_expires(store: Store) -> None:
    """The first end wins: an attempt after both gets `exhausted`."""
    verification_id = await store.start(await store.admitted(), attempts_left=1)
    await store.attempts.reserve_attempt(verification_id, TENANT, POLICY)
    await store.advance(300)

    assert await store.attempts.reserve_attempt(verification_id, TENANT, POLICY) == AttemptsExhausted(0)
    assert await store.status(verification_id) == "exhausted"


async def test_the_wait_for_a_new_code_counts_the_chain_and_the_windows(store: Store) -> None:
    """An exhausted verification returns the longest wait of the next send."""
    chain, hour = policy(max_sends=1), policy(recipient=(Window(1, 3600),))
    verification_id = await store.start(await store.admitted(), attempts_left=1)
    await store.attempts.reserve_attempt(verification_id, TENANT, POLICY)

    assert await store.attempts.reserve_attempt(verification_id, TENANT, chain) == AttemptsExhausted(300_000)
    assert await store.attempts.reserve_attempt(verification_id, TENANT, hour) == AttemptsExhausted(3_600_000)


async def test_unknown_ids_and_other_tenants_use_no_attempt(store: Store) -> None:
    """No such id, an impossible id, another tenant's id: not found, and nothing changes."""
    verification_id = await store.started()
    before = await store.dump()

    for asked, tenant in (
        (new_verification_id(ALL_PARTITIONS[7]), TENANT),
        (new_verification_id(ALL_PARTITIONS[8]), TENANT),
        ("nonsense", TENANT),
        ("otp:{p07}:r:alice......", TENANT),
        ("", TENANT),
        (verification_id, "other"),
    ):
        assert await store.attempts.reserve_attempt(asked, tenant, POLICY) == NotFound()
        assert await store.verifications.read(asked, tenant) == NotFound()
        assert await store.verifications.cancel(asked, tenant) == NotFound()
    assert await store.attempts.consume("nonsense") == NotFound()
    assert await store.attempts.consume(new_verification_id(ALL_PARTITIONS[7])) == NotFound()
    assert await store.dump() == before


async def test_a_locked_recipient_uses_no_attempt(store: Store) -> None:
    """At the limit of failures every attempt is locked, over all verifications, until the oldest is old enough."""
    locking = policy(recipient_failures=(Window(3, 600),))
    first = await store.started(policy=locking)
    await store.attempts.reserve_attempt(first, TENANT, locking)
    await store.advance(40)
    second = await store.started(policy=locking, purpose="registration")
    for _ in range(2):
        await store.attempts.reserve_attempt(second, TENANT, locking)
    before = await store.dump()

    for verification_id in (first, second):
        assert await store.attempts.reserve_attempt(verification_id, TENANT, locking) == RecipientLocked(560_000)
    assert await store.dump() == before


async def test_a_right_code_is_verified_once(store: Store) -> None:
    """The first `consume` makes the success and returns its time; later ones, and later attempts, find it used."""
    verification_id = await store.started()

    assert await store.attempts.consume(verification_id) == Verified(await store.now())

    assert await store.attempts.consume(verification_id) == AlreadyEnded(VerificationStatus.VERIFIED)
    assert await store.attempts.reserve_attempt(verification_id, TENANT, POLICY) == AlreadyEnded(
        VerificationStatus.VERIFIED
    )
    assert await store.status(verification_id) == "verified"


async def test_a_success_removes_the_message(store: Store) -> None:
    """The sealed code and the outbox entry are deleted with it."""
    verification_id = await store.started()

    await store.attempts.consume(verification_id)

    assert {name.split(":")[2] for name in await store.keys()} == {"d", "r", "v"}


async def test_a_success_clears_the_failures_of_its_tenant(store: Store) -> None:
    """The count restarts at this tenant; another tenant's count stays."""
    mine = await store.started()
    other = await store.started(tenant="other")
    await store.attempts.reserve_attempt(mine, TENANT, POLICY)
    await store.attempts.reserve_attempt(other, "other", POLICY)

    await store.attempts.consume(mine)

    assert not await store.redis.hexists(KEY, FAILURES)
    assert await store.redis.hstrlen(KEY, "f:other") == 6


async def test_the_last_attempt_may_succeed(store: Store) -> None:
    """A reserved attempt succeeds, also when it is the last one or the last before the lock."""
    last = policy(recipient_failures=(Window(1, 600),))
    verification_id = await store.start(await store.admitted(policy=last), attempts_left=1)
    await store.attempts.reserve_attempt(verification_id, TENANT, last)

    assert isinstance(await store.attempts.consume(verification_id), Verified)
    assert await store.status(verification_id) == "verified"
    await store.advance(30)
    await store.admitted(policy=last)


async def test_a_success_of_an_older_code_keeps_the_newer_chain(store: Store) -> None:
    """The last attempt at an older code was reserved, and a newer code came: the newer chain goes on."""
    older = await store.start(await store.admitted(), attempts_left=1)
    await store.attempts.reserve_attempt(older, TENANT, POLICY)
    await store.advance(30)
    newer = await store.started()

    assert isinstance(await store.attempts.consume(older), Verified)

    assert await store.status(newer) == "pending"
    await store.advance(30)
    newest = await store.admitted()
    assert newest.sends_left == 2
    await store.start(newest)
    assert await store.status(newer) == "superseded"


async def test_no_script_changes_the_ttl_of_a_verification(store: Store) -> None:
    """Its key expires ten minutes after its code, whatever was written to it."""
    verification_id = await store.started()
    name = f"otp:{{p07}}:v:{verification_id}"
    expires_ms = await store.redis.pexpiretime(name)
    await store.advance(20)

    await store.attempts.reserve_attempt(verification_id, TENANT, POLICY)
    await store.outbox.begin(verification_id, 1, "first", 9000)
    await store.outbox.record_result(
        verification_id, 1, DeliveryUpdate(provider="first", call=1, status=DeliveryStatus.UNKNOWN, due_in_ms=0)
    )
    assert len(await store.claimed()) == 1
    assert await store.redis.pexpiretime(name) == expires_ms
    await store.attempts.consume(verification_id)
    assert await store.redis.pexpiretime(name) == expires_ms


async def test_an_ended_verification_is_not_consumed(store: Store) -> None:
    """Each end is returned by its name, to the attempt and to the success."""
    canceled = await store.started()
    await store.verifications.cancel(canceled, TENANT)
    await store.advance(30)
    superseded = await store.started()
    await store.advance(30)
    expired = await store.started()
    await store.advance(300)

    for verification_id, status in (
        (canceled, VerificationStatus.CANCELED),
        (superseded, VerificationStatus.SUPERSEDED),
        (expired, VerificationStatus.EXPIRED),
    ):
        assert await store.attempts.consume(verification_id) == AlreadyEnded(status)
        assert await store.attempts.reserve_attempt(verification_id, TENANT, POLICY) == AlreadyEnded(status)


async def test_a_code_is_valid_until_its_last_millisecond(store: Store) -> None:
    """Right before `expires_at` it verifies, at `expires_at` it has expired."""
    ids = [await store.started(recipient=name) for name in ("alice", "bob")]

    await store.advance(299.999)
    assert isinstance(await store.attempts.reserve_attempt(ids[0], TENANT, POLICY), AttemptReserved)
    assert isinstance(await store.attempts.consume(ids[0]), Verified)
    await store.advance(0.001)
    assert await store.attempts.reserve_attempt(ids[1], TENANT, POLICY) == AlreadyEnded(VerificationStatus.EXPIRED)
    assert await store.attempts.consume(ids[1]) == AlreadyEnded(VerificationStatus.EXPIRED)


async def test_without_failure_windows_nothing_is_counted(store: Store) -> None:
    """Without a limit of failures attempts leave no log, and never lock."""
    free = policy(recipient_failures=())
    verification_id = await store.started(policy=free)

    for _ in range(5):
        assert isinstance(await store.attempts.reserve_attempt(verification_id, TENANT, free), AttemptReserved)

    assert not await store.redis.hexists(KEY, FAILURES)
