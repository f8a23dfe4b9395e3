"""A request that is slow, interrupted or without its caller sends nothing and keeps nothing."""

from __future__ import annotations

from otp_service.domain.limits import Window
from otp_service.domain.results import IdempotencyClaim, NotFound, RateLimit, Replay, ReservationExpired, Started
from tests.store.replica_store import CODE, TENANT, Store, admission, policy, record_of

FIRST = IdempotencyClaim("key", "body", "first")
SECOND = IdempotencyClaim("key", "body", "second")
ID, OTHER_ID = "H" + "x" * 22, "H" + "y" * 22
TAKES = (RateLimit("prefix", "block", (Window(9, 3600),)),)
REUSE = policy(reuse=True)


async def test_a_reservation_starts_within_ten_seconds(store: Store) -> None:
    """At ten seconds it still starts; a millisecond later it does not, and nothing is stored."""
    alice, bob = await store.admitted(), await store.admitted(recipient="bob")
    await store.advance(10)
    assert await store.verifications.start(alice, ID, record_of(alice), CODE, None) == Started()

    await store.advance(0.001)
    assert await store.verifications.start(bob, OTHER_ID, record_of(bob), CODE, None) == ReservationExpired()
    assert await store.verifications.read(OTHER_ID, TENANT) == NotFound()


async def test_a_replica_whose_claim_timed_out_does_not_start(store: Store) -> None:
    """A replica that pauses for 15.5 s between admission and start sends no second message under one key."""
    paused = await store.admitted(idempotency=FIRST)
    await store.advance(15.5)
    next_one = await store.admitted(idempotency=SECOND, policy=policy(cooldown_seconds=1))
    assert await store.verifications.start(next_one, OTHER_ID, record_of(next_one), CODE, b"second") == Started()

    assert await store.verifications.start(paused, ID, record_of(paused), CODE, b"first") == Replay(b"second")

    await store.verifications.release(paused)
    assert await store.redis.zrange("otp:{p07}:o", 0, -1) == [OTHER_ID.encode()]
    assert await store.verifications.admit(admission(idempotency=FIRST)) == Replay(b"second")


async def test_of_two_starts_under_one_key_one_succeeds(store: Store) -> None:
    """When server clocks let both be admitted, the second start gets the answer of the first."""
    quick = policy(cooldown_seconds=1)
    one = await store.admitted(idempotency=FIRST, policy=quick)
    await store.redis.delete("otp:i:key")
    await store.advance(1)
    two = await store.admitted(idempotency=SECOND, policy=quick)

    assert await store.verifications.start(one, ID, record_of(one), CODE, b"first") == Started()
    assert await store.verifications.start(two, OTHER_ID, record_of(two), CODE, b"second") == Replay(b"first")


async def test_an_abandoned_start_that_did_not_run_never_runs(store: Store) -> None:
    """All is released, and a delayed start does nothing; the flag of the abandoned id expires."""
    admitted = await store.admitted(idempotency=FIRST, rate_limits=TAKES)

    await store.verifications.abandon(admitted, ID)
    assert await store.keys() == {f"otp:{{p07}}:x:{ID}"}
    assert await store.verifications.start(admitted, ID, record_of(admitted), CODE, b"answer") == ReservationExpired()

    assert await store.keys() == {f"otp:{{p07}}:x:{ID}"}
    assert 10_000 < await store.redis.pttl(f"otp:{{p07}}:x:{ID}") <= 15_000
    await store.admitted(idempotency=SECOND, rate_limits=TAKES)


async def test_an_abandoned_start_that_ran_is_undone(store: Store) -> None:
    """No verification, message, answer or limit remains: the same key is served, with one message in all."""
    admitted = await store.admitted(idempotency=FIRST, rate_limits=TAKES)
    await store.verifications.start(admitted, ID, record_of(admitted), CODE, b"answer")

    for _ in range(2):
        await store.verifications.abandon(admitted, ID)

    assert await store.keys() == {f"otp:{{p07}}:x:{ID}"}
    await store.advance(5)
    assert await store.claimed() == []
    again = await store.admitted(idempotency=SECOND, rate_limits=TAKES)
    assert again.sends_left == 4
    assert await store.verifications.start(again, OTHER_ID, record_of(again), CODE, b"again") == Started()


async def test_a_message_that_a_gateway_may_have_is_not_abandoned(store: Store) -> None:
    """Once sending has begun, the verification stays and counts."""
    admitted = await store.admitted(idempotency=FIRST, rate_limits=TAKES)
    await store.verifications.start(admitted, ID, record_of(admitted), CODE, b"answer")
    assert await store.outbox.begin(ID, 1, "first", 9_000)
    before = await store.dump()

    await store.verifications.abandon(admitted, ID)

    assert await store.dump() == before


async def test_an_abandoned_start_leaves_an_older_chain_as_it_was(store: Store) -> None:
    """Sends, cooldown and windows are as before, also when it is repeated; only the older code stays superseded."""
    older = await store.started()
    await store.advance(40)
    admitted = await store.admitted()
    await store.verifications.start(admitted, ID, record_of(admitted), CODE, None)

    for _ in range(3):
        await store.verifications.abandon(admitted, ID)

    assert await store.status(older) == "superseded"
    assert (await store.admitted()).sends_left == 3


async def test_a_reservation_with_a_lost_reply_is_withdrawn(store: Store) -> None:
    """It is found by its token: a first send leaves no key, and a repeated call changes nothing."""
    await store.admitted(idempotency=FIRST, token="mine")
    await store.verifications.withdraw(admission(idempotency=SECOND, token="others"))
    assert len(await store.keys()) == 2

    for _ in range(2):
        await store.verifications.withdraw(admission(idempotency=FIRST, token="mine"))
        assert await store.keys() == set()


async def test_withdrawing_keeps_the_rest_of_the_chain(store: Store) -> None:
    """The sends before it stay counted, and the older code can still be superseded or sent again."""
    older = await store.started(policy=REUSE, token="older")
    await store.advance(40)
    wanted = admission(policy=REUSE, token="mine")
    await store.verifications.admit(wanted)

    await store.verifications.withdraw(wanted)

    again = await store.admitted(policy=REUSE)
    assert again.sends_left == 3
    assert again.active is not None
    assert again.active.id == older


async def test_withdrawing_keeps_a_later_reservation(store: Store) -> None:
    """A later reservation of the same chain does not change."""
    quick = policy(cooldown_seconds=1)
    await store.admitted(policy=quick, token="mine")
    await store.advance(1)
    await store.admitted(policy=quick, token="later")
    before = await store.dump()

    await store.verifications.withdraw(admission(policy=quick, token="mine"))

    assert await store.dump() == before
