"""Helpers that read the contents of the store, or leave it in the state after a crash."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from otp_service.service.cleanup import Cleanup
from otp_service.store.idempotency_keys import RedisIdempotency
from otp_service.store.keys import partition_of_id
from otp_service.store.replies import unavailable
from otp_service.store.verifications import RedisVerifications
from tests.running_service import RunningService


@contextlib.contextmanager
def crash_before_the_response_is_stored() -> Iterator[None]:
    """Leave idempotency keys in the state after a crash: claimed, without a stored response.

    A request for a code crashes before it is started, and a wrong code after its attempt is reserved.
    """

    async def never(*_: object) -> None:
        raise unavailable()

    async def nobody(*_: object) -> None:
        return

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(RedisVerifications, "start", never)
        patched.setattr(RedisIdempotency, "keep", never)
        patched.setattr(Cleanup, "after", nobody)
        yield


async def dump_store(store: Any) -> dict[bytes, bytes]:
    """Return every key with its value as bytes, for values of every type."""
    found: dict[bytes, bytes] = {}
    async for key in store.scan_iter(count=1000):
        match await store.type(key):
            case b"string":
                value = await store.get(key)
            case b"hash":
                value = b"\n".join(part for pair in (await store.hgetall(key)).items() for part in pair)
            case b"list":
                value = b"\n".join(await store.lrange(key, 0, -1))
            case b"set":
                value = b"\n".join(await store.smembers(key))
            case b"zset":
                value = b"\n".join(await store.zrange(key, 0, -1))
            case b"none":
                continue  # it expired between the two commands
            case kind:
                raise AssertionError(f"a key of type {kind!r}")
        if value is not None:  # it expired between the two commands
            found[key] = value
    return found


async def has_sealed_message(service: RunningService, verification_id: str) -> bool:
    """Return whether the store still has the sealed code of a verification."""
    partition = partition_of_id(verification_id)
    assert partition
    return bool(await service.store.exists(partition.messages + verification_id))
