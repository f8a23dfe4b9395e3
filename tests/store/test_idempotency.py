"""The port's contract: one answer for each idempotency key, whoever asks how often, and whoever dies."""

from __future__ import annotations

from dataclasses import replace

from otp_service.domain.errors import Reason
from otp_service.domain.limits import Window
from otp_service.domain.transitions import (
    Admitted,
    Denied,
    IdempotentCall,
    InFlight,
    Mismatch,
    New,
    Replay,
    Resume,
    Take,
)
from tests.store.kit import CODE, Store, admission, policy, record_of

FIRST = IdempotentCall("key", "body", "first")
SECOND = IdempotentCall("key", "body", "second")
OTHER = IdempotentCall("key", "other-body", "third")
DAY = 24 * 3600
SILENT = 15


async def test_the_first_may_work_and_the_others_wait(store: Store) -> None:
    """While the first works, the same request is in flight and another body a mismatch."""
    assert await store.idempotency.begin(FIRST) == New()

    assert await store.idempotency.begin(SECOND) == InFlight(15_000)
    await store.advance(5)
    assert await store.idempotency.begin(SECOND) == InFlight(10_000)
    assert await store.idempotency.begin(OTHER) == Mismatch()


async def test_a_kept_answer_is_given_again(store: Store) -> None:
    """After `finish` the same request gets the answer, and another body is still a mismatch."""
    await store.idempotency.begin(FIRST)
    await store.idempotency.finish(FIRST, b"\x00answer\xff")

    for _ in range(2):
        assert await store.idempotency.begin(SECOND) == Replay(b"\x00answer\xff")
    assert await store.idempotency.begin(OTHER) == Mismatch()


async def test_an_answer_is_kept_for_a_day(store: Store) -> None:
    """The key's life is a day from its first use, and nothing on the way makes it shorter."""
    await store.idempotency.begin(FIRST)
    begun = await store.now()
    await store.advance(3)
    await store.idempotency.finish(FIRST, b"answer")
    await store.idempotency.begin(SECOND)

    assert await store.redis.pexpiretime("otp:i:key") == begun + DAY * 1000


async def test_an_aborted_key_is_free_again(store: Store) -> None:
    """What is not to be kept leaves nothing: the next request is the first."""
    await store.idempotency.begin(FIRST)
    await store.idempotency.abort(FIRST)

    assert await store.keys() == set()
    assert await store.idempotency.begin(OTHER) == New()


async def test_a_silent_worker_is_given_up(store: Store) -> None:
    """After 15 seconds of silence the next one works, and learns under which mark to look for what was left."""
    await store.idempotency.begin(FIRST)

    await store.advance(SILENT - 0.001)
    assert await store.idempotency.begin(SECOND) == InFlight(1)
    await store.advance(0.001)
    assert await store.idempotency.begin(SECOND) == Resume("first")
    assert await store.idempotency.begin(replace(FIRST, mark="third")) == InFlight(15_000)


async def test_a_worker_given_up_has_no_say_any_more(store: Store) -> None:
    """Its late answer is not kept, and its late abort frees nothing."""
    await store.idempotency.begin(FIRST)
    await store.advance(SILENT)
    await store.idempotency.begin(SECOND)

    await store.idempotency.finish(FIRST, b"late")
    await store.idempotency.abort(FIRST)
    assert await store.idempotency.begin(FIRST) == InFlight(15_000)

    await store.idempotency.finish(SECOND, b"answer")
    assert await store.idempotency.begin(FIRST) == Replay(b"answer")


async def test_finishing_a_key_that_is_gone_makes_no_key(store: Store) -> None:
    """A key that has lived its life is not written to: nothing would ever remove it."""
    await store.idempotency.finish(FIRST, b"answer")

    assert await store.keys() == set()


async def test_a_replay_gives_the_budgets_back(store: Store) -> None:
    """A repeated request-code gets its answer, and neither the cooldown nor any limit knows of it."""
    takes = (Take("prefix", "block", (Window(9, 3600),)),)
    admitted = await store.admitted(takes=takes, idempotent=FIRST)
    await store.verifications.start(admitted, "H" + "x" * 22, record_of(admitted), CODE, b"answer")
    await store.advance(60)
    before = await store.dump()

    for call, found in ((SECOND, Replay(b"answer")), (OTHER, Mismatch())):
        assert await store.verifications.admit(admission(takes=takes, idempotent=call)) == found

    assert await store.dump() == before


async def test_a_repetition_in_flight_takes_nothing(store: Store) -> None:
    """While the first request works, its repetition waits, also where the limits would still let it pass."""
    await store.admitted(idempotent=FIRST)
    await store.advance(10)
    before = await store.dump()

    quick = policy(cooldown_seconds=1)
    assert await store.verifications.admit(admission(idempotent=SECOND, policy=quick)) == InFlight(5_000)

    assert await store.dump() == before


async def test_a_denied_request_frees_its_key(store: Store) -> None:
    """A 429 is not kept: the same key is new again, and works as soon as the limit lets it."""
    await store.admitted()

    for _ in range(2):
        found = await store.verifications.admit(admission(idempotent=FIRST))
        assert found == Denied(Reason.RESEND_TOO_SOON, 30_000)
    await store.advance(30)
    assert isinstance(await store.verifications.admit(admission(idempotent=FIRST)), Admitted)


async def test_a_released_request_frees_its_key(store: Store) -> None:
    """Nothing was done under it: the next one with the key is new."""
    admitted = await store.admitted(idempotent=FIRST)

    await store.verifications.release(admitted)

    assert await store.keys() == set()
    await store.admitted(idempotent=OTHER)


async def test_resuming_gives_the_budgets_back_and_keeps_the_key(store: Store) -> None:
    """Whoever takes a dead worker's key over looks first; then it admits again, with the key it holds."""
    await store.admitted(idempotent=FIRST)
    await store.advance(60)

    assert await store.verifications.admit(admission(idempotent=SECOND)) == Resume("first")
    again = await store.admitted(idempotent=SECOND, key_held=True)
    assert again.sends_left == 3
    await store.verifications.start(again, "H" + "x" * 22, record_of(again), CODE, b"answer")

    assert await store.idempotency.begin(FIRST) == Replay(b"answer")


async def test_a_denial_frees_a_key_that_was_held(store: Store) -> None:
    """A resumed request that is denied leaves its key free."""
    await store.admitted(idempotent=FIRST)
    await store.advance(SILENT)
    assert await store.verifications.admit(admission(idempotent=SECOND)) == Resume("first")

    denied = await store.denied(idempotent=SECOND, key_held=True)

    assert denied.reason is Reason.RESEND_TOO_SOON
    assert await store.idempotency.begin(OTHER) == New()
