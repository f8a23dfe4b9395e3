"""Events of the guard's decisions: stored when the caller is answered, once for each minute, without a round trip."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from otp_service.domain.events import AttemptResult, DueEvents, EventTarget, EventType
from otp_service.domain.guard import GuardMode, GuardRequest
from otp_service.domain.limits import Window
from otp_service.domain.results import Admitted
from otp_service.store.guard_events import GUARD_EVENTS_SLOT
from otp_service.store.webhook_queue import KEPT_PER_SLOT, RedisWebhookQueue
from tests.store.replica_store import ReplicaFactory, Store, record_batches
from tests.store.test_guard_counts import request, subject

ENDPOINT = "ops"
TARGETS = [EventTarget(ENDPOINT, frozenset({EventType.GUARD_TRIGGERED}))]
ACCEPTED = AttemptResult("204", accepted=True)
DEFAULT_MAX_WAITING = 512


@pytest.fixture
def store(store: Store) -> Store:
    """Return the store, whose endpoint `ops` gets events of the guard."""
    return with_events(store)


def with_events(store: Store) -> Store:
    """Make a replica emit events for the endpoint."""
    store.verifications._event_targets = TARGETS
    return store


@pytest.fixture
def queue(store: Store) -> RedisWebhookQueue:
    """Return the queue with the slot of the guard's events."""
    return RedisWebhookQueue(store.topology, [GUARD_EVENTS_SLOT])


def guarded(number: int, mode: GuardMode = GuardMode.DENY, **members: Any) -> GuardRequest:
    """Return a request to a number of a block in which one number may have a code."""
    one = request(subject(number, **members), sequence=Window(1, 600))
    return replace(one, policy=replace(one.policy, mode=mode))


async def test_a_denied_request_has_its_event_when_it_is_answered(store: Store, queue: RedisWebhookQueue) -> None:
    """The script that releases its counts adds it: nothing but the event and its name are left of the request."""
    await store.admitted(recipient="r0", guard=guarded(0))
    before = await store.dump()
    await store.denied(recipient="r1", guard=guarded(1))
    added = (await store.dump()).keys() - before.keys()
    [one] = await queue.claim(GUARD_EVENTS_SLOT, ENDPOINT, 5, 1_000)

    minute = await store.now() // 60_000
    assert one.id == f"evt_g-acme-ID-62812-deny-sequence-{minute}"
    assert one.event.facts == {
        "tenant": "acme",
        "country": "ID",
        "area": "+62812",
        "mode": "deny",
        "denied": True,
        "rules": "sequence",
        "levels": "block",
    }
    assert {name.removeprefix(GUARD_EVENTS_SLOT[:-1]) for name in added} == {
        "e",
        "e:ops",
        f"e:ops:{one.id}",
        f"x:{one.id.removeprefix('evt_g-')}",
    }
    assert all([await store.redis.pttl(name) > 0 for name in added])


async def test_a_minute_has_one_event_at_all_replicas(
    store: Store, make_replicas: ReplicaFactory, queue: RedisWebhookQueue
) -> None:
    """Also when it was delivered and has left the history meanwhile; the next minute has another one."""
    await store.redis.set("test:now", await store.now() // 60_000 * 60_000)
    replicas = [store, *map(with_events, make_replicas(2))]
    await store.admitted(recipient="r0", guard=guarded(0))
    for number in range(1, 4):
        await replicas[number % 3].denied(recipient=f"r{number}", guard=guarded(number))
    assert await queue.find_due() == [DueEvents(GUARD_EVENTS_SLOT, ENDPOINT, due=1, waiting=1)]
    for area in range(KEPT_PER_SLOT + 1):
        await store.denied(recipient="other", guard=guarded(9, area=f"+{area}"))
    for one in await queue.claim(GUARD_EVENTS_SLOT, ENDPOINT, 100, 1_000):
        assert await queue.record(one, ACCEPTED)
        await store.advance(0.001)
    await replicas[1].denied(recipient="again", guard=guarded(4))
    assert await queue.find_due() == []

    await store.advance(60)
    await store.denied(recipient="again", guard=guarded(5))
    assert await queue.find_due() == [DueEvents(GUARD_EVENTS_SLOT, ENDPOINT, due=1, waiting=1)]


async def observed(store: Store, number: int) -> Admitted:
    """Admit a request that the guard would deny, and only observes."""
    return await store.admitted(recipient=f"r{number}", guard=guarded(number, GuardMode.OBSERVE))


async def test_an_observed_request_has_its_event_when_it_is_answered(
    store: Store, queue: RedisWebhookQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in the batch that starts the verification, so it costs no round trip; a request without one has none."""
    first, second = await observed(store, 0), await observed(store, 1)
    batches = record_batches(store, monkeypatch)
    await store.start(first)
    assert await queue.find_due() == []
    await store.start(second)
    [due] = await queue.find_due()

    assert batches[0] == ["start"]
    assert batches[-2] == ["start", "guard_observed"]
    assert due.due == 1


async def test_an_event_that_cannot_be_stored_stops_no_message(store: Store) -> None:
    """The guard only observes: the message is sent without the event, here because its key is damaged."""
    await observed(store, 0)
    second = await observed(store, 1)
    await store.redis.set(GUARD_EVENTS_SLOT, "damaged")

    assert await store.status(await store.start(second)) == "pending"


async def test_an_observed_request_that_is_released_has_its_event(store: Store, queue: RedisWebhookQueue) -> None:
    """For example one whose captcha token was not accepted."""
    await observed(store, 0)
    await store.verifications.release(await observed(store, 1))

    [one] = await queue.claim(GUARD_EVENTS_SLOT, ENDPOINT, 5, 1_000)
    assert (one.event.facts["mode"], one.event.facts["denied"]) == ("observe", False)


async def test_more_events_of_the_guard_wait_than_of_a_partition(store: Store, queue: RedisWebhookQueue) -> None:
    """They are all in one slot: it keeps those of an attack while the endpoint is down for hours."""
    await store.redis.zadd(f"{GUARD_EVENTS_SLOT}:{ENDPOINT}", {f"evt_{n}": 2e12 for n in range(DEFAULT_MAX_WAITING)})
    await store.admitted(recipient="r0", guard=guarded(0))
    await store.denied(recipient="r1", guard=guarded(1))

    assert [one.waiting for one in await queue.find_due()] == [DEFAULT_MAX_WAITING + 1]
