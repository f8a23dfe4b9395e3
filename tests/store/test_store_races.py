"""Every claim of atomicity with its exact number: on one replica's connections, and over several replicas."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import cycle, islice
from typing import TypeVar

import pytest

from otp_service.domain.errors import Reason
from otp_service.domain.limits import DISABLED_RETRY_MS, Lockout, Window
from otp_service.domain.results import (
    Admitted,
    AlreadyEnded,
    AttemptReserved,
    AttemptsExhausted,
    Denied,
    IdempotencyClaim,
    InFlight,
    KeyClaimed,
    RateLimit,
    RecipientLocked,
    Unlocked,
    Verified,
)
from otp_service.domain.verification import VerificationStatus
from tests.store.replica_store import POLICY, TENANT, ReplicaFactory, Store, admission, policy

REPLICAS = 5
T = TypeVar("T")


@pytest.fixture(params=[1, REPLICAS], ids=["one replica", "five replicas"])
async def stores(request: pytest.FixtureRequest, _still_clock: None, make_replicas: ReplicaFactory) -> list[Store]:
    """Return some replicas on one empty store, connected, so that parallel calls arrive at once."""
    stores = make_replicas(request.param)
    await stores[0].stop_clock()
    await asyncio.gather(*(store.acquire_limit("warm", Window(1, 1)) for store in stores for _ in range(8)))
    return stores


async def in_parallel(stores: list[Store], times: int, ask: Callable[[Store], Awaitable[T]]) -> list[T]:
    """Call this many times in parallel, each time another replica."""
    return list(await asyncio.gather(*(ask(store) for store in islice(cycle(stores), times))))


def count_types(answers: Sequence[object]) -> Counter[str]:
    """Count results by type."""
    return Counter(type(answer).__name__ for answer in answers)


async def test_100_parallel_attempts_use_five(stores: list[Store]) -> None:
    """Exactly `max_attempts` are reserved, each with another count left; the others use nothing."""
    verification_id = await stores[0].started()

    answers = await in_parallel(stores, 100, lambda s: s.attempts.reserve_attempt(verification_id, TENANT, POLICY))

    spent = [answer.attempts_left for answer in answers if isinstance(answer, AttemptReserved)]
    assert sorted(spent) == [0, 1, 2, 3, 4]
    assert answers.count(AttemptsExhausted(30_000)) == 95
    assert await stores[0].redis.hstrlen("otp:{p07}:r:alice", f"f:{TENANT}") == 5 * 6


async def test_parallel_attempts_at_many_verifications_stop_at_the_failure_limit(stores: list[Store]) -> None:
    """The limit covers all verifications of the recipient: of 100 attempts at 25 of them exactly 12 pass."""
    tight = policy(recipient_failures=(Window(12, 600),), recipient=())
    ids = [await stores[0].started(purpose=f"p{n}", policy=tight) for n in range(25)]
    turns = cycle(ids)

    answers = await in_parallel(stores, 100, lambda s: s.attempts.reserve_attempt(next(turns), TENANT, tight))

    assert count_types(answers) == {"AttemptReserved": 12, "RecipientLocked": 88}


async def test_parallel_attempts_stop_when_the_number_is_disabled(stores: list[Store]) -> None:
    """100 attempts at 25 verifications, 12 wrong codes in a row allowed: exactly 12 are reserved."""
    strict = policy(recipient=(), recipient_failures=(Window(100, 600),), lockout=Lockout(max_failures=12))
    ids = [await stores[0].started(purpose=f"p{n}", policy=strict) for n in range(25)]
    turns = cycle(ids)

    answers = await in_parallel(stores, 100, lambda s: s.attempts.reserve_attempt(next(turns), TENANT, strict))

    assert count_types(answers) == {"AttemptReserved": 12, "RecipientLocked": 88}
    assert answers.count(RecipientLocked(DISABLED_RETRY_MS, disabled=True)) == 88
    assert await stores[0].unlock(policy=strict) == Unlocked(was_locked=True, failures=12)
    attempts = [(await stores[0].snapshot(one)).record.attempts_left for one in ids]
    assert sum(5 - left for left in attempts) == 12


async def test_parallel_attempts_double_the_wait_once(stores: list[Store]) -> None:
    """However many attempts at one verification: it is exhausted once, and the wait is the first one."""
    free = policy(recipient=(), recipient_failures=(Window(100, 600),))
    verification_id = await stores[0].started(policy=free)

    await in_parallel(stores, 60, lambda s: s.attempts.reserve_attempt(verification_id, TENANT, free))

    assert await stores[0].denied(policy=free) == Denied(Reason.RECIPIENT_LOCKED, 30_000)


async def test_100_parallel_right_codes_make_one_success(stores: list[Store]) -> None:
    """Exactly one gets `Verified`; every other gets that it is used."""
    verification_id = await stores[0].started()

    answers = await in_parallel(stores, 100, lambda s: s.attempts.consume(verification_id))

    assert count_types(answers) == {"Verified": 1, "AlreadyEnded": 99}
    assert answers.count(AlreadyEnded(VerificationStatus.VERIFIED)) == 99


async def test_a_right_code_among_wrong_ones_succeeds_once(stores: list[Store]) -> None:
    """Every reserved attempt with the correct code calls `consume`: five may, one succeeds."""
    verification_id = await stores[0].started()

    async def attempt(store: Store) -> object:
        spent = await store.attempts.reserve_attempt(verification_id, TENANT, POLICY)
        return await store.attempts.consume(verification_id) if isinstance(spent, AttemptReserved) else spent

    answers = count_types(await in_parallel(stores, 100, attempt))

    assert answers["Verified"] == 1
    assert sum(answers.values()) == 100
    assert set(answers) <= {"Verified", "AlreadyEnded", "AttemptsExhausted"}


async def test_60_parallel_requests_for_one_number_admit_one(stores: list[Store]) -> None:
    """Exactly one is admitted, all others wait for its cooldown and acquire nothing."""
    rate_limits = (RateLimit("prefix", "block", (Window(9999, 3600),)),)

    answers = await in_parallel(stores, 60, lambda s: s.verifications.admit(admission(rate_limits=rate_limits)))

    assert count_types(answers) == {"Admitted": 1, "Denied": 59}
    assert answers.count(Denied(Reason.RESEND_TOO_SOON, 30_000)) == 59
    assert await stores[0].redis.llen("otp:w:prefix:block") == 1


async def test_parallel_requests_of_all_tenants_stop_at_the_recipients_limit(stores: list[Store]) -> None:
    """Of 60 tenants' requests for one number exactly as many pass as the recipient's window allows."""
    tenants: Iterator[str] = (f"t{n}" for n in range(60))

    answers = await in_parallel(stores, 60, lambda s: s.verifications.admit(admission(tenant=next(tenants))))

    assert count_types(answers) == {"Admitted": 5, "Denied": 55}


async def test_parallel_requests_stop_at_a_limit_in_another_slot(stores: list[Store]) -> None:
    """60 numbers under a limit of 20: exactly 20 pass, and exactly 20 sends remain counted."""
    rate_limits = (RateLimit("client_ip", "ip", (Window(20, 3600),)),)
    names: Iterator[str] = (f"r{n}" for n in range(60))

    answers = await in_parallel(
        stores, 60, lambda s: s.verifications.admit(admission(next(names), rate_limits=rate_limits))
    )

    assert count_types(answers) == {"Admitted": 20, "Denied": 40}
    assert len([name for name in await stores[0].keys() if ":r:" in name]) == 20


async def test_200_parallel_events_at_a_limit_of_20(stores: list[Store]) -> None:
    """Exactly 20 are acquired."""
    answers = await in_parallel(stores, 200, lambda s: s.acquire_limit("s", Window(20, 60)))

    assert Counter(answer[0] for answer in answers) == {b"acquired": 20, b"denied": 180}


async def test_50_parallel_claims_of_one_message(stores: list[Store]) -> None:
    """Exactly one replica has it, under the next lease number."""
    await stores[0].started()
    await stores[0].advance(5)

    answers = await in_parallel(stores, 50, lambda s: s.claimed())

    assert [one.record.lease for claimed in answers for one in claimed] == [2]


async def test_50_parallel_claims_of_40_messages(stores: list[Store]) -> None:
    """Every message is claimed exactly once."""
    ids = [await stores[0].started(recipient=f"r{n}") for n in range(40)]
    await stores[0].advance(5)

    answers = await in_parallel(stores, 50, lambda s: s.claimed())

    assert sorted(one.id for claimed in answers for one in claimed) == sorted(ids)


async def test_parallel_calls_under_one_lease_stop_at_max_texts(stores: list[Store]) -> None:
    """However many gateways are to be called at once: exactly two calls begin."""
    verification_id = await stores[0].started()
    names: Iterator[str] = (f"g{n}" for n in range(30))

    answers = await in_parallel(stores, 30, lambda s: s.outbox.begin(verification_id, 1, next(names), 9000))

    assert count_types(answers) == {"CallStarted": 2, "NoneType": 28}


async def test_50_parallel_requests_under_one_idempotency_key(stores: list[Store]) -> None:
    """Exactly one works; the others wait for it."""
    marks = iter(range(50))

    def call() -> IdempotencyClaim:
        return IdempotencyClaim("key", "body", f"m{next(marks)}")

    answers = await in_parallel(stores, 50, lambda s: s.idempotency.claim(call(), "H" * 23))

    assert answers.count(KeyClaimed()) == 1
    assert answers.count(InFlight(15_000)) == 49


async def test_parallel_starts_leave_one_pending(stores: list[Store]) -> None:
    """Ten slow requests for one number that start at once: exactly one verification is pending."""
    quick = policy(recipient=(), max_sends=20, cooldown_seconds=1)
    admitted: list[Admitted] = []
    for _ in range(10):
        admitted.append(await stores[0].admitted(policy=quick))
        await stores[0].advance(1)
    turns = iter(admitted)

    ids = await in_parallel(stores, 10, lambda s: s.start(next(turns)))

    states = Counter([await stores[0].status(one) for one in ids])
    assert states == {"pending": 1, "superseded": 9}
    assert await stores[0].redis.zcard("otp:{p07}:o") == 1


async def test_a_success_and_a_cancel_and_a_newer_code_at_once(stores: list[Store]) -> None:
    """The first one is the end; a success is returned if, and only if, it was the first."""
    for round_ in range(20):
        name = f"r{round_}"
        older = await stores[0].started(recipient=name)
        await stores[0].advance(30)
        newer = await stores[0].admitted(recipient=name)
        told, _, _ = await asyncio.gather(
            stores[0].attempts.consume(older),
            stores[-1].verifications.cancel(older, TENANT),
            stores[len(stores) // 2].start(newer),
        )
        assert isinstance(told, Verified) == (await stores[0].status(older) == "verified")
