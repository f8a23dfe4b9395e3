"""Hashes that are computed in advance: each is used once, costs what another one costs, and does not delay requests."""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import threading
import time

import pytest
from msgspec import msgpack, structs

from otp_service.crypto.hashing import SECRET_BYTES, HashCost, HashPool, MaskedHash
from otp_service.crypto.keyring import DecryptionError, Keyring
from otp_service.crypto.prepared_hashes import PreparedHash, PreparedHashes
from otp_service.crypto.verification_cipher import VerificationCipher
from otp_service.domain.results import Admitted
from otp_service.domain.verification import VerificationRecord, VerificationSnapshot
from otp_service.store.keys import partition_of_id
from tests.crypto.test_hash_pool import hashes_computed
from tests.running_service import CHEAP_HASH, ServiceFactory
from tests.store.replica_store import admission, record_of
from tests.waits import wait_until

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

    prepared = PreparedHashes(3, make, lambda: False)
    assert prepared._thread is None
    prepared.pop()
    while len(prepared._ready) < 3:
        time.sleep(0.001)
    prepared.close()
    assert len(made) in (3, 4)  # the one that was taken, if it was there already


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
    for _ in range(16):  # its own thread gets no time while other processes use the cores
        pool._prepared.prepare()
    made, make = [], pool._prepared._make

    def recorded() -> PreparedHash:
        made.append(hashes_computed())  # comparisons so far: prepared hashes are not counted
        return make()

    pool._prepared._make = recorded
    flood = [asyncio.ensure_future(pool.matches(hashed, SECRET, ("flood", "key"))) for _ in range(60)]
    await asyncio.sleep(0)
    used = [await pool.hash(SECRET, ("honest", "key")) for _ in range(16)]
    assert all(await asyncio.gather(*flood))

    assert all(one.mask for one in used)
    assert [later - earlier for earlier, later in itertools.pairwise(made[:3])] == [1, 1]
    pool.close()


async def test_impossible_parameters_stop_the_preparation() -> None:
    """The thread goes on with the hashes of requests, and nothing is tried again."""
    made: list[bytes] = []

    def make() -> PreparedHash:
        made.append(secrets.token_bytes(1))
        raise ValueError

    prepared = PreparedHashes(3, make, lambda: False)
    for _ in range(3):
        prepared.prepare()
    assert len(made) == 1
    assert not prepared.is_low()


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


def test_nothing_is_begun_while_requests_are_hashed() -> None:
    """Two hashes that take turns on a core would both be slower."""
    busy = [True]
    prepared = PreparedHashes(2, lambda: PreparedHash(SECRET, "phc"), lambda: busy[0])
    prepared.pop()
    time.sleep(0.05)
    assert not prepared._ready
    busy[0] = False
    prepared.resume()
    while len(prepared._ready) < 2:
        time.sleep(0.001)
    prepared.close()


async def test_the_thread_uses_idle_time_only() -> None:
    """The kernel runs it only when nothing else wants the core; at the end it is finished at the usual priority."""
    pool = HashPool(CHEAP, threads=1, prepared=2)
    await prepared_hash(pool, SECRET)
    thread = pool._prepared._thread
    assert thread and thread.native_id
    native_id = thread.native_id  # a hash thread may have prepared the hash before this one has set its priority
    await wait_until(lambda: os.sched_getscheduler(native_id) == os.SCHED_IDLE)
    assert os.sched_getscheduler(threading.get_native_id()) == os.SCHED_OTHER
    pool.close()
    assert not thread.is_alive()


async def test_a_pool_without_prepared_hashes_has_no_thread() -> None:
    """`prepared = 0`: every hash is computed at its request."""
    pool = HashPool(CHEAP, threads=1)
    assert [(await pool.hash(SECRET)).mask for _ in range(5)] == [b""] * 5
    assert pool._prepared._thread is None
    pool.close()


async def test_a_tenant_whose_hashes_wait_leaves_the_prepared_ones_to_others() -> None:
    """Beside its own flood of comparisons a tenant's codes are hashed in its turns; another tenant's are prepared."""
    pool = HashPool(HashCost(1, 1024, 1), threads=1, prepared=8)
    hashed = await pool.hash(SECRET)
    for _ in range(8):
        pool._prepared.prepare()
    flood = [asyncio.ensure_future(pool.matches(hashed, SECRET, ("flood", "key"))) for _ in range(30)]
    await asyncio.sleep(0)
    own, other = await asyncio.gather(pool.hash(SECRET, ("flood", "key")), pool.hash(SECRET, ("honest", "key")))
    await asyncio.gather(*flood)
    assert (bool(own.mask), bool(other.mask)) == (False, True)
    pool.close()
