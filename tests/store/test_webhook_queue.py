"""Events that wait in the store: leases, results, bounds, and where they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest
from redis.crc import key_slot

from otp_service.domain.events import (
    TENANT_EVENTS,
    AttemptResult,
    ClaimedEvent,
    DueEvents,
    EventState,
    EventTarget,
    EventType,
    encode_targets,
)
from otp_service.domain.results import Verified
from otp_service.store.encoding import pack
from otp_service.store.keys import ALL_PARTITIONS
from otp_service.store.scripts import ScriptCall, script
from otp_service.store.webhook_queue import KEPT_PER_SLOT, RedisOperatorEvents, RedisWebhookQueue
from tests.store.replica_store import PARTITION, POLICY, TENANT, Store

ENDPOINT = "acme.main"
SLOT = ALL_PARTITIONS[PARTITION].events
TARGET = EventTarget(ENDPOINT, frozenset(TENANT_EVENTS))
EVENTS = encode_targets(SLOT, "sealed-reference", [TARGET])
LEASE_MS = 25_000
FAILED = AttemptResult("500", retry_ms=5_000)
GIVEN_UP = AttemptResult("500")
ACCEPTED = AttemptResult("204", accepted=True)
MAX_WAITING = 512


@pytest.fixture
def queue(store: Store) -> RedisWebhookQueue:
    """Return the queue of events in the store."""
    return RedisWebhookQueue(store.topology)


async def started(store: Store, recipient: str = "alice") -> str:
    """Start a verification whose events the endpoint gets; return its id."""
    return await store.start(await store.admitted(recipient=recipient), events=EVENTS)


async def claimed(queue: RedisWebhookQueue, most: int = 10) -> Sequence[ClaimedEvent]:
    """Lease due events of the endpoint."""
    return await queue.claim(SLOT, ENDPOINT, most, LEASE_MS)


async def test_an_event_is_leased_once(store: Store, queue: RedisWebhookQueue) -> None:
    """Its facts are those of the verification; until the lease ends nobody else gets it."""
    verification_id = await started(store)
    assert await queue.find_due() == [DueEvents(SLOT, ENDPOINT, due=1, waiting=1)]
    [one] = await claimed(queue)

    assert one.id == f"evt_{verification_id}-r"
    event = one.event
    assert (event.type, event.verification_id, event.tenant) == (EventType.REQUESTED, verification_id, TENANT)
    assert (event.key_id, event.recipient, event.reference) == ("k1", "sealed-phone", "sealed-reference")
    assert event.facts == {"purpose": "login", "country": "ID", "channel": "sms"}
    assert (event.at_ms, event.lease, event.attempts, event.state) == (await store.now(), 1, 0, EventState.WAITING)
    assert await claimed(queue) == []
    assert await queue.find_due() == [DueEvents(SLOT, ENDPOINT, due=0, waiting=1)]

    await store.advance(LEASE_MS / 1000 + 1)
    [again] = await claimed(queue)
    assert (again.id, again.event) == (one.id, msgspec.structs.replace(one.event, lease=2))


async def test_a_failure_is_due_again_and_an_acceptance_ends_it(store: Store, queue: RedisWebhookQueue) -> None:
    """The attempts and their results are counted in the event."""
    await started(store)
    [one] = await claimed(queue)
    assert await queue.record(one, FAILED)
    assert await claimed(queue) == []
    await store.advance(5)
    [two] = await claimed(queue)
    assert (two.event.attempts, two.event.result) == (1, "500")
    assert await queue.record(two, ACCEPTED)

    await store.advance(100_000)
    assert await claimed(queue) == []
    assert await queue.find_due() == []
    summary = (await queue.summaries([ENDPOINT], 5))[ENDPOINT]
    [(event_id, event)] = summary.events
    assert (event_id, event.state, event.attempts, event.result) == (one.id, EventState.DELIVERED, 2, "204")
    assert summary.waiting == 0


async def test_a_late_result_changes_nothing_unless_it_is_an_acceptance(store: Store, queue: RedisWebhookQueue) -> None:
    """Another replica has the lease: a late failure is ignored, a late acceptance ends the event for both."""
    await started(store)
    [slow] = await claimed(queue)
    await store.advance(LEASE_MS / 1000 + 1)
    [fast] = await claimed(queue)

    assert not await queue.record(slow, FAILED)
    assert await queue.record(slow, ACCEPTED)
    assert not await queue.record(fast, FAILED)
    assert await queue.find_due() == []


@pytest.mark.parametrize("result", [replace(FAILED, pause_ms=1000), GIVEN_UP, ACCEPTED], ids=repr)
async def test_a_repeated_record_counts_once(store: Store, queue: RedisWebhookQueue, result: AttemptResult) -> None:
    """Its reply was lost: the attempt is identified by its lease, at the event and at the endpoint."""
    await started(store)
    [one] = await claimed(queue)
    assert await queue.record(one, result)
    contents = await store.dump()
    for _ in range(3):
        await store.advance(4)
        assert await queue.record(one, result), "it was recorded"
    assert await store.dump() == contents
    summary = (await queue.summaries([ENDPOINT], 5))[ENDPOINT]
    assert (summary.events[0][1].attempts, summary.state.failures) == (1, 0 if result.accepted else 1)


async def test_the_next_attempt_counts_again(store: Store, queue: RedisWebhookQueue) -> None:
    """Each lease is an attempt of its own, also after a replay; one that was recorded stays so."""
    await started(store)
    for _ in range(2):
        [one] = await claimed(queue)
        await queue.record(one, FAILED)
        await store.advance(5)
    assert await queue.replay(ENDPOINT, one.id, 0, [EventState.WAITING]) == 1
    assert await queue.record(one, FAILED), "a late repetition"
    [again] = await claimed(queue)
    assert (again.event.lease, again.event.attempts) == (3, 0)
    assert await queue.record(again, FAILED)
    assert (await queue.summaries([ENDPOINT], 1))[ENDPOINT].state.failures == 3


async def test_a_repeated_script_adds_no_second_event(store: Store, queue: RedisWebhookQueue) -> None:
    """The id follows from what happened: an event that is emitted again, even after its delivery, is the same one."""
    events = RedisOperatorEvents(store.topology, [EventTarget(ENDPOINT, frozenset({EventType.TEST}))])
    for _ in range(2):
        await events.emit(EventType.TEST, "one", {"message": "hello"})
    [due] = await queue.find_due()
    assert due.waiting == 1
    [one] = await queue.claim(due.slot, ENDPOINT, 5, LEASE_MS)
    await queue.record(one, ACCEPTED)
    await events.emit(EventType.TEST, "one", {"message": "hello"})

    assert await queue.find_due() == []


async def test_a_backlog_is_bounded(store: Store, queue: RedisWebhookQueue) -> None:
    """512 events wait in a slot; what comes later is dropped and counted once, and there is room again later."""
    for number in range(MAX_WAITING + 3):
        await started(store, f"r{number}")
    keys = await store.keys()

    assert await queue.find_due() == [DueEvents(SLOT, ENDPOINT, MAX_WAITING, MAX_WAITING, dropped=3)]
    assert await queue.find_due() == [DueEvents(SLOT, ENDPOINT, MAX_WAITING, MAX_WAITING)]
    assert len([name for name in keys if name.startswith(f"{SLOT}:{ENDPOINT}:")]) == MAX_WAITING
    [one] = await claimed(queue, 1)
    await queue.record(one, ACCEPTED)
    await started(store, "later")
    assert (await queue.find_due())[0].dropped == 0
    assert (await queue.find_due())[0].waiting == MAX_WAITING


async def test_the_history_is_bounded(store: Store, queue: RedisWebhookQueue) -> None:
    """The last 16 finished events of a slot are kept, with their keys; older ones are deleted."""
    for number in range(KEPT_PER_SLOT + 4):
        await started(store, f"r{number}")
        await store.advance(1)
        [one] = await claimed(queue)
        await queue.record(one, ACCEPTED if number % 2 else GIVEN_UP)

    kept = [name for name in await store.keys() if name.startswith(f"{SLOT}:{ENDPOINT}:")]
    assert len(kept) == KEPT_PER_SLOT
    events = (await queue.summaries([ENDPOINT], 100))[ENDPOINT].events
    assert {event.state for _, event in events} == {EventState.DELIVERED, EventState.FAILED}
    assert len(events) == KEPT_PER_SLOT


async def test_replay(store: Store, queue: RedisWebhookQueue) -> None:
    """Events that ended since a time, or one by its id, are due at once with no attempts behind them."""
    for number in range(4):
        await started(store, f"r{number}")
        [one] = await claimed(queue)
        await queue.record(one, ACCEPTED if number % 2 else GIVEN_UP)
        await store.advance(10)
    since, both = await store.now() - 25_000, (EventState.DELIVERED, EventState.FAILED)

    assert await queue.replay(ENDPOINT, "", since, [EventState.FAILED]) == 1
    assert [event.event.attempts for event in await claimed(queue)] == [0]
    assert await queue.replay(ENDPOINT, "", since, both) == 1
    assert await queue.replay(ENDPOINT, one.id, 0, both) == 0, "it waits already"
    assert await queue.replay(ENDPOINT, one.id, 0, [*both, EventState.WAITING]) == 1
    assert await queue.replay(ENDPOINT, "evt_unknown", 0, both) == 0
    assert await queue.replay("acme.other", one.id, 0, both) == 0


async def test_all_keys_of_a_slot_have_one_hash_slot_and_a_ttl(store: Store, queue: RedisWebhookQueue) -> None:
    """So every script works on a cluster, and nothing stays endlessly: an event lives for 84 hours at most."""
    for number in range(3):
        await started(store, f"r{number}")
    [one, two] = await claimed(queue, 2)
    await queue.record(one, ACCEPTED)
    await queue.record(two, FAILED)

    names = [name for name in await store.keys() if name.startswith(SLOT)]
    assert len(names) == 7, "index, queue, endpoints, history and three events"
    assert {key_slot(name.encode()) for name in names} == {key_slot(ALL_PARTITIONS[PARTITION].outbox.encode())}
    for name in [*names, "otp:e:acme.main"]:
        assert 0 < await store.redis.pttl(name) <= (302_400_000 if name.startswith(SLOT) else 604_800_000)


async def test_a_queue_of_expired_events_empties_itself(store: Store, queue: RedisWebhookQueue) -> None:
    """Events of an endpoint that is never called are counted as dropped when they have expired."""
    await started(store)
    await store.advance(84 * 3600 + 1)
    assert await queue.find_due() == [DueEvents(SLOT, ENDPOINT, 0, 0, dropped=1)]
    assert await queue.find_due() == []


async def test_an_abandoned_start_has_no_event(store: Store, queue: RedisWebhookQueue) -> None:
    """A start whose reply was lost is undone with its event."""
    admitted = await store.admitted()
    verification_id = await store.start(admitted, events=EVENTS)
    await store.verifications.abandon(admitted, verification_id)

    assert await queue.find_due() == []
    assert [name for name in await store.keys() if name.startswith(SLOT)] == []


async def test_a_success_withdraws_what_it_disproves(store: Store, queue: RedisWebhookQueue) -> None:
    """The last attempt exhausts the verification and locks the number, until its code turns out to be correct."""
    verification_id = await started(store)
    for _ in range(5):
        await store.attempts.reserve_attempt(verification_id, TENANT, replace(POLICY, recipient_failures=()))
    [due] = await queue.find_due()
    assert (due.due, due.waiting) == (1, 2), "requested is due, exhausted in five seconds"
    assert isinstance(await store.attempts.consume(verification_id), Verified)
    await store.advance(6)

    assert {one.event.type for one in await claimed(queue)} == {EventType.REQUESTED, EventType.VERIFIED}


@pytest.mark.parametrize("damage", ["\x00", "text", "\x93\x01\x02\x03", None])
async def test_a_lost_event_leaves_the_queue(store: Store, queue: RedisWebhookQueue, damage: str | None) -> None:
    """One that is damaged, or has expired (None), does not stop the others, and counts as dropped once."""
    first, second = await started(store, "r1"), await started(store, "r2")
    key = f"{SLOT}:{ENDPOINT}:evt_{first}-r"
    await (store.redis.delete(key) if damage is None else store.redis.set(key, damage))
    [one] = await claimed(queue)
    assert (one.event.verification_id, await queue.record(one, ACCEPTED)) == (second, True)
    assert await queue.find_due() == [DueEvents(SLOT, ENDPOINT, 0, 0, dropped=1)]
    assert await queue.find_due() == []


@pytest.mark.parametrize("events", [("x",), (SLOT, "", ENDPOINT), (SLOT, "", ENDPOINT, "q")])
async def test_targets_that_get_nothing(store: Store, queue: RedisWebhookQueue, events: tuple[str, ...]) -> None:
    """A record with incomplete targets, or with letters that no event has, works as one without."""
    verification_id = await store.start(await store.admitted(), events=events)
    assert isinstance(await store.attempts.consume(verification_id), Verified)

    assert await queue.find_due() == []


async def test_an_unknown_letter_is_a_test(store: Store, queue: RedisWebhookQueue) -> None:
    """An event of a later version is delivered; it does not fail at every attempt."""
    args = (pack([SLOT, "", ENDPOINT, "z"]), "z", "1", pack({"a": 1}))
    call = ScriptCall(script("emit_event"), (SLOT,), args)
    await store.topology.send([call])

    [one] = await claimed(queue)
    assert (one.event.type, one.event.facts) == (EventType.TEST, {"a": 1})
