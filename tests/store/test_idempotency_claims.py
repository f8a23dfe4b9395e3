"""One request per idempotency key, and one response per request, whichever process stops when."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

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


async def test_the_first_request_works_and_the_others_wait(store: Store) -> None:
    """While the first works, the same request is in flight and another body is a mismatch."""
    assert await store.idempotency.claim(FIRST, ID) == KeyClaimed()

    assert await store.idempotency.claim(SECOND, ID) == InFlight(15_000)
    await store.advance(5)
    assert await store.idempotency.claim(SECOND, ID) == InFlight(10_000)
    assert await store.idempotency.claim(OTHER, ID) == Mismatch()


async def test_a_stored_response_is_replayed(store: Store) -> None:
    """The same request gets the stored response, at once and later; another body stays a mismatch."""
    await store.idempotency.claim(FIRST, ID)
    await store.idempotency.keep(FIRST, ID, b"\x00answer\xff", briefly=False)

    for _ in range(3):
        assert await store.idempotency.claim(SECOND, ID) == Replay(b"\x00answer\xff")
        assert await store.idempotency.claim(OTHER, ID) == Mismatch()
        await store.advance(SILENT)


async def test_the_first_answer_stays(store: Store) -> None:
    """A late answer of an owner that counted as gone does not replace the first one."""
    await store.idempotency.keep(FIRST, ID, b"answer", briefly=False)
    await store.idempotency.keep(SECOND, ID, b"late", briefly=False)

    assert await store.idempotency.claim(FIRST, ID) == Replay(b"answer")


async def test_a_response_is_kept_for_a_day(store: Store) -> None:
    """The claim and the response are kept for a day."""
    await store.idempotency.claim(FIRST, ID)
    await store.idempotency.keep(FIRST, ID, b"answer", briefly=False)

    assert await store.keys() == {CLAIM, ANSWER}
    for name in (CLAIM, ANSWER):
        assert DAY * 1000 - 2000 < await store.redis.pttl(name) <= DAY * 1000


async def test_a_brief_response_is_kept_as_long_as_a_verification(store: Store) -> None:
    """Its claim and the response live for 20 minutes, also if the request is repeated."""
    await store.idempotency.claim(FIRST, ID)
    await store.idempotency.keep(FIRST, ID, b"answer", briefly=True)

    for _ in range(2):
        assert await store.idempotency.claim(SECOND, ID) == Replay(b"answer")
        for name in (CLAIM, ANSWER):
            assert 1_198_000 < await store.redis.pttl(name) <= 1_200_000
        await store.advance(SILENT)


async def test_the_claim_of_another_owner_keeps_its_time(store: Store) -> None:
    """A late brief response of an owner that counted as gone does not shorten the claim of the new one."""
    await store.idempotency.claim(FIRST, ID)
    await store.advance(SILENT)
    await store.idempotency.claim(SECOND, ID)
    await store.idempotency.keep(FIRST, ID, b"answer", briefly=True)
    assert await store.redis.pttl(CLAIM) > DAY * 1000 - 2000


async def test_a_released_key_is_free_again(store: Store) -> None:
    """A response that is not kept leaves nothing: the next request is the first."""
    await store.idempotency.claim(FIRST, ID)
    await store.idempotency.release(FIRST)

    assert await store.keys() == set()
    assert await store.idempotency.claim(OTHER, ID) == KeyClaimed()


async def test_an_owner_times_out(store: Store) -> None:
    """After 15 seconds the next call works, with a claim of its own."""
    await store.idempotency.claim(FIRST, ID)

    await store.advance(SILENT - 0.001)
    assert await store.idempotency.claim(SECOND, ID) == InFlight(1)
    await store.advance(0.001)
    assert await store.idempotency.claim(SECOND, ID) == KeyClaimed()
    assert await store.idempotency.claim(replace(FIRST, owner_token="third"), ID) == InFlight(15_000)


async def test_an_owner_times_out_also_when_the_clock_goes_back(store: Store) -> None:
    """After a failover, which is when replies are lost and repeated, it is the 15 seconds from the first repetition."""
    await store.advance(3600)
    await store.idempotency.claim(FIRST, ID)
    await store.advance(-3600)

    assert await store.idempotency.claim(SECOND, ID) == InFlight(15_000)
    await store.advance(SILENT)
    assert await store.idempotency.claim(SECOND, ID) == KeyClaimed()


async def test_an_owner_that_timed_out_frees_nothing(store: Store) -> None:
    """Its late release keeps the claim of the new owner."""
    await store.idempotency.claim(FIRST, ID)
    await store.advance(SILENT)
    await store.idempotency.claim(SECOND, ID)

    await store.idempotency.release(FIRST)

    assert await store.idempotency.claim(FIRST, ID) == InFlight(15_000)


async def test_an_impossible_id_has_a_claim_and_no_response(store: Store) -> None:
    """The id in a request may be any text: the key is claimed as usual, and freed when no response can be stored."""
    assert await store.idempotency.claim(FIRST, "no id") == KeyClaimed()
    assert await store.keys() == {CLAIM}

    await store.idempotency.keep(FIRST, "no id", b"answer", briefly=False)
    assert await store.keys() == set()


async def test_a_replay_releases_the_limits(store: Store) -> None:
    """A repeated request-code gets its response, and no cooldown or limit counts it."""
    rate_limits = (RateLimit("prefix", "block", (Window(9, 3600),)),)
    admitted = await store.admitted(rate_limits=rate_limits, idempotency=FIRST)
    assert await store.verifications.start(admitted, ID, record_of(admitted), CODE, b"answer") == Started()
    await store.advance(60)
    before = await store.dump()

    for call, found in ((SECOND, Replay(b"answer")), (OTHER, Mismatch())):
        assert await store.verifications.admit(admission(rate_limits=rate_limits, idempotency=call)) == found

    assert {**await store.dump(), CLAIM: b""} == {**before, CLAIM: b""}
    assert await store.verifications.admit(admission(rate_limits=rate_limits, idempotency=FIRST)) == Replay(b"answer")


async def test_a_repetition_in_flight_acquires_nothing(store: Store) -> None:
    """While the first request works, its repetition waits, also when the limits would allow it."""
    await store.admitted(idempotency=FIRST)
    await store.advance(10)
    before = await store.dump()

    quick = policy(cooldown_seconds=1)
    assert await store.verifications.admit(admission(idempotency=SECOND, policy=quick)) == InFlight(5_000)

    assert await store.dump() == before


async def test_a_denied_request_frees_its_key(store: Store) -> None:
    """A 429 is not kept: the same key is new again, and works as soon as the limit allows it."""
    await store.admitted()

    for _ in range(2):
        found = await store.verifications.admit(admission(idempotency=FIRST))
        assert found == Denied(Reason.RESEND_TOO_SOON, 30_000)
    await store.advance(30)
    assert isinstance(await store.verifications.admit(admission(idempotency=FIRST)), Admitted)


async def test_a_released_request_frees_its_key(store: Store) -> None:
    """Nothing was done under it: the next request with the key is new."""
    admitted = await store.admitted(idempotency=FIRST)

    await store.verifications.release(admitted)

    assert await store.keys() == set()
    await store.admitted(idempotency=OTHER)


async def test_a_start_of_a_stopped_owner_is_the_response(store: Store) -> None:
    """The start stores the response in the same step: a repetition gets it, whenever the owner stops after it."""
    admitted = await store.admitted(idempotency=FIRST)
    await store.verifications.start(admitted, ID, record_of(admitted), CODE, b"answer")

    assert await store.verifications.admit(admission(idempotency=SECOND)) == Replay(b"answer")


async def test_a_reservation_of_a_stopped_owner_starts_anew(store: Store) -> None:
    """After its timeout the next request is admitted under the same key, and starts."""
    await store.admitted(idempotency=FIRST)
    await store.advance(60)

    again = await store.admitted(idempotency=SECOND)

    assert again.sends_left == 3
    assert await store.verifications.start(again, ID, record_of(again), CODE, b"answer") == Started()


async def test_a_success_stores_its_response(store: Store) -> None:
    """`consume` stores it in the same step, for a day, whatever happens to the claim."""
    verification_id = await store.started()

    assert isinstance(await store.attempts.consume(verification_id, None, FIRST, b"proof"), Verified)

    assert await store.idempotency.claim(SECOND, verification_id) == Replay(b"proof")
    assert DAY * 1000 - 2000 < await store.redis.pttl(ANSWER) <= DAY * 1000


@pytest.mark.parametrize("damage", [b"", b"\xc1", b"text", b"\x93\x01"], ids=["empty", "no code", "text", "cut off"])
async def test_a_damaged_entry_lets_no_request_run_twice(store: Store, damage: bytes) -> None:
    """A damaged claim counts as another request's, a damaged response as one that cannot be opened."""
    await store.redis.set(CLAIM, damage, ex=DAY)
    assert await store.idempotency.claim(FIRST, ID) == Mismatch()
    await store.idempotency.release(FIRST)
    assert await store.redis.get(CLAIM) == damage

    await store.redis.delete(CLAIM)
    await store.redis.set(ANSWER, damage, ex=DAY)
    assert await store.idempotency.claim(FIRST, ID) == Replay(b"")
    assert await store.verifications.admit(admission(idempotency=FIRST)) == Replay(b"")
