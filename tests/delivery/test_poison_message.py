"""A message that raises an exception in the worker does not block others, and ends when its code expires."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from otp_service.delivery import outbox_worker
from otp_service.delivery.outbox_worker import OutboxWorker
from otp_service.store import verifications
from otp_service.store.keys import partition_of_id
from tests.running_service import RunningService

DELIVERIES = 11


async def request_undelivered(service: RunningService, count: int) -> list[str]:
    """Request codes whose messages stay in the outbox."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(OutboxWorker, "deliver", lambda *_: None)
        patched.setattr(verifications, "FIRST_LEASE_MS", 3_600_000)
        ids = []
        for n in range(count):
            response = await service.request(f"0812-1010-00{n:02d}")
            ids.append(response.json()["verification_id"])
        return ids


async def poison(service: RunningService, verification_id: str) -> None:
    """Store a readable record with an unknown outcome, which no replica can process."""
    key = keys_of(verification_id)[0]
    record = msgspec.msgpack.decode(await service.store.get(key))
    record[DELIVERIES] = [["ghost", "failed", 1, "from_the_future", "", 0, 0, 0, False]]
    await service.store.set(key, msgspec.msgpack.encode(record), keepttl=True)


def keys_of(verification_id: str) -> tuple[str, str, str]:
    """Return the keys of a verification, its message and its outbox."""
    partition = partition_of_id(verification_id)
    assert partition is not None
    return partition.keys_of(verification_id)


async def test_poison_message_does_not_block_others(service: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of eight messages raise an exception: six are sent, and after the codes expire nothing is retried."""
    failed: list[str] = []

    class Log:
        def exception(self, _event: str, verification_id: str = "", **_: Any) -> None:
            failed.append(verification_id)

        warning = exception

    monkeypatch.setattr(outbox_worker, "LOG", Log())
    ids = await request_undelivered(service, 8)
    bad, good = ids[:2], ids[2:]
    for verification_id in bad:
        await poison(service, verification_id)
    for verification_id in ids:
        await service.store.zadd(keys_of(verification_id)[2], {verification_id: 0})

    for verification_id in good:
        await service.message_of(verification_id)
    async with asyncio.timeout(5):
        while set(failed) != set(bad):
            await asyncio.sleep(0.01)
    await service.advance(301)
    async with asyncio.timeout(5):
        while any([await service.store.exists(keys_of(one)[2]) for one in ids]):
            await asyncio.sleep(0.01)
    failures = len(failed)
    await service.advance(6)
    await asyncio.sleep(0.3)
    assert len(failed) == failures
    assert len(service.inbox.messages()) == len(good)
    for verification_id in bad:
        assert await service.store.exists(keys_of(verification_id)[1]) == 0
