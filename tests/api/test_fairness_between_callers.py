"""A flood by one caller leaves other callers their slots and their responses."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from otp_service.api.response_pacing import (
    BURST_SECONDS,
    ERRORS_PER_SECOND,
    MAX_DELAY_SECONDS,
    OTHER_RESPONSES_PER_SECOND,
    Pacer,
)
from otp_service.crypto.fair_queue import Caller, FairSlots
from otp_service.domain.errors import Refused
from otp_service.sandbox.dev_config import dev_config, merged
from otp_service.service import attempt_queue
from otp_service.service.attempt_queue import MAX_WAITING, AttemptQueue
from otp_service.settings import load
from otp_service.store.attempts import RedisAttempts
from tests.api.api_requests import NORMALIZE_PHONE, UNKNOWN_ID, VERIFY_CODE
from tests.config_parts import SLOW_HASHING, api_key, tenant
from tests.problem_assertions import assert_problem, assert_rate_limited, problem_code
from tests.running_service import RunningService, ServiceFactory
from tests.waits import wait_until

FLOOD = ("flooding", "app")
HONEST = ("honest", "web")
TWO_TENANTS: dict[str, Any] = {
    "tenants": {
        "flooding": tenant(api_key("app", "request", "verify", "server")),
        "honest": tenant(api_key("web", "request", "verify", "server")),
    }
}


async def verify_outcome(
    service: RunningService, key: str, verification_id: str = UNKNOWN_ID, address: str = "198.51.100.7"
) -> str:
    """Call verify-code with an API key from an address, and return the outcome."""
    body = {"verification_id": verification_id, "code": "123456"}
    return problem_code(await service.caller(key, address).post(VERIFY_CODE, json=body))


@pytest.mark.usefixtures("patient_store")
async def test_a_flood_at_one_unknown_id_does_not_affect_others(
    make_service: ServiceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 300 attempts at one id those beyond the queue get 503; 12 requests of another tenant are served meanwhile."""
    monkeypatch.setattr(attempt_queue, "MAX_WAIT_SECONDS", 60.0)  # the queue is what is tested, not this machine
    served, reserve = asyncio.Event(), RedisAttempts.reserve_attempt

    async def reserve_later(attempts: RedisAttempts, *args: Any) -> Any:
        await served.wait()
        return await reserve(attempts, *args)

    monkeypatch.setattr(RedisAttempts, "reserve_attempt", reserve_later)
    service = await make_service(TWO_TENANTS | {"hashing": {"max_waiting": 256}})
    flood = [asyncio.create_task(verify_outcome(service, "app")) for _ in range(300)]
    await wait_until(lambda: sum(one.done() for one in flood) == 300 - MAX_WAITING - 1, seconds=30)
    honest = service.caller("web")
    asked = [honest.post("/v1/request-code", json={"phone": f"+62812{n:07d}", "purpose": "login"}) for n in range(12)]
    answers = await asyncio.gather(*asked)
    served.set()
    found = Counter(await asyncio.gather(*flood))
    assert [answer.status_code for answer in answers] == [202] * 12
    assert found == {"verification_unknown": MAX_WAITING + 1, "overloaded": 300 - MAX_WAITING - 1}


async def slots_held(service: RunningService) -> float:
    """Return how many slots of the hash pool are held."""
    page = (await service.client.get("/metrics")).text
    [line] = [line for line in page.splitlines() if line.startswith("otp_hash_slots_in_use ")]
    return float(line.split()[1])


async def test_every_slot_is_released(make_service: ServiceFactory) -> None:
    """After every outcome, and after a client disconnects, all slots and turns are free again."""
    service = await make_service(
        TWO_TENANTS | SLOW_HASHING | {"hashing": {**SLOW_HASHING["hashing"], "max_waiting": 4}}
    )
    verification_id, _ = await service.request_code()
    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(verify_outcome(service, "app")) for _ in range(20)]
    tasks += [asyncio.create_task(service.verify(verification_id, "000000")) for _ in range(6)]
    tasks += [asyncio.create_task(service.request(f"+62813{n:07d}")) for n in range(8)]
    await asyncio.sleep(0.05)
    for task in tasks[::3]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    async with asyncio.timeout(5):
        while await slots_held(service):
            await asyncio.sleep(0.01)
    assert await verify_outcome(service, "app") == "verification_unknown"


def test_slots_are_shared_by_free_capacity() -> None:
    """One caller alone gets 256 slots, greedy callers get equal shares, and a new caller always gets one."""
    shares = FairSlots(256)

    def acquire_until_refused(caller: Caller) -> int:
        held = 0
        while shares.acquire(caller):
            held += 1
        return held

    assert acquire_until_refused(FLOOD) == 256
    assert not shares.acquire(FLOOD)
    assert [shares.acquire(HONEST) for _ in range(12)] == [True] * 12
    more = {(tenant, key): 0 for tenant in "abcdefgh" for key in "12"}
    for _ in range(1024):
        for caller in more:
            more[caller] += shares.acquire(caller)
    assert shares.in_use < 1024
    assert max(more.values()) - min(more.values()) <= 1
    assert shares.acquire(("newcomer", "web"))


def test_released_slots_can_be_acquired_again() -> None:
    """Acquired and released slots leave no trace."""
    shares = FairSlots(4)
    for _ in range(3):
        assert shares.acquire(FLOOD)
    for _ in range(3):
        shares.release(FLOOD)
    assert (shares.in_use, [shares.acquire(FLOOD) for _ in range(5)]) == (0, [True] * 4 + [False])


async def test_the_queue_of_one_verification_is_limited() -> None:
    """The next attempt is refused at once, one at another verification is not, and the queue ends empty."""
    turns, go = AttemptQueue(), asyncio.Event()

    async def submit(name: str) -> str:
        try:
            async with turns.turn(name):
                await go.wait()
        except Refused as refused:
            return refused.reason.value
        return "served"

    first = [asyncio.create_task(submit("a")) for _ in range(MAX_WAITING + 5)]
    await asyncio.sleep(0)
    other = asyncio.create_task(submit("b"))
    await asyncio.sleep(0)
    go.set()
    found = Counter(await asyncio.gather(*first))
    assert (found, await other) == ({"served": MAX_WAITING + 1, "overloaded": 4}, "served")
    assert not turns.size


async def test_codes_from_one_address_are_limited(make_service: ServiceFactory) -> None:
    """Of 10 attempts of an app at once 3 are compared, at known and unknown ids; the others use nothing."""
    config = {"tenants": {"acme": tenant(api_key("app", "request", "verify"), api_key("web", "verify", "server"))}}
    service = await make_service(config | {"limits": {"verify_ip": ["3/600"]}})
    asked = await service.caller("app").post("/v1/request-code", json={"phone": "+6281210100055", "purpose": "login"})
    verification_id = asked.json()["verification_id"]
    ids = [verification_id if n % 2 else UNKNOWN_ID for n in range(10)]
    found = Counter(await asyncio.gather(*(verify_outcome(service, "app", one) for one in ids)))
    assert found["rate_limited"] == 7
    response = await service.caller("app", "198.51.100.7").post(
        VERIFY_CODE, json={"verification_id": verification_id, "code": "123456"}
    )
    assert_rate_limited(response, "verify_ip", 600)
    assert await verify_outcome(service, "app", address="198.51.100.8") == "verification_unknown"
    assert await verify_outcome(service, "web") == "verification_unknown"  # the address of a server is not counted
    last = await service.caller("web").post(VERIFY_CODE, json={"verification_id": verification_id, "code": "1234567"})
    assert assert_problem(last, 422, "code_incorrect", "attempts_left")["attempts_left"] == 4 - found["code_incorrect"]
    await service.advance(600)
    assert await verify_outcome(service, "app") == "verification_unknown"


@pytest.mark.parametrize(
    ("limits", "windows"),
    [
        ({}, [(100, 3600)]),
        ({"client_ip": ["3/60", "7/3600"]}, [(15, 60), (35, 3600)]),
        ({"client_ip": []}, []),
        ({"client_ip": [], "verify_ip": ["9/60"]}, [(9, 60)]),
        ({"verify_ip": []}, []),
    ],
)
def test_the_default_of_verify_ip_follows_client_ip(limits: dict[str, Any], windows: list[tuple[int, int]]) -> None:
    """By default an address may submit as many codes as the requests that it may make have attempts."""
    settings = load(merged(dev_config("redis://127.0.0.1"), {"limits": limits}), {}, plain_secrets=True)
    assert [(one.count, one.seconds) for one in settings.limits.verify_ip_windows()] == windows


def test_responses_above_the_rate_are_delayed() -> None:
    """One second's responses are sent at once, the next are delayed more and more, and time resets the delay."""
    pacer = Pacer(single_process=False)
    pauses = [pacer.delay_seconds(FLOOD, 100.0, is_error=True) for _ in range(1000)]
    burst = int(ERRORS_PER_SECOND * BURST_SECONDS)
    assert pauses[:burst] == [0.0] * burst
    assert pauses[burst] == pytest.approx(1 / ERRORS_PER_SECOND)
    assert max(pauses) == pauses[-1] == pytest.approx(MAX_DELAY_SECONDS)
    assert pacer.delay_seconds(HONEST, 100.0, is_error=True) == 0.0
    assert pacer.delay_seconds(FLOOD, 100.0 + BURST_SECONDS + MAX_DELAY_SECONDS, is_error=True) == 0.0
    pacer = Pacer(single_process=False)
    others = [pacer.delay_seconds(FLOOD, 100.0, is_error=False) for _ in range(int(OTHER_RESPONSES_PER_SECOND) + 1)]
    assert (others[-2] < 1e-9, others[-1] > 1e-3) == (True, True)


def test_a_single_caller_is_never_delayed() -> None:
    """With one process a caller is not delayed while no other caller is active."""
    pacer = Pacer(single_process=True)
    assert {pacer.delay_seconds(FLOOD, 100.0, is_error=True) for _ in range(1000)} == {0.0}
    pacer.record_response(HONEST, 100.0)
    assert pacer.delay_seconds(FLOOD, 100.0, is_error=True) > 0
    assert pacer.delay_seconds(FLOOD, 111.0, is_error=True) == 0.0


async def test_a_flood_of_malformed_requests_is_delayed(make_service: ServiceFactory) -> None:
    """While another caller is active, 60 malformed bodies get their 400, the last after a delay."""
    service = await make_service(TWO_TENANTS)
    await service.request()
    loop = asyncio.get_running_loop()
    started = loop.time()
    answers = await asyncio.gather(*(service.caller("app").post(NORMALIZE_PHONE, json={}) for _ in range(60)))
    assert {problem_code(answer) for answer in answers} == {"request_malformed"}
    assert loop.time() - started >= 9 / ERRORS_PER_SECOND


@pytest.mark.parametrize("key", ["app", None])
async def test_a_host_with_many_addresses_is_one_caller(
    make_service: ServiceFactory, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    """The responses to all addresses of an IPv6 /64 are paced together: with a publishable key, and without a key."""
    callers: Counter[Any] = Counter()

    def count(_pacer: Pacer, caller: Any, _now: float, *, is_error: bool) -> float:
        callers[caller] += 1
        assert is_error == (key is None)
        return 0.0

    publishable = {**api_key("app", "request"), "publishable": True}
    service = await make_service({"tenants": {"acme": tenant(publishable)}})
    monkeypatch.setattr(Pacer, "delay_seconds", count)
    for address in (
        "2001:db8::1",
        "2001:db8::2",
        "2001:db8::ffff:1",
        "2001:db8:0:1::1",
        "198.51.100.7",
        "198.51.100.8",
    ):
        await service.caller(key, address).post(NORMALIZE_PHONE, json={"phone": "+6281210100055"})
    assert sorted(callers.values()) == [1, 1, 1, 3]
