"""Requests for one number at once: whichever is released, the number counts while one of them is not, and no longer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import pytest

from otp_service.domain.errors import Reason, Refused
from otp_service.domain.guard import GuardPolicy, GuardRequest, GuardRule
from otp_service.domain.guard_counts import GuardCounted, QuietCountries
from otp_service.domain.results import Admitted, Denied
from otp_service.store.guard_calls import GuardBatch, undo_counted_calls
from otp_service.store.replies import ScriptReply
from otp_service.store.scripts import ScriptCall
from tests.store.replica_store import ReplicaFactory, Store, admission
from tests.store.test_guard_counts import POLICY, acquire, request, subject, verify

LIMIT: Final = 10
PARALLEL: Final = 40


class CrossedSlots:
    """Two replicas of a cluster whose nodes run two requests for one number in different orders.

    The node of the recipient runs the first request first, those of the guard the second one, and only then is the
    second one, which has met the cooldown, released.
    """

    def __init__(self, first: Store, second: Store) -> None:
        self._reserved, self._second_counted, self._first_counted = (asyncio.Event() for _ in range(3))
        self._send_first, self._send_second = first.topology.send_each, second.topology.send_each
        first.topology.send_each = self._of_first  # type: ignore[method-assign]  # the replica of this test only
        second.topology.send_each = self._of_second  # type: ignore[method-assign]  # the replica of this test only
        second.topology.send = self._of_second  # type: ignore[method-assign]  # the same

    async def _of_first(self, calls: Sequence[ScriptCall]) -> list[ScriptReply | Refused]:
        reserved = await self._send_first(calls[:1])
        self._reserved.set()
        await self._second_counted.wait()
        others = await self._send_first(calls[1:])
        self._first_counted.set()
        return [*reserved, *others]

    async def _of_second(self, calls: Sequence[ScriptCall]) -> list[ScriptReply | Refused]:
        await (self._first_counted if self._second_counted.is_set() else self._reserved).wait()
        replies = await self._send_second(calls)
        self._second_counted.set()
        return replies


async def test_a_released_request_takes_no_number_of_another_one(store: Store, make_replicas: ReplicaFactory) -> None:
    """Ten numbers with two requests each, of which the second has met the cooldown: the eleventh number is denied."""
    for number in range(LIMIT):
        first, second = make_replicas(2)
        CrossedSlots(first, second)
        wanted: dict[str, Any] = {"recipient": f"r{number}", "guard": request(subject(number, address="a"))}
        admitted, denied = await asyncio.gather(
            first.verifications.admit(admission(token="first", **wanted)),
            second.verifications.admit(admission(token="second", **wanted)),
        )
        assert isinstance(admitted, Admitted)
        assert isinstance(denied, Denied)
        assert denied.reason is Reason.RESEND_TOO_SOON
    eleventh = await store.denied(recipient="another", guard=request(subject(LIMIT, address="a")))

    assert eleventh.decision is not None
    found = {finding.rule: finding.figures["numbers"] for finding in eleventh.decision.findings}
    assert found == {GuardRule.SEQUENCE: LIMIT + 1, GuardRule.ADDRESS: LIMIT + 1}


async def release(store: Store, *counted: GuardCounted) -> None:
    """Release requests."""
    for one in counted:
        await store.topology.send(undo_counted_calls(one))


async def numbers(store: Store, policy: GuardPolicy = POLICY) -> tuple[int, int]:
    """Return how many other numbers the block and the address have."""
    counted = await acquire(store, subject(999, address="a"), policy, QuietCountries())
    await release(store, counted)
    return counted.figures.country.numbers - 1, counted.figures.address_numbers - 1


@pytest.mark.parametrize("left", [0, 1])
async def test_a_number_counts_until_the_last_request_is_released(
    store: Store, make_replicas: ReplicaFactory, left: int
) -> None:
    """Of 40 parallel requests at three replicas all but `left` are released, in another order than they came."""
    replicas, one = [store, *make_replicas(2)], subject(1, address="a")
    counted = await asyncio.gather(
        *(acquire(replicas[n % 3], one, POLICY, QuietCountries()) for n in range(PARALLEL)),
    )
    assert {(each.figures.country.numbers, each.figures.address_numbers) for each in counted} == {(1, 1)}
    to_release = [*counted[1::2], *counted[::2]][left:]
    await asyncio.gather(*(release(replicas[n % 3], each) for n, each in enumerate(to_release)))

    assert await numbers(store) == (left, left)
    assert await logs(store) == ({8} if left else set())


async def logs(store: Store) -> set[int]:
    """Return the lengths of all logs of numbers, in bytes."""
    found: set[int] = set()
    for key in await store.keys():
        if key.startswith("otp:ga:"):
            found.add(await store.redis.strlen(key))
        elif key.startswith("otp:{gd:ID}:q"):
            found |= {len(log) for log in await store.redis.hvals(key)}
    return found


async def test_a_released_request_does_not_prolong_the_time_of_its_number(store: Store) -> None:
    """A number leaves the window of ten minutes after its last request that was not released."""
    quiet, one = QuietCountries(), subject(1, address="a")
    await acquire(store, one, POLICY, quiet)
    await store.advance(500)
    await release(store, await acquire(store, one, POLICY, quiet))
    await store.advance(99)
    assert (await numbers(store))[0] == 1
    await store.advance(1)
    assert (await numbers(store))[0] == 0


async def test_an_old_request_counts_once(store: Store) -> None:
    """A number that is requested again and again has entries for the last minute, and one for all before."""
    hour_ms = 3_600_000
    await store.redis.set("test:now", (await store.now() // hour_ms + 1) * hour_ms)  # all of it in one hour's log
    quiet, one = QuietCountries(), subject(1, address="a")
    for _ in range(9):
        await acquire(store, one, POLICY, quiet)
        await store.advance(30)

    assert await logs(store) == {3 * 8}  # 30 and 60 seconds ago, and the last one before
    await verify(store, await acquire(store, one, POLICY, quiet))
    assert await logs(store) == set()


async def test_a_request_that_is_released_in_the_next_hour_leaves_no_number(store: Store) -> None:
    """The log of the new hour began with a copy of the old one, with the request in it."""
    await store.redis.set("test:now", (await store.now() // 3_600_000 + 1) * 3_600_000 - 1)
    quiet = QuietCountries()
    counted = await acquire(store, subject(1), POLICY, quiet)
    await store.advance(1)
    await release(store, await acquire(store, subject(2), POLICY, quiet))
    await release(store, counted)

    assert (await numbers(store))[0] == 0


async def test_requests_for_one_number_are_bounded(store: Store) -> None:
    """256 requests in a minute have an entry; more of them count as the same number, and have nothing to release."""
    batch = GuardBatch(GuardRequest(subject(1, address="a"), POLICY), QuietCountries())
    calls: list[Any] = batch.calls * 260
    replies = await store.topology.send(calls)
    added = [(bool(country[3]), bool(address[2])) for country, address in zip(replies[::3], replies[2::3], strict=True)]

    assert added == [(True, True)] * 256 + [(False, False)] * 4
    assert {(country[2], address[1]) for country, address in zip(replies[::3], replies[2::3], strict=True)} == {(1, 1)}
    assert await logs(store) == {256 * 8}
