"""What `admit` acquires, what it denies and for how long, and what `release` restores."""

from __future__ import annotations

from otp_service.domain.errors import Reason
from otp_service.domain.limits import Window
from otp_service.domain.results import AttemptReserved, Denied, RateLimit, RecipientLocked
from tests.store.replica_store import POLICY, TENANT, Store, policy


async def test_an_admission_returns_the_sends_left(store: Store) -> None:
    """`sends_left` counts down along a chain, including this send."""
    left = []
    for _ in range(POLICY.max_sends):
        left.append((await store.admitted()).sends_left)
        await store.advance(POLICY.cooldown_seconds)

    assert left == [4, 3, 2, 1, 0]


async def test_the_cooldown_ends_to_the_millisecond(store: Store) -> None:
    """Right before its end a send is denied for one more millisecond; at its end it is admitted."""
    await store.admitted()

    await store.advance(29.999)
    assert await store.denied() == Denied(Reason.RESEND_TOO_SOON, 1)

    await store.advance(0.001)
    await store.admitted()


async def test_the_cooldown_is_per_tenant_recipient_and_purpose(store: Store) -> None:
    """Another purpose, tenant or recipient does not wait."""
    await store.admitted()

    await store.admitted(purpose="registration")
    await store.admitted(tenant="other")
    await store.admitted(recipient="bob")
    assert (await store.denied()).reason is Reason.RESEND_TOO_SOON


async def test_a_denied_request_acquires_nothing(store: Store) -> None:
    """A denied admission changes no key, nor those of other limits."""
    rate_limits = (RateLimit("prefix", "block", (Window(9, 3600),)),)
    await store.admitted(rate_limits=rate_limits)
    before = await store.dump()

    await store.denied(rate_limits=rate_limits)

    assert await store.dump() == before


async def test_a_chain_ends_at_max_sends_until_its_last_code_has_expired(store: Store) -> None:
    """After `max_sends` the next send is denied until the last code expires; then a new chain begins."""
    few = policy(max_sends=3, recipient=())
    for _ in range(3):
        await store.started(policy=few)
        await store.advance(30)

    assert await store.denied(policy=few) == Denied(Reason.RATE_LIMITED, 270_000, "max_sends")
    await store.advance(269.999)
    assert await store.denied(policy=few) == Denied(Reason.RATE_LIMITED, 1, "max_sends")
    await store.advance(0.001)
    assert (await store.admitted(policy=few)).sends_left == 2


async def test_a_chain_is_of_one_tenant_recipient_and_purpose(store: Store) -> None:
    """A used-up chain does not stop another tenant, recipient or purpose."""
    one = policy(max_sends=1, recipient=())
    await store.started(policy=one)

    assert (await store.denied(policy=one)).limit == "max_sends"
    await store.admitted(policy=one, purpose="registration")
    await store.admitted(policy=one, tenant="other")


async def test_the_recipient_limit_counts_all_tenants_and_purposes(store: Store) -> None:
    """Five sends fill the hour for all tenants and purposes; the sixth waits until the first is an hour old."""
    for tenant, purpose in (("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"), ("c", "x")):
        await store.admitted(tenant=tenant, purpose=purpose)
        await store.advance(60)

    assert await store.denied(tenant="d") == Denied(Reason.RATE_LIMITED, 3_300_000, "recipient")
    await store.admitted(tenant="d", recipient="bob")
    await store.advance(3300)
    await store.admitted(tenant="d")


async def test_the_longer_window_holds_when_the_shorter_has_passed(store: Store) -> None:
    """Ten sends, five per hour, fill the day: the eleventh waits until a day after the first."""
    for _ in range(2):
        for tenant in "abcde":
            await store.admitted(tenant=tenant)
        await store.advance(3600)

    assert await store.denied(tenant="f") == Denied(Reason.RATE_LIMITED, 86_400_000 - 7_200_000, "recipient")


async def test_the_longest_wait_is_returned(store: Store) -> None:
    """When several limits are used up, `Retry-After` is the longest wait, with the name of its limit."""
    tight = policy(recipient=(Window(1, 60),))
    rate_limits = (RateLimit("client_ip", "ip", (Window(1, 600),)), RateLimit("prefix", "block", (Window(1, 300),)))
    await store.admitted(policy=tight, rate_limits=rate_limits)

    assert await store.denied(policy=tight, rate_limits=rate_limits) == Denied(
        Reason.RATE_LIMITED, 600_000, "client_ip"
    )
    assert await store.denied(policy=tight, rate_limits=rate_limits[1:]) == Denied(
        Reason.RATE_LIMITED, 300_000, "prefix"
    )
    assert await store.denied(policy=tight) == Denied(Reason.RATE_LIMITED, 60_000, "recipient")
    assert await store.denied() == Denied(Reason.RESEND_TOO_SOON, 30_000)


async def test_the_lock_comes_before_every_other_denial(store: Store) -> None:
    """A locked recipient gets the lock as the reason, with the wait of the limit that waits longest."""
    locking = policy(recipient_failures=(Window(1, 60),))
    rate_limits = (RateLimit("client_ip", "ip", (Window(1, 86400),)),)
    verification_id = await store.started(policy=locking, rate_limits=rate_limits)
    spent = await store.attempts.reserve_attempt(verification_id, TENANT, locking)
    assert isinstance(spent, AttemptReserved)

    assert await store.denied(policy=locking, rate_limits=rate_limits) == Denied(Reason.RECIPIENT_LOCKED, 86_400_000)
    assert await store.denied(policy=locking) == Denied(Reason.RECIPIENT_LOCKED, 60_000)
    assert await store.attempts.reserve_attempt(verification_id, TENANT, locking) == RecipientLocked(60_000)
    await store.advance(60)
    assert (await store.denied(policy=locking, rate_limits=rate_limits)).limit == "client_ip"


async def test_a_lock_is_per_tenant(store: Store) -> None:
    """Wrong codes at one tenant lock the recipient at no other tenant."""
    locking = policy(recipient_failures=(Window(1, 60),))
    verification_id = await store.started(policy=locking)
    await store.attempts.reserve_attempt(verification_id, TENANT, locking)

    await store.admitted(policy=locking, tenant="other")


async def test_release_restores_what_was_before_the_first_send(store: Store) -> None:
    """A released first send leaves no key: neither the recipient nor the limits."""
    admitted = await store.admitted(rate_limits=(RateLimit("prefix", "block", (Window(9, 3600),)),))

    await store.verifications.release(admitted)

    assert await store.keys() == set()


async def test_release_restores_a_chain_exactly(store: Store) -> None:
    """A released later send leaves every key as before: the next request is decided as if it had not been."""
    await store.started()
    await store.advance(40)
    before = await store.dump()

    admitted = await store.admitted(rate_limits=(RateLimit("prefix", "block", (Window(9, 3600),)),))
    assert await store.dump() != before
    await store.verifications.release(admitted)

    assert await store.dump() == before


async def test_release_after_a_full_log_allows_one_send_only(store: Store) -> None:
    """The event that a send pushed out of the log had left every window: a release admits one more, not two."""
    windows = policy(recipient=(Window(2, 100), Window(3, 200)))
    for tenant in "ab":
        await store.admitted(tenant=tenant, policy=windows)
    await store.advance(150)
    await store.admitted(tenant="c", policy=windows)
    await store.advance(60)  # a and b have left both windows
    last = await store.admitted(tenant="d", policy=windows)
    await store.verifications.release(last)

    await store.admitted(tenant="e", policy=windows)
    assert await store.denied(tenant="f", policy=windows) == Denied(Reason.RATE_LIMITED, 40_000, "recipient")


async def test_release_keeps_a_later_reservation(store: Store) -> None:
    """A slow request that releases its send frees that one only: the later cooldown and count stay."""
    slow = await store.admitted()
    await store.advance(30)
    later = await store.admitted()
    assert later.sends_left == 3

    await store.verifications.release(slow)

    assert await store.denied() == Denied(Reason.RESEND_TOO_SOON, 30_000)
    await store.advance(30)
    assert (await store.admitted()).sends_left == 3


async def test_release_removes_its_own_send_from_the_windows(store: Store) -> None:
    """It removes the send of its time, not the youngest: the windows slide as if it had never been."""
    two = policy(recipient=(Window(2, 100),))
    slow = await store.admitted(tenant="a", policy=two)
    await store.advance(40)
    await store.admitted(tenant="b", policy=two)

    await store.verifications.release(slow)
    await store.admitted(tenant="c", policy=two)

    assert await store.denied(tenant="d", policy=two) == Denied(Reason.RATE_LIMITED, 100_000, "recipient")


async def test_a_recipient_key_lives_as_long_as_anything_counts(store: Store) -> None:
    """It expires when its last send has left the longest window; its TTL is never shortened."""
    name = "otp:{p07}:r:alice"
    admitted = await store.admitted()
    expires_ms = await store.redis.pexpiretime(name)
    assert expires_ms == admitted.now_ms + 86_400_000

    await store.advance(40)
    brief = policy(recipient=(), recipient_failures=(Window(3, 60),))
    verification_id = await store.started(policy=brief, tenant="other")
    await store.attempts.reserve_attempt(verification_id, "other", brief)
    assert await store.redis.pexpiretime(name) == expires_ms

    long = policy(recipient=(), recipient_failures=(Window(3, 200_000),))
    await store.attempts.reserve_attempt(verification_id, "other", long)
    assert await store.redis.pexpiretime(name) == await store.now() + 200_000_000


async def test_a_recipient_key_outlives_its_chain_and_cooldown(store: Store) -> None:
    """Without windows its TTL is that of the code, or of a longer cooldown."""
    for name, limits, seconds in (
        ("alice", policy(recipient=()), 300),
        ("bob", policy(recipient=(), cooldown_seconds=3600), 3600),
    ):
        await store.admitted(recipient=name, policy=limits)
        assert await store.redis.pexpiretime(f"otp:{{p07}}:r:{name}") == await store.now() + seconds * 1000


async def test_release_frees_the_rate_limits(store: Store) -> None:
    """Every acquired limit has its capacity back, in the windows of both slots."""
    once = policy(recipient=(Window(1, 3600),))
    rate_limits = tuple(RateLimit(name, "subject", (Window(1, 3600),)) for name in ("client_ip", "prefix", "tenant"))

    await store.verifications.release(await store.admitted(policy=once, rate_limits=rate_limits))

    await store.admitted(policy=once, rate_limits=rate_limits)


async def test_release_of_expired_keys_does_nothing(store: Store) -> None:
    """Once the keys are gone, a release creates none: there is no key without a TTL."""
    admitted = await store.admitted(rate_limits=(RateLimit("prefix", "block", (Window(9, 3600),)),))
    for name in await store.keys():
        await store.redis.delete(name)

    await store.verifications.release(admitted)

    assert await store.keys() == set()


async def test_a_recipient_without_windows_still_has_its_cooldown(store: Store) -> None:
    """Without configured windows nothing is logged, and the cooldown still applies."""
    free = policy(recipient=(), recipient_failures=(), max_sends=20)
    for _ in range(12):
        await store.admitted(policy=free)
        assert (await store.denied(policy=free)).reason is Reason.RESEND_TOO_SOON
        await store.advance(30)


async def test_a_release_keeps_a_verification_started_meanwhile(store: Store) -> None:
    """An earlier reservation that starts before a later one is released can still be superseded."""
    quick = policy(cooldown_seconds=1)
    earlier = await store.admitted(policy=quick)
    await store.advance(1)
    later = await store.admitted(policy=quick)
    older = await store.start(earlier)
    await store.verifications.release(later)
    await store.advance(1)
    newer = await store.started(policy=quick)

    assert (await store.status(older), await store.status(newer)) == ("superseded", "pending")


async def test_a_release_does_not_undo_a_success(store: Store) -> None:
    """A success during a reservation ends the chain: the sends before it do not count any more."""
    quick = policy(cooldown_seconds=1, max_sends=2)
    verification_id = await store.started(policy=quick)
    await store.advance(1)
    reserved = await store.admitted(policy=quick)
    await store.attempts.consume(verification_id)
    await store.verifications.release(reserved)
    await store.advance(1)

    assert (await store.admitted(policy=quick)).sends_left == 1
