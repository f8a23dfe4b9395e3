"""The windows of a limit: exact to the event and to the millisecond, and released one by one."""

from __future__ import annotations

import pytest

from otp_service.domain.limits import Window
from tests.store.replica_store import Store

LIMIT = 20


@pytest.mark.parametrize(
    ("events", "answer"), [(LIMIT - 1, b"acquired"), (LIMIT, b"denied"), (LIMIT + 1, b"denied")], ids=["-1", "0", "+1"]
)
async def test_the_limit_is_exact(store: Store, events: int, answer: bytes) -> None:
    """After limit - 1 events one more passes; after the limit, or one denied beyond it, none does."""
    for _ in range(events):
        await store.acquire_limit("s", Window(LIMIT, 60))

    assert (await store.acquire_limit("s", Window(LIMIT, 60)))[0] == answer


async def test_a_window_slides(store: Store) -> None:
    """Each event frees its capacity exactly when it is as old as the window, not at a fixed hour."""
    window = Window(2, 10)
    await store.acquire_limit("s", window)
    await store.advance(4)
    await store.acquire_limit("s", window)

    assert await store.acquire_limit("s", window) == [b"denied", 6000]
    await store.advance(5.999)
    assert await store.acquire_limit("s", window) == [b"denied", 1]
    await store.advance(0.001)
    assert (await store.acquire_limit("s", window))[0] == b"acquired"
    assert await store.acquire_limit("s", window) == [b"denied", 4000]


async def test_a_denied_event_does_not_prolong_the_wait(store: Store) -> None:
    """A caller that keeps asking is admitted as soon as one that waits."""
    await store.acquire_limit("s", Window(1, 10))
    for _ in range(9):
        await store.advance(1)
        assert (await store.acquire_limit("s", Window(1, 10)))[0] == b"denied"
    await store.advance(1)

    assert (await store.acquire_limit("s", Window(1, 10)))[0] == b"acquired"


async def test_the_longest_wait_of_several_windows_holds(store: Store) -> None:
    """Every window must have capacity; the wait is that of the last one."""
    windows = (Window(1, 10), Window(2, 100))
    await store.acquire_limit("s", *windows)
    await store.advance(10)
    await store.acquire_limit("s", *windows)

    assert await store.acquire_limit("s", *windows) == [b"denied", 90_000]


async def test_subjects_do_not_share_a_window(store: Store) -> None:
    """A subject at its limit does not stop another."""
    await store.acquire_limit("s", Window(1, 10))

    assert (await store.acquire_limit("t", Window(1, 10)))[0] == b"acquired"


async def test_release_at_the_limit_admits_one(store: Store) -> None:
    """An event released at the limit admits exactly one other."""
    for _ in range(LIMIT - 1):
        await store.acquire_limit("s", Window(LIMIT, 60))
    _, moment = await store.acquire_limit("s", Window(LIMIT, 60))

    assert await store.release_limit("s", moment) == b"released"

    assert (await store.acquire_limit("s", Window(LIMIT, 60)))[0] == b"acquired"
    assert (await store.acquire_limit("s", Window(LIMIT, 60)))[0] == b"denied"


async def test_release_removes_its_own_event(store: Store) -> None:
    """It removes the event of its time, not the youngest: the window slides as if it had never been."""
    window = Window(2, 10)
    _, first = await store.acquire_limit("s", window)
    await store.advance(4)
    await store.acquire_limit("s", window)

    await store.release_limit("s", first)
    await store.acquire_limit("s", window)

    assert await store.acquire_limit("s", window) == [b"denied", 10_000]


async def test_release_of_the_last_event_leaves_no_key(store: Store) -> None:
    """A subject without events has no key, and a second release finds nothing."""
    _, moment = await store.acquire_limit("s", Window(1, 10))

    assert await store.release_limit("s", moment) == b"released"
    assert await store.keys() == set()
    assert await store.release_limit("s", moment) == b"gone"
    assert await store.keys() == set()


async def test_a_limit_key_lives_as_long_as_its_longest_window(store: Store) -> None:
    """It expires when its youngest event has left every window; a later event extends its TTL."""
    windows = (Window(1, 10), Window(5, 1000))
    await store.acquire_limit("s", *windows)
    [name] = await store.keys()
    first = await store.redis.pexpiretime(name)

    assert first == await store.now() + 1_000_000
    await store.redis.pexpireat(name, first + 500_000)
    await store.advance(10)
    await store.acquire_limit("s", *windows)
    assert await store.redis.pexpiretime(name) == first + 500_000, "the TTL was shortened"
