"""The port's contract: one request for each idempotency key, one answer for each request, whoever dies when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from otp_service.domain.errors import Reason
from otp_service.domain.limits import Window
from otp_service.domain.results import (
    Admitted,
    Denied,
    IdempotencyClaim,
    InFlight,
    KeyClaimed,
    Mismatch,
    RateLimit,
    Replay,
    Started,
    Verified,
)
from tests.store.replica_store import CODE, Store, admission, policy, record_of

FIRST = IdempotencyClaim("key", "body", "first")
SECOND = IdempotencyClaim("key", "body", "second")
OTHER = IdempotencyClaim("key", "other-body", "third")
DAY = 24 * 3600
SILENT = 15
ID = "H" + "x" * 22
CLAIM = "otp:i:key"
ANSWER = "otp:{p07}:i:key"


async def test_the_first_may_work_and_the_others_wait(store: Store) -> None:
    """While the first works, the same request is in flight and another body a mismatch."""
    assert await store.idempotency.claim(FIRST, ID) == KeyClaimed()

    assert await store.idempotency.claim(SECOND, ID) == InFlight(15_000)
    await store.advance(5)
    assert await store.idempotency.claim(SECOND, ID) == InFlight(10_000)
    assert await store.idempotency.claim(OTHER, ID) == Mismatch()


async def test_a_kept_answer_is_given_again(store: Store) -> None:
    """Once it is kept the same request gets the answer, at once and later; another body is a mismatch all the time."""
    await store.idempotency.claim(FIRST, ID)
    await store.idempotency.keep(FIRST, ID, b"\x00answer\xff")

    for _ in range(3):
        assert await store.idempotency.claim(SECOND, ID) == Replay(b"\x00answer\xff")
        assert await store.idempotency.claim(OTHER, ID) == Mismatch()
        await store.advance(SILENT)


async def test_the_first_answer_stays(store: Store) -> None:
    """Who was given up for dead and answers late after all does not change what was told."""
    await store.idempotency.keep(FIRST, ID, b"answer")
    await store.idempotency.keep(SECOND, ID, b"late")

    assert await store.idempotency.claim(FIRST, ID) == Replay(b"answer")


async def test_an_answer_is_kept_for_a_day(store: Store) -> None:
    """The claim and the answer live for a day."""
    await store.idempotency.claim(FIRST, ID)
    await store.idempotency.keep(FIRST, ID, b"answer")

    assert await store.keys() == {CLAIM, ANSWER}
    for name in (CLAIM, ANSWER):
        assert DAY * 1000 - 2000 < await store.redis.pttl(name) <= DAY * 1000


async def test_a_released_key_is_free_again(store: Store) -> None:
    """What is not to be kept leaves nothing: the next request is the first."""
    await store.idempotency.claim(FIRST, ID)
    await store.idempotency.release(FIRST)

    assert await store.keys() == set()
    assert await store.idempotency.claim(OTHER, ID) == KeyClaimed()


async def test_a_silent_owner_is_given_up(store: Store) -> None:
    """After 15 seconds of silence the next one works, under a claim of its own."""
    await store.idempotency.claim(FIRST, ID)

    await store.advance(SILENT - 0.001)
    assert await store.idempotency.claim(SECOND, ID) == InFlight(1)
    await store.advance(0.001)
    assert await store.idempotency.claim(SECOND, ID) == KeyClaimed()
    assert await store.idempotency.claim(replace(FIRST, owner_token="third"), ID) == InFlight(15_000)


async def test_an_owner_given_up_frees_nothing(store: Store) -> None:
    """Its late release leaves the claim of who works now."""
    await store.idempotency.claim(FIRST, ID)
    await store.advance(SILENT)
    await store.idempotency.claim(SECOND, ID)

    await store.idempotency.release(FIRST)

    assert await store.idempotency.claim(FIRST, ID) == InFlight(15_000)


async def test_what_cannot_be_an_id_has_a_claim_and_no_answer(store: Store) -> None:
    """Anything may stand for an id: the key is claimed and released like any other."""
    assert await store.idempotency.claim(FIRST, "no id") == KeyClaimed()
    await store.idempotency.keep(FIRST, "no id", b"answer")
    assert await store.keys() == {CLAIM}

    await store.idempotency.release(FIRST)
    assert await store.keys() == set()


async def test_a_replay_gives_the_budgets_back(store: Store) -> None:
    """A repeated request-code gets its answer, and neither the cooldown nor any limit knows of it."""
    rate_limits = (RateLimit("prefix", "block", (Window(9, 3600),)),)
    admitted = await store.admitted(rate_limits=rate_limits, idempotency=FIRST)
    assert await store.verifications.start(admitted, ID, record_of(admitted), CODE, b"answer") == Started()
    await store.advance(60)
    before = await store.dump()

    for call, found in ((SECOND, Replay(b"answer")), (OTHER, Mismatch())):
        assert await store.verifications.admit(admission(rate_limits=rate_limits, idempotency=call)) == found

    assert {**await store.dump(), CLAIM: b""} == {**before, CLAIM: b""}
    assert await store.verifications.admit(admission(rate_limits=rate_limits, idempotency=FIRST)) == Replay(b"answer")


async def test_a_repetition_in_flight_takes_nothing(store: Store) -> None:
    """While the first request works, its repetition waits, also where the limits would still let it pass."""
    await store.admitted(idempotency=FIRST)
    await store.advance(10)
    before = await store.dump()

    quick = policy(cooldown_seconds=1)
    assert await store.verifications.admit(admission(idempotency=SECOND, policy=quick)) == InFlight(5_000)

    assert await store.dump() == before


async def test_a_denied_request_frees_its_key(store: Store) -> None:
    """A 429 is not kept: the same key is new again, and works as soon as the limit lets it."""
    await store.admitted()

    for _ in range(2):
        found = await store.verifications.admit(admission(idempotency=FIRST))
        assert found == Denied(Reason.RESEND_TOO_SOON, 30_000)
    await store.advance(30)
    assert isinstance(await store.verifications.admit(admission(idempotency=FIRST)), Admitted)


async def test_a_released_request_frees_its_key(store: Store) -> None:
    """Nothing was done under it: the next one with the key is new."""
    admitted = await store.admitted(idempotency=FIRST)

    await store.verifications.release(admitted)

    assert await store.keys() == set()
    await store.admitted(idempotency=OTHER)


async def test_what_a_dead_owner_had_started_is_the_answer(store: Store) -> None:
    """The start keeps the answer in the same step: who asks again gets it, however short the owner lived after it."""
    admitted = await store.admitted(idempotency=FIRST)
    await store.verifications.start(admitted, ID, record_of(admitted), CODE, b"answer")

    assert await store.verifications.admit(admission(idempotency=SECOND)) == Replay(b"answer")


async def test_what_a_dead_owner_had_only_reserved_is_begun_anew(store: Store) -> None:
    """After its silence the next one is admitted under the same key, and starts."""
    await store.admitted(idempotency=FIRST)
    await store.advance(60)

    again = await store.admitted(idempotency=SECOND)

    assert again.sends_left == 3
    assert await store.verifications.start(again, ID, record_of(again), CODE, b"answer") == Started()


async def test_the_answer_of_a_success_is_kept_by_the_success(store: Store) -> None:
    """`consume` keeps it in the same step, for a day, whatever became of the claim."""
    verification_id = await store.started()

    assert isinstance(await store.attempts.consume(verification_id, None, FIRST, b"proof"), Verified)

    assert await store.idempotency.claim(SECOND, verification_id) == Replay(b"proof")
    assert DAY * 1000 - 2000 < await store.redis.pttl(ANSWER) <= DAY * 1000


@pytest.mark.parametrize("damage", [b"", b"\xc1", b"text", b"\x93\x01"], ids=["empty", "no code", "text", "cut off"])
async def test_what_is_damaged_lets_nobody_work_twice(store: Store, damage: bytes) -> None:
    """A claim that cannot be read is of another request, an answer that cannot be read is one that nobody can open."""
    await store.redis.set(CLAIM, damage, ex=DAY)
    assert await store.idempotency.claim(FIRST, ID) == Mismatch()
    await store.idempotency.release(FIRST)
    assert await store.redis.get(CLAIM) == damage

    await store.redis.delete(CLAIM)
    await store.redis.set(ANSWER, damage, ex=DAY)
    assert await store.idempotency.claim(FIRST, ID) == Replay(b"")
    assert await store.verifications.admit(admission(idempotency=FIRST)) == Replay(b"")
