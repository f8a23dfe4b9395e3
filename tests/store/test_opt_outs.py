"""Opt-outs in the store, and the leases of inboxes."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from otp_service.domain.errors import Reason, Refused
from otp_service.domain.limits import Window
from otp_service.domain.opt_out import InboundClaim, OptOutAction, OptOutEffect
from otp_service.domain.results import Admitted, Denied
from otp_service.store.keys import ALL_PARTITIONS
from tests.store.replica_store import PARTITION, RECIPIENT, TENANT, ReplicaFactory, Store, admission, policy

OUT, IN = OptOutAction.OPT_OUT, OptOutAction.OPT_IN
CHANGED, UNCHANGED, KNOWN = OptOutEffect.CHANGED, OptOutEffect.UNCHANGED, OptOutEffect.KNOWN
DAY = 86_400
OPTED_OUT = Denied(Reason.RECIPIENT_OPTED_OUT, 0)


async def test_opted_out_number_is_denied_and_nothing_is_reserved(store: Store) -> None:
    """The denial leaves no trace, and after an opt-in the whole limit is there; another number is not concerned."""
    assert await store.opt_outs.change(PARTITION, RECIPIENT, OUT) is CHANGED
    before = await store.dump()

    assert [await store.denied() for _ in range(3)] == [OPTED_OUT] * 3
    assert await store.dump() == before
    assert isinstance(await store.admitted(recipient="bob"), Admitted)

    assert await store.opt_outs.change(PARTITION, RECIPIENT, IN) is CHANGED
    assert (await store.admitted()).sends_left == 4


async def test_lock_goes_before_the_opt_out_and_limits_after_it(store: Store) -> None:
    """A locked number is locked; one whose limit is used up is opted out."""
    locking, limited = policy(recipient_failures=(Window(1, 900),)), policy(recipient=(Window(1, 900),))
    verification_id = await store.started(policy=limited)
    await store.opt_outs.change(PARTITION, RECIPIENT, OUT)
    assert await store.denied(policy=limited) == OPTED_OUT

    await store.attempts.reserve_attempt(verification_id, TENANT, locking)
    assert (await store.denied(policy=locking)).reason is Reason.RECIPIENT_LOCKED


async def test_opt_out_lasts_400_days_and_is_renewed(store: Store) -> None:
    """A further STOP renews it; at its end the number is free again and not counted."""
    await store.opt_outs.change(PARTITION, RECIPIENT, OUT)
    await store.advance(300 * DAY)
    assert await store.opt_outs.change(PARTITION, RECIPIENT, OUT) is UNCHANGED
    assert await store.opt_outs.ends_ms(PARTITION, RECIPIENT) == await store.now() + 400 * DAY * 1000
    await store.advance(400 * DAY - 1)
    assert (await store.denied(), await store.opt_outs.count()) == (OPTED_OUT, 1)

    await store.advance(1)
    assert (await store.opt_outs.ends_ms(PARTITION, RECIPIENT), await store.opt_outs.count()) == (0, 0)
    assert isinstance(await store.admitted(), Admitted)
    assert await store.opt_outs.change(PARTITION, RECIPIENT, IN) is UNCHANGED


async def test_damaged_opt_outs_deny(store: Store) -> None:
    """If the opt-outs of a partition are no sorted set, nothing is sent to its numbers, and nothing is reserved."""
    await store.redis.set(ALL_PARTITIONS[PARTITION].opted_out, "x", px=1000)
    with pytest.raises(Refused) as refused:
        await store.verifications.admit(admission())
    assert refused.value.reason is Reason.STORE_UNAVAILABLE
    assert await store.redis.keys("otp:*r:*") == []


async def test_every_key_has_a_ttl(store: Store) -> None:
    """The opt-outs of a partition, the marks of messages, the lease and the cursor expire by themselves."""
    await store.opt_outs.change(PARTITION, RECIPIENT, OUT, "mark")
    await store.opt_outs.change(PARTITION, RECIPIENT, None, "other")
    await store.inbound_cursors.claim("first", "me", 1000)
    await store.inbound_cursors.advance("first", "me", 7, 1000)

    names = await store.redis.keys("otp:*")
    assert len(names) == 5
    assert min([await store.redis.pttl(name) for name in names]) > 0
    assert await store.opt_outs.ends_ms(PARTITION, RECIPIENT) > 0


@pytest.mark.parametrize("partitions", [range(64)])
async def test_count_covers_all_partitions(store: Store, partitions: range) -> None:
    """Opted-out numbers of every partition are counted, each once."""
    for number in partitions:
        await store.opt_outs.change(number, "alice", OUT)
        await store.opt_outs.change(number, "bob", OUT)
    await store.opt_outs.change(0, "bob", OUT)
    assert await store.opt_outs.count() == 2 * len(partitions)


async def test_each_message_has_one_effect(make_replicas: ReplicaFactory) -> None:
    """Of 200 parallel readings of one message by four replicas one has an effect; the same holds for 20 messages."""
    stores = make_replicas(4)
    await stores[0].stop_clock()

    same = await asyncio.gather(*(stores[n % 4].opt_outs.change(3, "a", OUT, "m") for n in range(200)))
    assert Counter(same) == {CHANGED: 1, KNOWN: 199}
    numbers = [(stores[n % 4], n % 20) for n in range(200)]
    each = await asyncio.gather(*(one.opt_outs.change(3, f"r{number}", OUT, f"m{number}") for one, number in numbers))
    assert Counter(each) == {CHANGED: 20, KNOWN: 180}


async def test_late_message_does_not_undo_a_later_one(store: Store) -> None:
    """A STOP that is read again after a START has no effect."""
    for action, mark in ((OUT, "stop"), (IN, "start"), (OUT, "stop")):
        await store.opt_outs.change(PARTITION, RECIPIENT, action, mark)
    assert await store.opt_outs.ends_ms(PARTITION, RECIPIENT) == 0


async def test_one_replica_leases_an_inbox(make_replicas: ReplicaFactory) -> None:
    """Of 40 claims one succeeds; the cursor is moved by its holder only; another inbox is independent."""
    stores = make_replicas(4)
    await stores[0].stop_clock()
    claims = await asyncio.gather(*(stores[n % 4].inbound_cursors.claim("first", f"r{n}", 60_000) for n in range(40)))
    assert Counter(claims) == {None: 39, InboundClaim(None): 1}
    holder = next(n for n, claim in enumerate(claims) if claim)

    moved = await asyncio.gather(*(stores[0].inbound_cursors.advance("first", f"r{n}", 7, 1) for n in range(40)))
    assert [n for n, was_moved in enumerate(moved) if was_moved] == [holder]
    assert await stores[1].inbound_cursors.claim("second", "x", 1000) == InboundClaim(None)
    await asyncio.sleep(0.01)
    assert await stores[1].inbound_cursors.claim("first", "x", 60_000) == InboundClaim(7)
    assert not await stores[0].inbound_cursors.advance("first", f"r{holder}", 9, 1)
