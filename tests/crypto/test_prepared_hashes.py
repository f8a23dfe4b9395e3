"""Hashes that are computed in advance: each is used once, costs what another one costs, and does not delay requests."""

from __future__ import annotations

import asyncio
import secrets
import threading
from pathlib import Path

import pytest
from msgspec import msgpack, structs

from otp_service.crypto import hash_threads
from otp_service.crypto.core_lock import CoreLock
from otp_service.crypto.hash_threads import usable_cores
from otp_service.crypto.hashing import SECRET_BYTES, HashCost, HashPool, MaskedHash
from otp_service.crypto.keyring import DecryptionError, Keyring
from otp_service.crypto.prepared_hashes import PreparedHash, PreparedHashes
from otp_service.crypto.verification_cipher import VerificationCipher
from otp_service.domain.results import Admitted
from otp_service.domain.verification import VerificationRecord, VerificationSnapshot
from otp_service.store.keys import partition_of_id
from tests.running_service import CHEAP_HASH, ServiceFactory
from tests.store.replica_store import admission, record_of

SECRET = bytes(range(SECRET_BYTES))
OTHER = bytes(SECRET_BYTES)
CHEAP = HashCost(1, 8, 1)


async def prepared_hash(pool: HashPool, secret: bytes) -> MaskedHash:
    """Hash `secret` until a prepared hash is used for it."""
    async with asyncio.timeout(5):
        while not (found := await pool.hash(secret)).mask:
            await asyncio.sleep(0)
    return found


async def test_only_the_secret_matches_a_prepared_hash() -> None:
    """The secret does; another secret, a mask with one other bit and a missing mask do not."""
    pool = HashPool(CHEAP, threads=1, prepared=2)
    found = await prepared_hash(pool, SECRET)

    assert await pool.matches(found, SECRET)
    assert not await pool.matches(found, OTHER)
    assert not await pool.matches(found._replace(mask=bytes([found.mask[0] ^ 1]) + found.mask[1:]), SECRET)
    assert not await pool.matches(found._replace(mask=b""), SECRET)
    pool.close()


async def test_equal_secrets_have_different_hashes_and_masks() -> None:
    """Neither repeats, and the mask alone says nothing: it is a random key combined with the secret."""
    pool = HashPool(CHEAP, threads=1, prepared=4)
    found = [await prepared_hash(pool, SECRET) for _ in range(20)]

    assert len({one.phc for one in found}) == len({one.mask for one in found}) == 20
    assert len({one.phc.split("$")[4] for one in found}) == 20  # the salts
    pool.close()


async def test_a_hash_is_used_once_and_bounded() -> None:
    """At most `prepared` are kept; 50 requests at once get 50 different hashes, the first ones from those."""
    pool = HashPool(CHEAP, threads=2, prepared=8)
    await prepared_hash(pool, SECRET)
    async with asyncio.timeout(5):
        while len(pool._prepared._ready) < 8:
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)
    assert len(pool._prepared._ready) == 8
    found = await asyncio.gather(*(pool.hash(SECRET) for _ in range(50)))

    assert all(one.mask for one in found[:8])
    assert len({one.phc for one in found}) == 50
    assert [await pool.matches(one, SECRET) for one in found] == [True] * 50
    pool.close()


def test_nothing_is_prepared_before_the_first_use() -> None:
    """A process that gets no requests computes nothing."""
    made: list[PreparedHash] = []

    def make() -> PreparedHash:
        made.append(PreparedHash(SECRET, "phc"))
        return made[-1]

    prepared = PreparedHashes(3, make)
    prepared.prepare()
    assert made == []
    assert prepared.pop() is None
    for _ in range(5):
        prepared.prepare()
    assert len(made) == 3


def test_one_thread_prepares_at_a_time() -> None:
    """While a hash is being prepared, other threads return at once, and are free for the hashes of requests."""
    started, go_on = threading.Event(), threading.Event()

    def make() -> PreparedHash:
        started.set()
        assert go_on.wait(5)
        return PreparedHash(SECRET, "phc")

    prepared = PreparedHashes(3, make)
    assert prepared.pop() is None
    thread = threading.Thread(target=prepared.prepare)
    thread.start()
    assert started.wait(5)
    assert not prepared.wants_more()
    prepared.prepare()
    go_on.set()
    thread.join()
    assert prepared.pop() == PreparedHash(SECRET, "phc")
    assert prepared.pop() is None


async def test_hashes_of_requests_go_before_prepared_ones() -> None:
    """While requests wait for their hashes, none is prepared."""
    pool = HashPool(HashCost(1, 8192, 1), threads=1, prepared=8)
    waiting = [asyncio.ensure_future(pool.hash(SECRET)) for _ in range(6)]
    found = await asyncio.gather(*waiting)
    assert [one.mask for one in found] == [b""] * 6
    pool.close()


async def test_preparation_has_turns_beside_a_flood() -> None:
    """While a tenant's comparisons always wait, every second hash is a prepared one until a quarter is there."""
    pool = HashPool(HashCost(1, 1024, 1), threads=1, prepared=16)
    hashed = await pool.hash(SECRET)
    async with asyncio.timeout(5):
        while len(pool._prepared._ready) < 16:
            await asyncio.sleep(0.001)
    flood = [asyncio.ensure_future(pool.matches(hashed, SECRET, ("flood", "key"))) for _ in range(60)]
    await asyncio.sleep(0)
    used = [await pool.hash(SECRET, ("honest", "key")) for _ in range(16)]
    while len(pool._prepared._ready) < 4:
        await asyncio.sleep(0)
    done = sum(one.done() for one in flood)

    assert all(one.mask for one in used)
    assert done <= 8
    assert all(await asyncio.gather(*flood))
    pool.close()


async def test_impossible_parameters_stop_the_preparation() -> None:
    """The thread goes on with the hashes of requests, and nothing is tried again."""
    made: list[bytes] = []

    def make() -> PreparedHash:
        made.append(secrets.token_bytes(1))
        raise ValueError

    prepared = PreparedHashes(3, make)
    prepared.pop()
    for _ in range(3):
        prepared.prepare()
    assert len(made) == 1
    assert not prepared.wants_more()


@pytest.mark.parametrize("mask", ["AA==", "not base64", "=" * 44])
async def test_a_damaged_mask_matches_nothing(mask: str) -> None:
    """A record with such a mask is an error, as one under an unknown key is."""
    keyring = Keyring({"k1": bytes(32)}, current="k1", index="k1")
    pool = HashPool(CHEAP, threads=1)
    cipher = VerificationCipher(keyring, pool)
    record = structs.replace(record_of(Admitted(admission(), 0, 4, None, b"", ())), code_mask=mask)
    with pytest.raises(DecryptionError):
        await cipher.code_matches(VerificationSnapshot("v1", record, 0), "123456")
    pool.close()


async def test_codes_verify_with_prepared_hashes_over_http(make_service: ServiceFactory) -> None:
    """Ten codes in a row: most have a mask in their record, each verifies once, and no wrong code does."""
    service = await make_service({"hashing": {**CHEAP_HASH, "prepared": 4}})
    masks = 0
    for n in range(10):
        verification_id, code = await service.request_code(f"0812-1010-{n:04d}")
        partition = partition_of_id(verification_id)
        assert partition
        record = msgpack.decode(await service.store.get(partition.keys_of(verification_id)[0]), type=VerificationRecord)
        masks += bool(record.code_mask)
        assert (await service.verify(verification_id, service.wrong_code(code))).status_code == 422
        assert (await service.verify(verification_id, code)).status_code == 200
        assert (await service.verify(verification_id, code)).status_code == 409
    assert masks >= 5


async def filled(pool: HashPool, count: int) -> None:
    """Wait until as many hashes are prepared."""
    await pool.hash(SECRET)
    async with asyncio.timeout(5):
        while len(pool._prepared._ready) < count:
            pool._threads.prepare()
            await asyncio.sleep(0.001)


async def test_nothing_is_prepared_on_a_core_that_another_worker_uses(tmp_path: Path) -> None:
    """A thread does not wait for the core either: the hash of a request is computed as soon as the core is free."""
    pool = HashPool(CHEAP, threads=1, prepared=8, lock_folder=str(tmp_path))
    await filled(pool, 8)
    hashed = await pool.hash(SECRET)
    others = [CoreLock(str(tmp_path), core) for core in range(usable_cores())]
    while not all(one.try_acquire() for one in others):
        await asyncio.sleep(0.001)
    assert (await pool.hash(SECRET)).mask
    before = len(pool._prepared._ready)
    pool._threads.prepare()
    await asyncio.sleep(0.02)
    assert len(pool._prepared._ready) == before
    waiting = asyncio.ensure_future(pool.matches(hashed, SECRET))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    for one in others:
        one.release()
    assert await waiting
    pool.close()


async def test_workers_prepare_on_half_of_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another worker holds the only lock of two cores, this one prepares nothing, and hashes for requests."""
    monkeypatch.setattr(hash_threads, "usable_cores", lambda: 2)
    pool = HashPool(CHEAP, threads=2, prepared=8, lock_folder=str(tmp_path))
    await filled(pool, 8)
    other = CoreLock(str(tmp_path), "prepared-0")
    while not other.try_acquire():
        await asyncio.sleep(0.001)
    hashed = [await pool.hash(SECRET) for _ in range(3)]
    pool._threads.prepare()
    assert [await pool.matches(one, SECRET) for one in hashed] == [True] * 3
    assert len(pool._prepared._ready) == 5
    other.release()
    await filled(pool, 8)
    pool.close()
