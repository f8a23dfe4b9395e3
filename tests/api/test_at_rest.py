"""What a thief of the store would find."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Iterator

from tests.api.kit import dumped
from tests.world import WorldMaker

VERIFICATIONS = 1000
GOAL_BYTES = 1024


def forms(number: str) -> Iterator[bytes]:
    """Spell a number (digits with country code) in every way that would give it away without a key."""
    for digits in (number, "+" + number, "0" + number[2:], number[2:]):
        raw = digits.encode()
        yield raw
        yield base64.b64encode(raw).rstrip(b"=")
        yield raw.hex().encode()
        for algorithm in ("md5", "sha1", "sha256"):
            digest = hashlib.new(algorithm, raw)
            yield digest.digest()
            yield digest.hexdigest().encode()


async def test_a_dump_gives_nothing_away(make_world: WorldMaker) -> None:
    """After 1,000 requests: no code, no number in any spelling, a TTL on each key, less than a KiB for each."""
    world = await make_world({"limits": {"client_ip": ["5000/3600"]}})
    numbers = [f"62812{n:07d}" for n in range(1_000_000, 1_000_000 + VERIFICATIONS * 977, 977)]
    responses = []
    for start in range(0, VERIFICATIONS, 100):
        batch = numbers[start : start + 100]
        responses += await asyncio.gather(*(world.request(f"+{number}", client_ip="203.0.113.9") for number in batch))
    assert {response.status_code for response in responses} == {202}
    sent = [await world.code_of(response.json()["verification_id"]) for response in responses]

    async with asyncio.timeout(30):  # until every delivery is written down
        while [key async for key in world.store.scan_iter("otp:{p*}:o", count=1000)]:
            await asyncio.sleep(0.05)
    store = await dumped(world.store)
    everything = b"\n".join([*store, *store.values()])
    assert everything.count(b"$argon2id$") == VERIFICATIONS
    assert not [number for number in numbers for form in forms(number) if form in everything]
    by_id = {
        response.json()["verification_id"].encode(): code.encode()
        for response, code in zip(responses, sent, strict=True)
    }
    for key, value in store.items():
        own = by_id.get(key.rpartition(b":")[2])
        assert own is None or own not in value
    for key in store:
        assert await world.store.pttl(key) > 0, key
    sizes = [await world.store.memory_usage(key, samples=0) or 0 for key in store]
    assert sum(sizes) / VERIFICATIONS < GOAL_BYTES
