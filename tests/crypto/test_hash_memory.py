"""The memory of hashes is bounded by the threads that compute them, not by the requests that wait for them."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from tests.running_service import RunningService, ServiceFactory

THREADS = 2
MEMORY_KIB = 8 * 1024
SLACK_KIB = 16 * 1024
"""For stacks of threads and the interpreter's own objects."""

MEASURED = f"""
import asyncio, resource
from otp_service.crypto.hashing import HashCost, HashPool

async def main(waiting):
    pool = HashPool(HashCost(1, {MEMORY_KIB}, 1), threads={THREADS})
    await pool.hash(bytes(32))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await asyncio.gather(*(pool.hash(bytes(32)) for _ in range(waiting)))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    pool.close()

asyncio.run(main({{waiting}}))
"""


@pytest.mark.parametrize("waiting", [THREADS, 4 * THREADS, 16 * THREADS])
def test_peak_memory_does_not_grow_with_waiting_hashes(waiting: int) -> None:
    """Beside the first hash, at most one more block of memory for each further thread is used."""
    code = MEASURED.format(waiting=waiting)
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert int(printed) < (THREADS - 1) * MEMORY_KIB + SLACK_KIB


async def test_liveness_does_not_wait_for_hashes(make_service: ServiceFactory) -> None:
    """While four times as many codes are compared as there are threads, /livez answers before the last is done."""
    hashing = {"time_cost": 5, "memory_kib": 4 * MEMORY_KIB, "prepared": 0}
    service = await make_service({"hashing": hashing, "limits": {"client_ip": []}})
    numbers = [f"+62812101{n:05d}" for n in range(4 * THREADS)]
    requests = [asyncio.ensure_future(service.request(number)) for number in numbers]
    while not await is_hashing(service):
        await asyncio.sleep(0)
    meanwhile = 0
    for _ in range(20):
        assert (await service.client.get("/livez")).status_code == 200
        meanwhile += await is_hashing(service)

    assert meanwhile > 0
    await asyncio.gather(*requests)


async def is_hashing(service: RunningService) -> bool:
    """Return whether a request holds a slot of the hash pool."""
    return "otp_hash_slots_in_use 0.0" not in (await service.client.get("/metrics")).text
