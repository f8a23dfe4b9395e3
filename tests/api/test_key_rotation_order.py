"""Keys are switched before every replica has them: what one cannot read costs nothing there, and waits for others."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import httpx
import jwt
import msgspec
import pytest

from otp_service.sandbox.dev_config import dev_config
from tests.api.api_requests import BODY, BY_ID, REQUEST, VERIFY
from tests.api.test_key_rotation import AFTER, BEFORE, KEY
from tests.problem_assertions import problem
from tests.running_service import World, WorldMaker
from tests.store_contents import dumped

REUSE: dict[str, Any] = {"tenants": {"demo": {"policy": {"resend": "reuse"}}}}


@pytest.fixture
async def worlds(make_world: WorldMaker) -> tuple[World, World]:
    """A replica that makes codes under the new key, and one that does not have it yet."""
    return await make_world(AFTER | REUSE), await make_world(BEFORE | REUSE)


def unreadable(response: httpx.Response) -> None:
    """Hold an answer to be the 503 that says why, and to come again in a second."""
    body = problem(response, 503, "store_unavailable")
    assert body["retry_after"] == 1
    assert "does not have the key" in body["detail"]


@pytest.mark.parametrize("headers", [{}, KEY], ids=["without a key", "with a key"])
async def test_a_guess_costs_nothing(worlds: tuple[World, World], headers: dict[str, str]) -> None:
    """Right and wrong codes are 503, as often as they come; no attempt is spent, no key claimed, nothing is written."""
    ahead, behind = worlds
    verification_id, code = await ahead.requested()
    before = await dumped(ahead.store)
    for attempt in (code, behind.wrong(code)) * 4:
        guess = {"verification_id": verification_id, "code": attempt}
        unreadable(await behind.client.post(VERIFY, json=guess, headers=headers))
    assert await dumped(ahead.store) == before

    wrong = problem(await ahead.verify(verification_id, ahead.wrong(code)), 422, "code_incorrect", "attempts_left")
    assert wrong["attempts_left"] == 4
    guess = {"verification_id": verification_id, "code": code}
    assert (await ahead.client.post(VERIFY, json=guess, headers=headers)).status_code == 200


async def test_what_has_ended_is_told(worlds: tuple[World, World]) -> None:
    """A refusal that needs no key is the same on every replica."""
    ahead, behind = worlds
    verification_id, code = await ahead.requested()
    assert (await ahead.verify(verification_id, code)).status_code == 200
    problem(await behind.verify(verification_id, code), 409, "verification_used")


async def test_a_look_and_a_cancel(worlds: tuple[World, World]) -> None:
    """GET and DELETE are 503, and the verification stays pending."""
    ahead, behind = worlds
    verification_id, _ = await ahead.requested()
    unreadable(await behind.client.get(BY_ID + verification_id))
    unreadable(await behind.client.delete(BY_ID + verification_id))
    assert (await ahead.client.get(BY_ID + verification_id)).json()["status"] == "pending"
    assert (await ahead.client.delete(BY_ID + verification_id)).json()["status"] == "canceled"


async def test_a_code_to_send_again_is_made_anew(worlds: tuple[World, World]) -> None:
    """Under `reuse` a living code that cannot be read is superseded by a new one."""
    ahead, behind = worlds
    older, code = await ahead.requested()
    await ahead.advance(30)
    newer, fresh = await behind.requested()
    problem(await ahead.verify(older, code), 409, "verification_superseded")
    assert (await ahead.verify(newer, fresh)).status_code == 200


async def test_answers_that_are_kept(worlds: tuple[World, World]) -> None:
    """A repetition is 503 where the answer cannot be read, and the same answer where it can, before and after that."""
    ahead, behind = worlds
    first = await ahead.client.post(REQUEST, json=BODY, headers=KEY)
    verification_id = first.json()["verification_id"]
    guess = {"verification_id": verification_id, "code": await ahead.code_of(verification_id)}
    proof = await ahead.client.post(VERIFY, json=guess, headers=KEY)
    for path, body, answer in ((REQUEST, BODY, first), (VERIFY, guess, proof)):
        for seconds in (0, 20, 0):
            await ahead.advance(seconds)
            unreadable(await behind.client.post(path, json=body, headers=KEY))
            assert (await ahead.client.post(path, json=body, headers=KEY)).content == answer.content
    assert behind.inbox.messages() == []


async def test_tokens_verify_everywhere_at_every_step(make_world: WorldMaker) -> None:
    """Add, switch, remove, one replica after the other: each token is good by the keys that each replica publishes."""
    one, two = (dev_config("")["tokens"]["dev"] for _ in range(2))
    steps = [
        {"t1": one, "current": "t1"},
        {"t1": one, "t2": two, "current": "t1"},
        {"t1": one, "t2": two, "current": "t2"},
        {"t2": two, "current": "t2"},
    ]
    phone, checked = 10_000, 0
    for old, new in pairwise(steps):
        replicas = [await make_world({"tokens": tokens, "limits": {"prefix": []}} | BEFORE) for tokens in (old, new)]
        published = [
            jwt.PyJWKSet.from_dict((await world.client.get("/.well-known/jwks.json")).json()) for world in replicas
        ]
        for world in replicas:
            phone += 1
            token = (await world.verify(*await world.requested(f"0812-101{phone}"))).json()["token"]
            for keys in published:
                told = jwt.decode(token, keys[jwt.get_unverified_header(token)["kid"]], ["EdDSA"], audience="demo")
                assert told["purpose"] == "login"
                checked += 1
    assert checked == 12


@pytest.mark.parametrize("phone", ["", "x", "AAAA", "A" * 60, "é"])
async def test_a_seal_that_does_not_open_is_no_500(make_world: WorldMaker, phone: str) -> None:
    """A record whose number was damaged is 503 to look at, and the next request makes a new code."""
    world = await make_world(REUSE)
    verification_id, _ = await world.requested()
    [name] = await world.store.keys("otp:*:v:*")
    record = msgspec.msgpack.decode(await world.store.get(name))
    record[14] = phone
    await world.store.set(name, msgspec.msgpack.encode(record), keepttl=True)
    [message] = await world.store.keys("otp:*:m:*")
    await world.store.set(message, b"short", keepttl=True)

    unreadable(await world.client.get(BY_ID + verification_id))

    await world.advance(30)
    newer, code = await world.requested()
    assert (await world.verify(newer, code)).status_code == 200
