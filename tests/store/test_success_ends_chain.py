"""A success ends a chain while other requests for the same number are open: their sends count in the new one."""

from __future__ import annotations

import asyncio
from itertools import permutations, product

import pytest

from otp_service.domain.results import AlreadyEnded, Verified
from otp_service.domain.verification import VerificationStatus
from otp_service.store.keys import ALL_PARTITIONS, new_verification_id
from tests.store.replica_store import PARTITION, ReplicaFactory, Store, policy

QUICK = policy(cooldown_seconds=1, max_sends=4, recipient=())
ROUNDS = 20


async def sends_left(store: Store, recipient: str = "alice") -> int:
    """Return the sends left in the chain for the next request, a cooldown later."""
    await store.advance(1)
    return (await store.admitted(recipient=recipient, policy=QUICK)).sends_left + 1


async def test_a_success_during_an_open_resend_keeps_its_send_counted(store: Store) -> None:
    """One code verified, one sent after it: of four sends three are left, not four."""
    first = await store.started(policy=QUICK)
    await store.advance(1)
    resend = await store.admitted(policy=QUICK)
    assert isinstance(await store.attempts.consume(first), Verified)
    await store.start(resend)

    assert await sends_left(store) == 3


async def test_an_open_send_counts_before_it_starts(store: Store) -> None:
    """It counts in the new chain before it is started, so max_sends is never exceeded."""
    one = policy(cooldown_seconds=1, max_sends=2, recipient=())
    first = await store.started(policy=one)
    await store.advance(1)
    running = await store.admitted(policy=one)
    await store.attempts.consume(first)
    await store.advance(1)
    await store.started(policy=one)
    await store.advance(1)

    assert (await store.denied(policy=one)).limit == "max_sends"
    await store.verifications.release(running)
    assert (await store.admitted(policy=one)).sends_left == 0


@pytest.mark.parametrize("order", list(permutations(("first", "second", "success"))), ids="-".join)
@pytest.mark.parametrize("starts", list(product((True, False), repeat=2)), ids=str)
async def test_every_order_of_two_open_requests_and_a_success(
    store: Store, order: tuple[str, ...], starts: tuple[bool, bool]
) -> None:
    """Started or released, before or after: the new chain counts exactly what started since the success."""
    current = await store.started(policy=QUICK)
    running = {}
    for name, start in zip(("first", "second"), starts, strict=True):
        await store.advance(1)
        running[name] = (await store.admitted(policy=QUICK), start)
    counted = 0
    for event in order:
        if event == "success":
            assert isinstance(await store.attempts.consume(current), Verified)
            counted = 0
            continue
        admitted, start = running[event]
        if start:
            current, counted = await store.start(admitted), counted + 1
        else:
            await store.verifications.release(admitted)

    assert await sends_left(store) == QUICK.max_sends - counted


async def test_a_release_in_the_new_chain_frees_its_send_once(store: Store) -> None:
    """After a released resend and a success nothing is counted, whichever came first."""
    for recipient, success_first in (("alice", True), ("bob", False)):
        first = await store.started(recipient=recipient, policy=QUICK)
        await store.advance(1)
        resend = await store.admitted(recipient=recipient, policy=QUICK)
        if success_first:
            await store.attempts.consume(first)
        await store.verifications.release(resend)
        if not success_first:
            await store.attempts.consume(first)
        assert await sends_left(store, recipient) == QUICK.max_sends


async def test_a_reservation_of_a_stopped_replica_expires(store: Store) -> None:
    """A send that was reserved and never started counts in its own chain, and in no later one."""
    first = await store.started(policy=QUICK)
    await store.advance(1)
    await store.admitted(policy=QUICK)
    await store.advance(15)
    await store.attempts.consume(first)

    assert await sends_left(store) == QUICK.max_sends


async def test_a_start_whose_reservation_was_lost_counts_again(store: Store) -> None:
    """A store that lost the reservation, for example by a failover, counts the send when it starts."""
    admitted = await store.admitted(policy=QUICK)
    await store.redis.delete("otp:{p07}:r:alice")
    await store.start(admitted)

    assert await sends_left(store) == 3


async def test_withdrawn_and_abandoned_sends_do_not_count(store: Store) -> None:
    """A withdrawn reservation and an abandoned start, before or after a success, leave nothing counted."""
    for name, start, success_first in product(("alice", "bob"), (True, False), (True, False)):
        recipient = f"{name}-{start}-{success_first}"
        first = await store.started(recipient=recipient, policy=QUICK)
        await store.advance(1)
        resend = await store.admitted(recipient=recipient, policy=QUICK, token=f"t-{recipient}")
        if success_first:
            await store.attempts.consume(first)
        if name == "bob":
            await store.verifications.withdraw(resend.admission)
        else:
            resent = await store.start(resend) if start else new_verification_id(ALL_PARTITIONS[PARTITION])
            await store.verifications.abandon(resend, resent)
        if not success_first:
            await store.attempts.consume(first)
        alone = not success_first and name == "alice" and start  # the older one was superseded meanwhile
        assert await sends_left(store, recipient) == QUICK.max_sends - alone


@pytest.mark.usefixtures("_still_clock")
@pytest.mark.parametrize("count", [1, 5], ids=["one replica", "five replicas"])
async def test_a_success_and_the_start_of_a_resend_at_once(make_replicas: ReplicaFactory, count: int) -> None:
    """After a success only the resend counts; if it starts before, both do, and the older one is superseded."""
    stores = make_replicas(count)
    await stores[0].stop_clock()
    for round_ in range(ROUNDS):
        name = f"r{round_}"
        older = await stores[0].started(recipient=name, policy=QUICK)
        await stores[0].advance(1)
        resend = await stores[0].admitted(recipient=name, policy=QUICK)
        calls = [stores[-1].attempts.consume(older), stores[0].start(resend)]
        result = (await asyncio.gather(*(calls if round_ % 2 else reversed(calls))))[1 - round_ % 2]
        assert result == AlreadyEnded(VerificationStatus.SUPERSEDED) or isinstance(result, Verified)
        assert await sends_left(stores[0], name) == (3 if isinstance(result, Verified) else 2)
