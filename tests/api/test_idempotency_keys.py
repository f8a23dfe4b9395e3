"""Idempotency-Key on both endpoints: the same answer, one message, one attempt; and what is not kept."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from otp_service.store.attempts import RedisAttempts
from otp_service.store.pipelined_connection import unavailable
from tests.api.api_requests import BODY, REQUEST, VERIFY
from tests.config_parts import SLOW, api_key, demo, tenant
from tests.problem_assertions import outcome, problem
from tests.running_service import E164, NUMBER, World, WorldMaker
from tests.store_contents import dumped, dying_before_the_answer_is_kept

KEY = {"Idempotency-Key": "order-17"}


async def ask(world: World, key: str = "order-17", **members: Any) -> httpx.Response:
    """Call request-code under a key."""
    return await world.client.post(REQUEST, json={**BODY, **members}, headers={"Idempotency-Key": key})


async def guess(world: World, verification_id: str, code: str, key: str = "order-17") -> httpx.Response:
    """Call verify-code under a key."""
    body = {"verification_id": verification_id, "code": code}
    return await world.client.post(VERIFY, json=body, headers={"Idempotency-Key": key})


async def kept(world: World) -> int:
    """Count the keys of callers that the store knows."""
    return len(await world.store.keys("otp:i:*"))


async def kept_keys(world: World) -> list[bytes]:
    """Name everything that is kept under keys of callers: the claims, and the answers."""
    return [*await world.store.keys("otp:i:*"), *await world.store.keys("otp:{p*}:i:*")]


async def test_request_code_answers_the_same(world: World) -> None:
    """The same key and body: the same bytes, one verification, one text; also later, and after it has ended."""
    first = await ask(world)
    assert first.status_code == 202
    verification_id, code = first.json()["verification_id"], await world.code_of(first.json()["verification_id"])
    for seconds in (0, 31, 300, 3600):
        await world.advance(seconds)
        again = await ask(world)
        assert (again.status_code, again.content) == (202, first.content)
        assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert len(world.inbox.messages()) == 1
    problem(await world.verify(verification_id, code), 404, "verification_unknown")
    assert (await ask(world, "another")).status_code == 202


async def test_a_body_is_what_it_says(world: World) -> None:
    """Order, spacing and a default that is spelled out make no other body."""
    first = await ask(world)
    spelled = b'{ "decoy":false,\n"purpose":"login", "channel": "sms","phone":"0812-1010-0055" ,"locale":null}'
    headers = {**KEY, "Content-Type": "application/json"}
    again = await world.client.post(REQUEST, content=spelled, headers=headers)
    assert again.content == first.content


OTHERS: list[dict[str, Any]] = [
    {"phone": "0812-1010-0066"},
    {"phone": "081210100055"},
    {"purpose": "registration"},
    {"locale": "en"},
    {"decoy": True},
    {"reference": "17"},
    {"client_ip": "203.0.113.9"},
    {"country": "ID"},
]


async def test_another_body_is_a_mismatch(world: World) -> None:
    """Any member that differs is another request: 422, and nothing is sent or taken."""
    await ask(world)
    for members in OTHERS:
        problem(await ask(world, **members), 422, "idempotency_mismatch")
    assert len(await world.store.keys("otp:*v:*")) == 1
    assert (await world.request("0812-1010-0066")).status_code == 202


async def test_verify_code_answers_the_same(world: World) -> None:
    """The same token, byte for byte; without the key, or under another one, it is used."""
    verification_id, code = await world.requested()
    first = await guess(world, verification_id, code)
    assert first.status_code == 200
    await world.advance(10)
    again = await guess(world, verification_id, code)
    assert (again.status_code, again.content) == (200, first.content)
    for key in ("another", None):
        answer = await (guess(world, verification_id, code, key) if key else world.verify(verification_id, code))
        problem(answer, 409, "verification_used")
    problem(await guess(world, verification_id, world.wrong(code)), 422, "idempotency_mismatch")


async def test_a_wrong_guess_is_kept(world: World) -> None:
    """`code_incorrect` under a key is told again as it was, and costs one attempt."""
    verification_id, code = await world.requested()
    for _ in range(3):
        body = problem(await guess(world, verification_id, world.wrong(code)), 422, "code_incorrect", "attempts_left")
        assert body["attempts_left"] == 4
    problem(await guess(world, verification_id, code), 422, "idempotency_mismatch")
    body = problem(await world.verify(verification_id, world.wrong(code)), 422, "code_incorrect", "attempts_left")
    assert body["attempts_left"] == 3


async def test_keys_are_of_a_tenant_and_an_endpoint(make_world: WorldMaker) -> None:
    """Another tenant, or the other endpoint, may use the same key for its own."""
    world = await make_world({"tenants": {"acme": tenant(api_key("acme", "request"))}})
    first = await ask(world)
    other = await world.caller("acme").post(REQUEST, json={**BODY, "phone": "0812-1010-0066"}, headers=KEY)
    assert other.status_code == 202
    verification_id = first.json()["verification_id"]
    assert other.json()["verification_id"] != verification_id
    assert (await guess(world, verification_id, await world.code_of(verification_id))).status_code == 200


async def test_two_keys_of_one_tenant_share(make_world: WorldMaker) -> None:
    """An idempotency key belongs to the tenant, so a retry may come with another of its API keys."""
    world = await make_world({"tenants": {"acme": tenant(api_key("one", "request"), api_key("two", "request"))}})
    answers = [await world.caller(name).post(REQUEST, json=BODY, headers=KEY) for name in ("one", "two")]
    assert answers[0].content == answers[1].content


async def test_what_is_kept_is_sealed(world: World) -> None:
    """Neither the caller's key, nor the number, the id's token or the body rests in the store in the clear."""
    verification_id, code = await world.requested()
    token = (await guess(world, verification_id, code)).json()["token"]
    await ask(world, "0812-1010-0055", phone="0812-1010-0066")
    store = await dumped(world.store)
    answers = b"".join(name + value for name, value in store.items() if b":i:" in name)
    assert answers
    for clear in (E164, E164[1:], NUMBER, "10066", "order-17", token, token.split(".")[1], code, "verified", "login"):
        assert clear.encode() not in answers


async def test_it_is_kept_for_24_hours(world: World) -> None:
    """A day less a moment it is the same answer; after a day the key is free again."""
    first = await ask(world)
    names = await kept_keys(world)
    assert len(names) == 2
    for name in names:
        assert 86_390_000 < await world.store.pttl(name) <= 86_400_000
        await world.store.pexpire(name, 1)
    await asyncio.sleep(0.005)
    await world.advance(86_400)
    second = await ask(world)
    assert second.status_code == 202
    assert second.json()["verification_id"] != first.json()["verification_id"]


@pytest.mark.parametrize("endpoint", ["request", "verify"])
async def test_in_flight(make_world: WorldMaker, endpoint: str) -> None:
    """While the first is answered the second is told to wait; then it gets the answer."""
    world = await make_world(SLOW)
    if endpoint == "request":
        calls = [ask(world) for _ in range(3)]
    else:
        verification_id, code = await world.requested()
        calls = [guess(world, verification_id, code) for _ in range(3)]
    answers = await asyncio.gather(*calls)
    assert sorted(map(outcome, answers)) == [
        "202" if endpoint == "request" else "200",
        "idempotency_in_flight",
        "idempotency_in_flight",
    ]
    for answer in answers:
        if answer.status_code == 409:
            assert problem(answer, 409, "idempotency_in_flight")["retry_after"] <= 15
    again = await ask(world) if endpoint == "request" else await guess(world, verification_id, code)
    assert again.content in {answer.content for answer in answers if answer.is_success}


async def test_what_may_pass_later_is_not_kept(make_world: WorldMaker) -> None:
    """After a 429 or a 503 the same key is served, also with another body."""
    world = await make_world(
        demo(max_attempts=1) | {"routes": [{"country": "ID", "providers": ["inbox"]}], "limits": {"tenant": ["3/3600"]}}
    )
    problem(await ask(world, phone="+6591234567"), 503, "no_route")
    assert await kept(world) == 0
    verification_id, code = await world.requested()
    problem(await ask(world), 429, "resend_too_soon")
    assert await kept(world) == 0
    await world.verify(verification_id, world.wrong(code))
    problem(await guess(world, verification_id, code), 429, "attempts_exhausted")
    assert await kept(world) == 0
    await world.advance(30)
    assert (await ask(world)).status_code == 202
    assert await kept(world) == 1
    assert (await ask(world, "next", phone="0812-1010-0066")).status_code == 202
    problem(await ask(world, "last", phone="0812-1010-0077"), 429, "rate_limited", "limit")
    assert await kept(world) == 2


async def test_a_lock_is_not_kept(make_world: WorldMaker) -> None:
    """A guess that met the lock is judged when the lock is gone, under the same key."""
    world = await make_world(demo(ttl_seconds=600) | {"limits": {"recipient_failures": ["1/900"]}})
    verification_id, code = await world.requested()
    problem(await world.verify(verification_id, world.wrong(code)), 422, "code_incorrect", "attempts_left")
    wait = problem(await guess(world, verification_id, code), 429, "recipient_locked")["retry_after"]
    await world.advance(wait)
    problem(await guess(world, verification_id, code), 410, "verification_expired")


async def test_an_overload_is_not_kept(make_world: WorldMaker) -> None:
    """A 503 for want of a place leaves the key free and the attempt unspent."""
    world = await make_world({"hashing": {"max_waiting": 1, **SLOW["hashing"]}})
    verification_id, code = await world.requested()
    held = asyncio.create_task(world.request("0812-1010-0066"))
    await asyncio.sleep(0.05)
    problem(await guess(world, verification_id, code), 503, "overloaded")
    problem(await ask(world, "other", phone="0812-1010-0077"), 503, "overloaded")
    assert (await held).status_code == 202
    assert (await guess(world, verification_id, code)).status_code == 200
    assert (await ask(world, "other", phone="0812-1010-0077")).status_code == 202


async def test_what_cost_nothing_is_judged_anew(world: World) -> None:
    """A 404, 409 or 410 of verify-code is told as it is now, and nothing is kept for it."""
    verification_id, code = await world.requested()
    await world.advance(300)
    before = await world.store.keys("*")
    problem(await guess(world, verification_id, code), 410, "verification_expired")
    await world.advance(601)
    problem(await guess(world, verification_id, code), 404, "verification_unknown")
    assert set(await world.store.keys("*")) <= set(before)
    assert await kept_keys(world) == []


async def test_a_crash_before_the_start(world: World) -> None:
    """The request is made anew when the dead one is given up; what that had reserved keeps to its cooldown."""
    with dying_before_the_answer_is_kept():
        problem(await ask(world), 503, "store_unavailable")
    assert problem(await ask(world), 409, "idempotency_in_flight")["retry_after"] <= 15
    await world.advance(16)
    await world.advance(problem(await ask(world), 429, "resend_too_soon")["retry_after"])
    again = await ask(world)
    assert again.status_code == 202
    assert (await ask(world)).content == again.content
    await world.message_of(again.json()["verification_id"])
    assert len(world.inbox.messages()) == 1


async def test_a_crash_in_verify_code(world: World) -> None:
    """The guess of the dead one stays paid, and the repeated one is paid for too."""
    verification_id, code = await world.requested()
    with dying_before_the_answer_is_kept():
        await guess(world, verification_id, world.wrong(code))
    problem(await guess(world, verification_id, world.wrong(code)), 409, "idempotency_in_flight")
    await world.advance(16)
    body = problem(await guess(world, verification_id, world.wrong(code)), 422, "code_incorrect", "attempts_left")
    assert body["attempts_left"] == 3


async def test_a_success_whose_answer_was_lost_is_told_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store made the success and its reply was lost: the caller gets 503, and with its key the same proof."""
    verification_id, code = await world.requested()
    consume = RedisAttempts.consume

    async def unheard(*args: Any) -> Any:
        await consume(*args)
        raise unavailable()

    with monkeypatch.context() as lossy:
        lossy.setattr(RedisAttempts, "consume", unheard)
        problem(await guess(world, verification_id, code), 503, "store_unavailable")
    again = await guess(world, verification_id, code)
    assert again.status_code == 200
    assert (await guess(world, verification_id, code)).content == again.content
    problem(await world.verify(verification_id, code), 409, "verification_used")


async def test_a_key_belongs_to_one_verification(world: World) -> None:
    """The same key with a guess at another verification is a mismatch, and the key keeps its first answer."""
    verification_id, code = await world.requested()
    other, other_code = await world.requested("0812-1010-0056")
    first = await guess(world, verification_id, code)
    assert first.status_code == 200

    problem(await guess(world, other, other_code), 422, "idempotency_mismatch")

    assert (await guess(world, verification_id, code)).content == first.content
    assert (await world.verify(other, other_code)).status_code == 200
