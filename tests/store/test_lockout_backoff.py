"""Wrong codes in a row make request-code wait longer and longer, and finally disable the number."""

from __future__ import annotations

import pytest

from otp_service.domain.errors import Reason
from otp_service.domain.limits import DISABLED_RETRY_MS, LockKind, Lockout, SendPolicy, Window
from otp_service.domain.results import (
    AttemptReserved,
    AttemptsExhausted,
    Denied,
    RecipientLocked,
    Unlocked,
    Verified,
)
from tests.store.replica_store import CODE, RECIPIENT, TENANT, Store, policy

KEY = f"otp:{{p07}}:l:{TENANT}:{RECIPIENT}"
RECIPIENT_KEY = f"otp:{{p07}}:r:{RECIPIENT}"
DAY = 86_400
DAY_MS = DAY * 1000
FREE = policy(recipient=(), max_sends=20, recipient_failures=(Window(100, DAY),))
"""Nothing but the lockout keeps a request waiting for longer than the cooldown."""

DISABLED = Denied(Reason.RECIPIENT_LOCKED, DISABLED_RETRY_MS, disabled=True)
LOCKED = RecipientLocked(DISABLED_RETRY_MS, disabled=True)


def policy_that_disables_after(max_failures: int, *windows: Window) -> SendPolicy:
    """Return a policy that disables a number after this many wrong codes in a row."""
    return policy(recipient=(), max_sends=20, recipient_failures=windows, lockout=Lockout(max_failures=max_failures))


async def exhaust(
    store: Store, allowed: SendPolicy = FREE, *, sealed_code: bytes | None = CODE, attempts: int = 1
) -> str:
    """Request a code and use up its attempts; return its id."""
    admitted = await store.admitted(policy=allowed)
    verification_id = await store.start(admitted, sealed_code=sealed_code, attempts_left=attempts)
    await submit_wrong_codes(store, verification_id, attempts, allowed)
    return verification_id


async def submit_wrong_codes(
    store: Store, verification_id: str, times: int, allowed: SendPolicy = FREE
) -> list[LockKind | None]:
    """Submit this many wrong codes; return what each locked."""
    spent = [await store.attempts.reserve_attempt(verification_id, TENANT, allowed) for _ in range(times)]
    assert all(isinstance(one, AttemptReserved) for one in spent), spent
    return [one.locks for one in spent if isinstance(one, AttemptReserved)]


async def test_the_wait_doubles_with_each_exhausted_verification_up_to_an_hour(store: Store) -> None:
    """From 30 s to 1 h, each exact from the exhausting attempt on, and then an hour each time."""
    for seconds in (30, 60, 120, 240, 480, 960, 1920, 3600, 3600):
        verification_id = await exhaust(store)
        assert await store.denied(policy=FREE) == Denied(Reason.RECIPIENT_LOCKED, seconds * 1000)
        assert await store.attempts.reserve_attempt(verification_id, TENANT, FREE) == AttemptsExhausted(seconds * 1000)
        await store.advance(seconds - 0.001)
        assert await store.denied(policy=FREE) == Denied(Reason.RECIPIENT_LOCKED, 1)
        await store.advance(0.001)


async def test_the_first_and_the_longest_wait_come_from_the_policy(store: Store) -> None:
    """Another policy has other waits; a longer wait is cut to the longest."""
    allowed = policy(recipient=(), max_sends=20, cooldown_seconds=1, lockout=Lockout(7, 20))
    for seconds in (7, 14, 20, 20):
        await exhaust(store, allowed)
        assert (await store.denied(policy=allowed)).wait_ms == seconds * 1000
        await store.advance(seconds)


async def test_the_wait_counts_from_the_exhausting_attempt(store: Store) -> None:
    """A code that is exhausted late makes the next one wait as long as one that is exhausted at once."""
    verification_id = await store.started(policy=FREE)
    await store.advance(200)
    assert await submit_wrong_codes(store, verification_id, 5) == [None, None, None, None, LockKind.WAIT]

    assert await store.denied(policy=FREE) == Denied(Reason.RECIPIENT_LOCKED, 30_000)


async def test_the_wait_is_per_tenant_and_for_all_purposes(store: Store) -> None:
    """Another purpose waits too; another tenant and another recipient do not."""
    await exhaust(store)

    assert await store.denied(policy=FREE, purpose="registration") == Denied(Reason.RECIPIENT_LOCKED, 30_000)
    await store.admitted(policy=FREE, tenant="other")
    await store.admitted(policy=FREE, recipient="bob")


async def test_the_wait_locks_no_other_pending_code(store: Store) -> None:
    """A correct code of another purpose verifies meanwhile, and clears the wait."""
    other = await store.started(policy=FREE, purpose="registration")
    await exhaust(store)

    assert isinstance(await store.attempts.reserve_attempt(other, TENANT, FREE), AttemptReserved)
    assert isinstance(await store.attempts.consume(other), Verified)

    assert await store.denied(policy=FREE) == Denied(Reason.RESEND_TOO_SOON, 30_000)


async def test_a_locked_request_tells_when_the_next_one_is_accepted(store: Store) -> None:
    """Retry-After covers the recipient's other limits too, as that of the exhausted verification does."""
    allowed = policy(recipient=(), max_sends=1)
    verification_id = await exhaust(store, allowed)

    assert await store.denied(policy=allowed) == Denied(Reason.RECIPIENT_LOCKED, 300_000)
    assert await store.attempts.reserve_attempt(verification_id, TENANT, allowed) == AttemptsExhausted(300_000)


async def test_a_success_resets_the_waits(store: Store) -> None:
    """After two exhausted verifications and a success the next wait is the first one again."""
    for seconds in (30, 60):
        await exhaust(store)
        await store.advance(seconds)
    await store.attempts.consume(await store.started(policy=FREE))
    await store.advance(30)

    await exhaust(store)

    assert await store.denied(policy=FREE) == Denied(Reason.RECIPIENT_LOCKED, 30_000)


async def test_a_new_code_does_not_reset_the_count(store: Store) -> None:
    """Codes superseded before their last attempt, over days: the wrong codes add up until it is disabled."""
    allowed = policy_that_disables_after(7, Window(2, DAY))
    for _ in range(3):
        await submit_wrong_codes(store, await store.started(policy=allowed), 2, allowed)
        await store.advance(DAY)
    last = await store.started(policy=allowed)

    assert await submit_wrong_codes(store, last, 1, allowed) == [LockKind.DISABLED]

    for days in (0, 3, 395):
        await store.advance(days * DAY)
        assert await store.denied(policy=allowed) == DISABLED
        assert await store.denied(policy=allowed, purpose="registration") == DISABLED
    await store.admitted(policy=allowed, tenant="other")


async def test_a_disabled_number_accepts_no_code(store: Store) -> None:
    """Pending, exhausted or ended: every attempt is locked, and changes nothing."""
    allowed = policy_that_disables_after(3, Window(100, DAY))
    pending = await store.started(policy=allowed, purpose="registration")
    canceled = await store.started(policy=allowed, purpose="reset")
    await store.verifications.cancel(canceled, TENANT)
    exhausted = await exhaust(store, allowed, attempts=2)
    assert await submit_wrong_codes(store, pending, 1, allowed) == [LockKind.DISABLED]
    before = await store.dump()

    for verification_id in (pending, canceled, exhausted):
        assert await store.attempts.reserve_attempt(verification_id, TENANT, allowed) == LOCKED
    assert await store.denied(policy=allowed) == DISABLED
    assert await store.dump() == before


async def test_the_last_allowed_attempt_may_succeed(store: Store) -> None:
    """At one below the limit one more attempt is reserved; when it is right, the count is cleared."""
    allowed = policy_that_disables_after(3, Window(100, DAY))
    verification_id = await store.started(policy=allowed)
    await submit_wrong_codes(store, verification_id, 3, allowed)

    assert isinstance(await store.attempts.consume(verification_id), Verified)

    await store.advance(30)
    assert await submit_wrong_codes(store, await store.started(policy=allowed), 2, allowed) == [None, None]


async def test_a_changed_limit_holds_at_once(store: Store) -> None:
    """The limit is the config's, not the record's: a lower one disables, a higher one enables."""
    await submit_wrong_codes(store, await store.started(policy=FREE), 4)
    await store.advance(30)

    assert await store.denied(policy=policy_that_disables_after(4)) == DISABLED
    await store.admitted(policy=policy_that_disables_after(5))


async def test_an_attempt_returns_the_lock_that_lasts_longest(store: Store) -> None:
    """The failure windows before the wait, and a disabled number before both."""
    allowed = policy(recipient_failures=(Window(1, DAY),))
    verification_id = await store.start(await store.admitted(policy=allowed), attempts_left=1)
    assert await submit_wrong_codes(store, verification_id, 1, allowed) == [LockKind.FAILURES]

    allowed = policy(recipient_failures=(Window(1, DAY),), lockout=Lockout(max_failures=1))
    verification_id = await store.start(await store.admitted(policy=allowed, tenant="b"), attempts_left=1)
    spent = await store.attempts.reserve_attempt(verification_id, "b", allowed)
    assert isinstance(spent, AttemptReserved)
    assert spent.locks is LockKind.DISABLED


async def test_unlocking_ends_every_lock_and_keeps_the_sends(store: Store) -> None:
    """A disabled number is free again at that tenant: its cooldown goes on, and the next wait is 30 s."""
    allowed = policy_that_disables_after(2, Window(2, DAY))
    await store.started(policy=allowed, tenant="other")
    await submit_wrong_codes(store, await store.started(policy=allowed), 2, allowed)
    await store.advance(10)

    assert await store.unlock(policy=allowed) == Unlocked(was_locked=True, failures=2)

    assert await store.denied(policy=allowed) == Denied(Reason.RESEND_TOO_SOON, 20_000)
    await store.advance(20)
    await exhaust(store, allowed)
    assert await store.denied(policy=allowed) == Denied(Reason.RECIPIENT_LOCKED, 30_000)


async def test_each_lock_counts_as_one_to_unlock(store: Store) -> None:
    """The wait, full windows and a disabled number are locks; wrong codes alone are none, and are cleared too."""
    await submit_wrong_codes(store, await store.started(policy=FREE), 1)
    assert await store.unlock(policy=FREE) == Unlocked(was_locked=False, failures=1)
    await store.advance(30)
    await exhaust(store)
    assert await store.unlock(policy=FREE) == Unlocked(was_locked=True, failures=1)
    await store.advance(30)
    full = policy(recipient=(), recipient_failures=(Window(2, DAY),))
    await submit_wrong_codes(store, await store.started(policy=full), 2, full)
    assert await store.unlock(policy=full) == Unlocked(was_locked=True, failures=2)


async def test_unlocking_again_changes_nothing(store: Store) -> None:
    """A number that was never locked, or is unknown, gets an answer too, and no key is created."""
    assert await store.unlock() == Unlocked(was_locked=False, failures=0)
    assert await store.keys() == set()
    await exhaust(store)
    await store.unlock()
    before = await store.dump()

    assert await store.unlock() == Unlocked(was_locked=False, failures=0)
    assert await store.dump() == before


async def test_unlocking_is_per_tenant(store: Store) -> None:
    """The same number stays locked at another tenant."""
    await exhaust(store)
    before = await store.dump()

    assert await store.unlock(tenant="other") == Unlocked(was_locked=False, failures=0)
    assert await store.dump() == before


async def test_wrong_codes_are_remembered_for_400_days_and_nothing_else_is(store: Store) -> None:
    """The lockout has a key of its own, which a success deletes; the recipient's TTL does not change."""
    verification_id = await store.started(policy=FREE)
    expires_ms = await store.redis.pexpiretime(RECIPIENT_KEY)
    assert not await store.redis.exists(KEY)

    await submit_wrong_codes(store, verification_id, 1)
    await store.advance(10)
    await submit_wrong_codes(store, verification_id, 1)

    assert await store.redis.pexpiretime(KEY) == await store.now() + 400 * DAY_MS
    assert await store.redis.pexpiretime(RECIPIENT_KEY) == max(expires_ms, await store.now() + DAY_MS)
    await store.attempts.consume(verification_id)
    assert not await store.redis.exists(KEY)


async def test_a_lockout_takes_few_bytes(store: Store) -> None:
    """A hundred wrong codes in a row take one small string."""
    allowed = policy_that_disables_after(100)
    for _ in range(20):
        await submit_wrong_codes(store, await store.started(policy=allowed), 5, allowed)
        await store.advance(3600)

    assert await store.denied(policy=allowed) == DISABLED
    assert await store.redis.strlen(KEY) <= 16


async def test_a_decoy_is_locked_like_any_verification(store: Store) -> None:
    """Wrong codes of a decoy count, wait and disable alike."""
    allowed = policy_that_disables_after(4, Window(100, DAY))
    for seconds in (30, 60):
        await exhaust(store, allowed, sealed_code=None, attempts=2)
        if seconds == 30:
            assert await store.denied(policy=allowed) == Denied(Reason.RECIPIENT_LOCKED, seconds * 1000)
            await store.advance(seconds)

    assert await store.denied(policy=allowed) == DISABLED


@pytest.mark.parametrize("value", [b"", b"x", b"\xc1", b"\x93\xa1a\x01\x02", b"\x91\x01"])
async def test_a_damaged_lockout_locks_until_it_is_unlocked(store: Store, value: bytes) -> None:
    """A lost count does not count as zero: an operator must unlock the number, and can."""
    pending = await store.started(policy=FREE)
    await store.redis.set(KEY, value, ex=DAY)

    assert await store.denied(policy=FREE) == DISABLED
    assert await store.attempts.reserve_attempt(pending, TENANT, FREE) == LOCKED
    assert await store.unlock(policy=FREE) == Unlocked(was_locked=True, failures=0)
    assert isinstance(await store.attempts.reserve_attempt(pending, TENANT, FREE), AttemptReserved)


async def test_unlocking_deletes_keys_of_another_type(store: Store) -> None:
    """Whatever the two keys contain is deleted, and nothing fails."""
    await store.redis.rpush(KEY, "x")
    await store.redis.set(RECIPIENT_KEY, "x", ex=DAY)

    assert await store.unlock(policy=FREE) == Unlocked(was_locked=True, failures=0)
    await store.admitted(policy=FREE)
