"""The guard's counts in the store: the same as those in memory, exact over replicas, bounded, and undone."""

from __future__ import annotations

import asyncio
import random
from base64 import urlsafe_b64encode
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

import pytest

from otp_service.domain.errors import Reason
from otp_service.domain.guard import BreakerPolicy, GuardMode, GuardPolicy, GuardRequest, GuardRule, GuardSubject
from otp_service.domain.guard_counts import GuardCounted, QuietCountries
from otp_service.domain.limits import Window
from otp_service.domain.results import Admitted, Denied
from otp_service.sandbox.guard_counts_in_memory import GuardCountsInMemory
from otp_service.store.guard_calls import GuardBatch, breaker_calls, undo_counted_calls, verified_calls
from otp_service.store.keys import GuardKeys
from tests.store.replica_store import ReplicaFactory, Store, admission, record_batches

POLICY: Final = GuardPolicy(
    mode=GuardMode.DENY,
    quiet_verified=3,
    sequence=Window(4, 600),
    address=Window(3, 900),
    breaker=BreakerPolicy(sends=12, conversion=0.5, window_seconds=7200, open_seconds=600, probe_seconds=60, probes=2),
)
DAY: Final = 86_400
OFF: Final = BreakerPolicy(conversion=0.0)


def keyed(text: str) -> str:
    """Return a text in the form of a keyed hash."""
    return urlsafe_b64encode(sha256(text.encode()).digest()[:16]).rstrip(b"=").decode()


def subject(number: int = 0, block: int = 0, **more: Any) -> GuardSubject:
    """Return a request to a number of a block."""
    members: dict[str, Any] = {"tenant": "acme", "country": "ID", "area": "+62812", "address": ""}
    return GuardSubject(block=keyed(f"b{block}"), recipient=keyed(f"{block} {number}"), **(members | more))


async def acquire(store: Store, one: GuardSubject, policy: GuardPolicy, quiet: QuietCountries) -> GuardCounted:
    """Count a request in the store."""
    batch = GuardBatch(GuardRequest(one, policy), quiet)
    counted = batch.read(await store.topology.send(batch.calls))
    assert counted is not None
    return counted


async def verify(store: Store, counted: GuardCounted) -> None:
    """Count the verification of a request in the store."""
    figures = counted.figures
    await store.topology.send(
        verified_calls(
            counted.request.subject,
            counted.request.policy,
            figures.country.now_ms,
            is_known=figures.country.is_known,
            is_quiet=figures.is_quiet,
        )
    )


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 73, 107])
async def test_the_store_and_the_memory_count_alike(store: Store, seed: int) -> None:
    """After any requests, releases, verifications and changes of breakers both return equal figures, over two days."""
    source, quiet = random.Random(seed), QuietCountries()  # noqa: S311 - the same steps for the same seed
    await store.advance(DAY - await store.now() // 1000 % DAY + source.randrange(DAY))  # the time of day is the seed's
    memory, now = GuardCountsInMemory(POLICY), await store.now()
    pending: list[tuple[GuardCounted, GuardCounted]] = []
    for step in range(250):
        if step % 8 == 0 and source.random() < 0.5:
            seconds = source.choice((1, 20, 59, 61, 200, 700, 3600, 20_000))
            await store.advance(seconds)
            now += seconds * 1000
        one = subject(
            source.randrange(6),
            source.randrange(2),
            country=source.choice(("ID", "SG")),
            tenant=source.choice(("acme", "other")),
            address=keyed(source.choice("xyz")) if source.random() < 0.5 else "",
            decoy=source.random() < 0.1,
        )
        counted, expected = await acquire(store, one, POLICY, quiet), memory.acquire(one, now)
        assert counted.figures == expected.figures, (step, one)
        assert counted.added_in_block == expected.added_in_block
        assert counted.added_at_address_ms == expected.added_at_address_ms
        await store.topology.send([*breaker_calls(counted)])
        memory.change_breakers(expected)
        match source.randrange(4):
            case 0:
                await store.topology.send(undo_counted_calls(counted))
                memory.release(expected)
            case 1 if not one.decoy:
                pending.append((counted, expected))
        if pending and source.random() < 0.5:
            stored, remembered = pending.pop(source.randrange(len(pending)))
            await verify(store, stored)
            memory.verify(remembered)


def request(one: GuardSubject, **rules: Any) -> GuardRequest:
    """Return a request with only the rules of numbers, unless `rules` say otherwise."""
    loose = {"unverified_block": 10**6, "unverified_area": 10**6, "burst": 10**6, "quiet_burst": 10**6}
    return GuardRequest(one, GuardPolicy(mode=GuardMode.DENY, **{**loose, "breaker": OFF, **rules}))


@pytest.mark.usefixtures("patient_store")
@pytest.mark.parametrize(
    ("rules", "limit", "one_block"),
    [
        ({}, 10, True),
        ({"sequence": Window(100, 600), "unverified_block": 30}, 30, True),
        ({"unverified_area": 30, "usual_conversion": 0.05}, 31, False),
    ],
)
async def test_of_200_parallel_requests_the_limit_passes(
    store: Store, make_replicas: ReplicaFactory, rules: dict[str, Any], limit: int, one_block: bool
) -> None:
    """Four replicas admit exactly as many as a rule allows; pending messages count at the usual conversion of 0.05."""
    replicas = [store, *make_replicas(3)]
    found = await asyncio.gather(
        *(
            replicas[number % 4].verifications.admit(
                admission(
                    f"r{number}",
                    token=f"{number:08}",
                    guard=request(subject(number, 0 if one_block else number), **rules),
                )
            )
            for number in range(200)
        )
    )
    denied = [one for one in found if isinstance(one, Denied)]

    assert sum(isinstance(one, Admitted) for one in found) == limit
    assert {(one.reason, one.limit) for one in denied} == {(Reason.RATE_LIMITED, "guard")}
    assert all(one.decision is not None and one.decision.findings for one in denied)


async def test_the_guard_adds_no_round_trip(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its scripts are in the batch that admits a request; what it found of a request in `observe` costs nothing."""
    sent = record_batches(store, monkeypatch)
    observed = request(subject(0, address="a"), sequence=Window(1, 60))
    for number in range(2):
        one = replace(observed, subject=replace(observed.subject, recipient=keyed(str(number))))
        wanted = replace(one, policy=replace(one.policy, mode=GuardMode.OBSERVE))
        admitted = await store.admitted(recipient=f"r{number}", guard=wanted)
    await store.admitted(recipient="without")

    assert admitted.guard is not None
    assert admitted.guard.decision is not None
    scripts = ["reserve", "guard_acquire", "guard_acquire", "guard_address"]
    assert sent == [scripts, scripts, ["reserve"]]


async def test_a_denied_request_leaves_nothing(store: Store) -> None:
    """The store has the same content as before: no reservation, no count, no number, no address."""
    for number in range(10):
        await store.admitted(recipient=f"r{number}", guard=request(subject(number, address="a")))
    before = await store.dump()
    denied = await store.denied(recipient="another", guard=request(subject(10, address="a")))

    assert denied.decision is not None
    assert denied.decision.rules == (GuardRule.SEQUENCE.value, GuardRule.ADDRESS.value)
    assert await store.dump() == before


async def test_a_released_request_leaves_no_count(store: Store) -> None:
    """A request whose hash failed, for example, does not count."""
    await store.admitted(recipient="first", guard=request(subject(1, address="a")))
    before = await store.dump()
    for decoy in (False, True):
        await store.verifications.release(
            await store.admitted(recipient="second", guard=request(subject(2, 3, address="a", decoy=decoy)))
        )
        after = await store.dump()
        assert {name for name in after if "g" in name.split(":")[1]} == {
            name for name in before if "g" in name.split(":")[1]
        }
        assert {name: after[name] for name in before} == before


async def test_a_flood_of_blocks_does_not_fill_the_store(store: Store) -> None:
    """4,000 blocks in 2,001 areas: their fields are bounded, the country's own counts stay exact, all keys expire."""
    quiet, policy = QuietCountries(), request(subject()).policy
    for start in range(0, 4_000, 200):
        calls = []
        for number in range(start, start + 200):
            one = subject(number, number, area=f"+{number // 2:05}", tenant="acme")
            calls += GuardBatch(GuardRequest(one, policy), quiet).calls
        await store.topology.send(calls)
    counted = await acquire(store, subject(1, 1), policy, quiet)
    keys = [key for key in await store.keys() if key.startswith("otp:{gd:ID}")]
    sizes = {key: await store.redis.hlen(key) for key in keys}
    assert counted.figures.country.levels["c"].today.sent == 4_001
    assert counted.figures.country.levels["t|acme"].burst.sent == 4_001
    assert 4_000 <= max(sizes.values()) <= 4_000 + 4
    assert sum([await store.redis.memory_usage(key, samples=0) for key in keys]) < 2_000_000
    assert all([await store.redis.pttl(key) > 0 for key in keys])


async def test_known_numbers_are_bounded(store: Store) -> None:
    """A set of known numbers keeps 512 members, as integers, which Redis stores compactly."""
    counted = await acquire(store, subject(), POLICY, QuietCountries())
    key = await known_key_of(store, counted)
    await store.redis.delete(key)
    await store.redis.sadd(key, *range(512))
    await verify(store, counted)

    assert (await store.redis.scard(key), await store.redis.object("encoding", key)) == (512, b"intset")
    assert (await acquire(store, subject(), POLICY, QuietCountries())).figures.country.is_known


async def known_key_of(store: Store, counted: GuardCounted) -> str:
    """Verify a request, and return the key in which its number is known."""
    await verify(store, counted)
    [key] = [key for key in await store.keys() if key.startswith(f"{GuardKeys('ID').prefix}k")]
    return key


async def test_a_late_verification_makes_no_key_without_a_ttl(store: Store) -> None:
    """A code lives for up to ten minutes, the counts of a minute for five: those that are gone do not come back."""
    counted = await acquire(store, subject(), POLICY, QuietCountries())
    minutes = [key for key in await store.keys() if key.split("}:")[-1].startswith("m")]
    await store.redis.delete(*minutes)
    await store.advance(400)
    await verify(store, counted)

    keys = [key for key in await store.keys() if key.startswith("otp:")]
    assert not set(minutes) & set(keys)
    assert all([await store.redis.pttl(key) > 0 for key in keys])


async def test_no_number_waits_for_a_clock_that_went_back(store: Store) -> None:
    """After a failover to a clock that is an hour behind, numbers leave the count of an address after its window."""
    quiet = QuietCountries()
    for number in range(3):
        await acquire(store, subject(number, number, address="a"), POLICY, quiet)
    await store.advance(-3600)
    assert (await acquire(store, subject(3, 3, address="a"), POLICY, quiet)).figures.address_numbers == 4
    await store.advance(POLICY.address.seconds)
    assert (await acquire(store, subject(4, 4, address="a"), POLICY, quiet)).figures.address_numbers == 1


async def test_a_known_number_is_forgotten_after_two_months(store: Store) -> None:
    """It is known for at least 30 days after a verification, and for 60 at most."""
    quiet = QuietCountries()
    await verify(store, await acquire(store, subject(), POLICY, quiet))
    await store.advance(30 * 86_400)
    assert (await acquire(store, subject(), POLICY, quiet)).figures.country.is_known
    await store.advance(30 * 86_400)
    assert not (await acquire(store, subject(), POLICY, quiet)).figures.country.is_known


async def test_one_of_many_changes_opens_a_breaker(store: Store, make_replicas: ReplicaFactory) -> None:
    """Replicas that read the same state open it once: the times of the first one stay."""
    policy = replace(POLICY, breaker=replace(POLICY.breaker, sends=1))
    quiet = QuietCountries()
    for number in range(3):
        counted = await acquire(store, subject(number), policy, quiet)
        await store.advance(300)
    counted = await acquire(store, subject(9), policy, quiet)
    calls = breaker_calls(counted)
    replies = await asyncio.gather(*(one.topology.send(calls) for one in (store, *make_replicas(3)) for _ in range(5)))

    assert len(calls) == 2  # the country, and all countries
    assert sorted(reply[0][0] for reply in replies) == [b"set"] + [b"unchanged"] * 19


async def test_damaged_keys_count_from_zero(store: Store) -> None:
    """Keys of another type are replaced, so that they stop no request."""
    quiet = QuietCountries()
    counted = await acquire(store, subject(address="a"), POLICY, quiet)
    await verify(store, counted)
    for key in await store.keys():
        await store.redis.delete(key)
        await store.redis.zadd(key, {"x": 1})
    again = await acquire(store, subject(address="a"), POLICY, quiet)
    await verify(store, again)

    assert again.figures.country.levels["c"].today == (1, 0)
    assert again.figures.address_numbers == 1
