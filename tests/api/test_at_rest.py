"""What a thief of the store, or a reader of the logs, would find."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from otp_service.observability import configure_logging
from tests.world import World, WorldMaker

VERIFICATIONS = 1000
GOAL_BYTES = 1024


async def dumped(store: Any) -> dict[bytes, bytes]:
    """Read every key and value, of whatever type, as bytes."""
    found: dict[bytes, bytes] = {}
    async for key in store.scan_iter(count=1000):
        match await store.type(key):
            case b"string":
                value = await store.get(key)
            case b"hash":
                value = b"\n".join(part for pair in (await store.hgetall(key)).items() for part in pair)
            case b"list":
                value = b"\n".join(await store.lrange(key, 0, -1))
            case b"zset":
                value = b"\n".join(await store.zrange(key, 0, -1))
            case b"none":
                continue  # it has ended between the two questions
            case b"none":  # it ended between the two looks
                continue
            case kind:
                raise AssertionError(f"a key of type {kind!r}")
        found[key] = value
    return found


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


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Catch everything that is logged, by us and by the libraries, as it would be written."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    configure_logging("DEBUG")
    stream = io.StringIO()
    root.handlers[0].setStream(stream)  # type: ignore[attr-defined]
    yield stream
    root.handlers[:], level = before
    root.setLevel(level)


async def test_logs_hold_no_secret(logged: io.StringIO, world: World) -> None:
    """One JSON line per request with id and outcome; no code, no whole number, no key in any line."""
    verification_id, code = await world.requested(reference="call 0812-1010-0055 back")
    wrong = world.wrong(code)
    await world.verify(verification_id, wrong)
    await world.verify(verification_id, code)
    await world.request("0812-1010-0055x")
    await world.client.post(
        "/v1/request-code", content=b'{"phone": "081210100055"', headers={"Content-Type": "application/json"}
    )
    await world.client.get("/v1/verifications/081210100055")

    text = logged.getvalue()
    for secret in (code, wrong, "081210100055", "0812-1010-0055", "6281210100055", "81210100055", "dev-key"):
        assert secret not in text
    lines = [json.loads(line) for line in text.splitlines()]
    requests = [line for line in lines if line["event"] == "request"]
    posts = [line for line in requests if line["method"] == "POST"]
    assert [line["outcome"] for line in posts] == ["ok", "code_incorrect", "ok", "phone_invalid", "request_malformed"]
    assert posts[0]["phone"] == "+62812*****055"
    assert all(line["request_id"] and line["timestamp"].endswith("Z") for line in requests)


async def test_metrics_hold_no_number(world: World) -> None:
    """The metrics page counts outcomes and names nobody."""
    verification_id, code = await world.requested()
    await world.verify(verification_id, code)
    page = (await world.client.get("/metrics")).text
    assert 'otp_outcomes_total{action="verify_code",outcome="ok",tenant="demo"}' in page
    assert "otp_outbox_oldest_due_seconds" in page
    assert "81210100055" not in page
    assert verification_id not in page
