"""A decoy answers as a code would, at the same cost, and sends nothing: for accounts that do not exist."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.api.api_requests import BODY, BY_ID, REQUEST
from tests.config_parts import demo
from tests.problem_assertions import MEMBERS, limited, problem
from tests.running_service import NUMBER, World, WorldMaker


async def test_a_decoy_is_paid_for_like_a_code(world: World) -> None:
    """A decoy has an id, attempts and a cooldown; it supersedes, and no code opens it."""
    first, code = await world.requested()
    await world.advance(30)
    response = await world.request(decoy=True)
    assert response.status_code == 202
    assert {name: type(value) for name, value in response.json().items()} == MEMBERS
    assert response.json()["sends_left"] == 3
    decoy = response.json()["verification_id"]
    body = (await world.client.get(BY_ID + decoy)).json()
    assert (body["status"], body["deliveries"]) == ("pending", [])
    problem(await world.request(), 429, "resend_too_soon")
    problem(await world.verify(first, code), 409, "verification_superseded")
    for left in (4, 3, 2, 1, 0):
        assert problem(await world.verify(decoy, code), 422, "code_incorrect", "attempts_left")["attempts_left"] == left
    problem(await world.verify(decoy, code), 429, "attempts_exhausted")
    body = (await world.client.get(BY_ID + decoy)).json()
    assert (body["status"], body["deliveries"]) == ("exhausted", [])
    assert len(world.inbox.messages()) == 1


async def test_a_decoy_costs_a_hash_and_leaves_nothing_to_send(world: World, hashes: Counter[str]) -> None:
    """One hash like a code's, one record; neither a sealed code nor an entry in the outbox."""
    assert (await world.request(decoy=True)).status_code == 202
    assert hashes == {"hash": 1}
    assert len(await world.store.keys("otp:*v:*")) == 1
    assert await world.store.keys("otp:*m:*") == await world.store.keys("otp:{p*}:o") == []


@pytest.mark.parametrize(
    ("limit", "phone"),
    [
        ("recipient", NUMBER),
        ("client_ip", "0813-1010-0055"),
        ("prefix", "0812-1010-0056"),
        ("country", "0813-1010-0055"),
        ("tenant", "+6591234567"),
    ],
)
async def test_a_decoy_takes_from_every_budget(make_world: WorldMaker, limit: str, phone: str) -> None:
    """What a decoy has taken is gone for a code."""
    world = await make_world({"limits": {limit: ["1/3600"]}})
    assert (await world.request(decoy=True, client_ip="203.0.113.9")).status_code == 202
    limited(await world.request(phone, "registration", client_ip="203.0.113.9"), limit)


async def test_wrong_codes_at_a_decoy_lock_the_number(make_world: WorldMaker) -> None:
    """Guesses at a decoy count like any other, so the lock does not tell it apart."""
    world = await make_world({"limits": {"recipient_failures": ["2/3600"]}})
    decoy = (await world.request(decoy=True)).json()["verification_id"]
    for _ in range(2):
        problem(await world.verify(decoy, "914273"), 422, "code_incorrect", "attempts_left")
    problem(await world.verify(decoy, "914273"), 429, "recipient_locked")
    problem(await world.request(), 429, "recipient_locked")


async def test_a_decoy_under_an_idempotency_key(world: World) -> None:
    """The same answer again, like a code's."""
    key = {"Idempotency-Key": "order-17"}
    first, again = [await world.client.post(REQUEST, json={**BODY, "decoy": True}, headers=key) for _ in range(2)]
    assert (first.status_code, first.content) == (202, again.content)


@pytest.mark.parametrize("ttl", [300, 600])
async def test_a_decoy_has_no_code_that_was_sent(make_world: WorldMaker, ttl: int) -> None:
    """Under `reuse` a decoy answers as if the code were sent again, but the code that was sent does not open it."""
    world = await make_world(demo(resend="reuse", ttl_seconds=ttl, code_length=10))
    _, code = await world.requested()
    await world.advance(200)
    body = (await world.request(decoy=True)).json()
    most = min(ttl, 400)
    assert most - 2 <= body["expires_in"] <= most
    problem(await world.verify(body["verification_id"], code), 422, "code_incorrect", "attempts_left")
    await world.advance(30)
    verification_id, other = await world.requested()
    assert other != code
    assert (await world.verify(verification_id, other)).status_code == 200


async def test_decoy_after_decoy_lives_as_long_as_code_after_code(make_world: WorldMaker) -> None:
    """Under `reuse` a code ends ten minutes after it was made, however often it is sent; so does its like."""
    world = await make_world(demo(resend="reuse", ttl_seconds=600))
    lives: dict[bool, list[int]] = {False: [], True: []}
    for _ in range(3):
        for decoy, phone in ((False, "0812-1010-0011"), (True, "0812-1010-0022")):
            lives[decoy].append((await world.request(phone, decoy=decoy)).json()["expires_in"])
        await world.advance(150)

    assert lives[True] == pytest.approx(lives[False], abs=1)
    assert lives[True] == pytest.approx([600, 450, 300], abs=2)
