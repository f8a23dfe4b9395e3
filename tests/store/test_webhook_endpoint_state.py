"""The state of a webhook endpoint in the store: failures in a row, pauses, and when it is disabled."""

from __future__ import annotations

from dataclasses import replace

import pytest

from otp_service.domain.events import AttemptResult, EndpointState
from otp_service.store.webhook_queue import RedisWebhookQueue
from otp_service.webhooks.attempt_schedule import MAX_REQUESTED_PAUSE_SECONDS
from tests.store.replica_store import Store
from tests.store.test_webhook_queue import ACCEPTED, ENDPOINT, FAILED, claimed, started


@pytest.fixture
def queue(store: Store) -> RedisWebhookQueue:
    """Return the queue of events in the store."""
    return RedisWebhookQueue(store.topology)


async def test_the_state_of_an_endpoint(store: Store, queue: RedisWebhookQueue) -> None:
    """Failures count until a success; a pause ends by time; only `enable` enables what answered 410."""
    await started(store)
    [one] = await claimed(queue)
    now = await store.now()
    await queue.record(one, replace(FAILED, pause_ms=60_000))
    assert await queue.endpoint_states([ENDPOINT]) == [EndpointState(0, 1, 60_000, "500", now)]
    await store.advance(61)
    state = (await queue.summaries([ENDPOINT], 1))[ENDPOINT].state
    assert (state.failures, state.paused_ms) == (1, 0)

    [one] = await claimed(queue)
    await queue.record(one, AttemptResult("410", retry_ms=1, disables=True))
    await store.advance(1)
    [one] = await claimed(queue)
    await queue.record(one, ACCEPTED)
    state = (await queue.summaries([ENDPOINT], 1))[ENDPOINT].state
    assert (state.disabled_ms, state.failures, state.result) == (now + 61_000, 0, "204")
    assert await queue.enable(ENDPOINT)
    assert not await queue.enable(ENDPOINT)
    assert (await queue.summaries([ENDPOINT], 1))[ENDPOINT].state.disabled_ms == 0


@pytest.mark.parametrize("pause_seconds", [5, MAX_REQUESTED_PAUSE_SECONDS])
async def test_no_endpoint_waits_for_a_clock_that_went_back(
    store: Store, queue: RedisWebhookQueue, pause_seconds: int
) -> None:
    """A pause is over if it ends later than any does; a new one counts. The longest pause ends by its own time."""
    await store.advance(86_400)
    await started(store)
    [one] = await claimed(queue)
    paused = replace(FAILED, pause_ms=pause_seconds * 1000)
    await queue.record(one, paused)
    assert [one and one.paused_ms for one in await queue.endpoint_states([ENDPOINT])] == [paused.pause_ms]

    await store.advance(-7200)
    assert [one and one.paused_ms for one in await queue.endpoint_states([ENDPOINT])] == [0]
    await started(store, "bob")
    [one] = await claimed(queue)
    await queue.record(one, paused)
    assert [one and one.paused_ms for one in await queue.endpoint_states([ENDPOINT])] == [paused.pause_ms]
