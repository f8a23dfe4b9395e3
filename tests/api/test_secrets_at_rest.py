"""What a dump of the store reveals."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Iterable, Iterator

from tests.running_service import ServiceFactory
from tests.store_contents import dump_store

VERIFICATIONS = 400
GOAL_BYTES = 1024


def forms(number: str) -> Iterator[bytes]:
    """Return every spelling of a number (digits with country code) that would reveal it without a key."""
    for digits in (number, "+" + number, "0" + number[2:], number[2:]):
        raw = digits.encode()
        yield raw
        yield base64.b64encode(raw).rstrip(b"=")
        yield raw.hex().encode()
        for algorithm in ("md5", "sha1", "sha256"):
            digest = hashlib.new(algorithm, raw)
            yield digest.digest()
            yield digest.hexdigest().encode()


def revealed(searched: Iterable[bytes], text: bytes) -> list[bytes]:
    """Return all forms that occur in the data, in one pass: by their first eight bytes, then completely."""
    by_start: dict[bytes, list[bytes]] = {}
    for one in searched:
        by_start.setdefault(one[:8], []).append(one)
    starts = ((at, by_start.get(text[at : at + 8], ())) for at in range(len(text)))
    return [one for at, ones in starts for one in ones if text.startswith(one, at)]


async def test_a_dump_reveals_nothing(make_service: ServiceFactory) -> None:
    """After 400 requests there is no code and no number; every key has a TTL and under 1 KiB per request."""
    service = await make_service({"limits": {"client_ip": ["5000/3600"]}})
    numbers = [f"62812{n:07d}" for n in range(1_000_000, 1_000_000 + VERIFICATIONS * 977, 977)]
    responses = []
    for start in range(0, VERIFICATIONS, 100):
        batch = numbers[start : start + 100]
        responses += await asyncio.gather(*(service.request(f"+{number}", client_ip="203.0.113.9") for number in batch))
    assert {response.status_code for response in responses} == {202}
    sent = [await service.code_of(response.json()["verification_id"]) for response in responses]

    async with asyncio.timeout(30):  # until every delivery is recorded
        while [key async for key in service.store.scan_iter("otp:{p*}:o", count=1000)]:
            await asyncio.sleep(0.05)
    store = await dump_store(service.store)
    everything = b"\n".join([*store, *store.values()])
    assert everything.count(b"$argon2id$") == VERIFICATIONS
    searched = {form for number in numbers for form in forms(number)}
    assert revealed(searched, everything) == []
    seen = revealed(searched, everything + b"".join(forms(numbers[-1])))
    assert set(forms(numbers[-1])) <= set(seen)  # so the search would find it
    by_id = {
        response.json()["verification_id"].encode(): code.encode()
        for response, code in zip(responses, sent, strict=True)
    }
    for key, value in store.items():
        own = by_id.get(key.rpartition(b":")[2])
        assert own is None or own not in value
    asked = service.store.pipeline(transaction=False)
    for key in store:
        asked.pttl(key).memory_usage(key, samples=0)
    replies = await asked.execute()
    assert [key for key, left in zip(store, replies[::2], strict=True) if left <= 0] == []
    sizes = [size or 0 for size in replies[1::2]]
    assert sum(sizes) / VERIFICATIONS < GOAL_BYTES
