"""Wrong codes in a row: request-code waits longer after each exhausted verification, and at last the number is off."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.api_requests import BY_ID, VERIFY
from tests.config_parts import api_key, demo, tenant
from tests.problem_assertions import problem
from tests.running_service import NUMBER, World, WorldMaker

DAY = 86_400
FREE: dict[str, Any] = {"limits": {"recipient": [], "prefix": [], "recipient_failures": ["100/86400"]}}


def demo_free(**policy: Any) -> dict[str, Any]:
    """Configure the tenant so that nothing but the lock-out makes its requests wait."""
    return demo(resend_cooldown_seconds=1, max_sends=20, **policy) | FREE


async def exhaust(world: World, **members: Any) -> tuple[str, str]:
    """Request a code and use up its attempts; its id and the right code ("" of a decoy)."""
    response = await world.request(**members)
    assert response.status_code == 202, response.text
    verification_id = response.json()["verification_id"]
    code = "" if members.get("decoy") else await world.code_of(verification_id)
    wrong = world.wrong(code) or "0000000000"
    for _ in range(response.json()["attempts_left"]):
        problem(await world.verify(verification_id, wrong), 422, "code_incorrect", "attempts_left")
    return verification_id, code


async def locked_for(world: World, **members: Any) -> int:
    """Hold request-code to be locked; its Retry-After."""
    wait: int = problem(await world.request(**members), 429, "recipient_locked")["retry_after"]
    return wait


@pytest.mark.parametrize("decoy", [False, True], ids=["text", "decoy"])
async def test_each_exhausted_verification_doubles_the_wait(make_world: WorldMaker, *, decoy: bool) -> None:
    """30 s, 1 min, 2 min ... 1 h, for every purpose, and no longer; Retry-After is honest at both endpoints."""
    world = await make_world(demo_free(lockout_seconds=30))
    for seconds in (30, 60, 120, 240, 480, 960, 1920, 3600, 3600):
        verification_id, code = await exhaust(world, decoy=decoy)
        wait = await locked_for(world, purpose="registration")
        assert seconds - 2 <= wait <= seconds
        told = problem(await world.verify(verification_id, code or "1234"), 429, "attempts_exhausted")["retry_after"]
        assert seconds - 2 <= told <= seconds
        await world.advance(seconds - 3)
        assert await locked_for(world) <= 3
        await world.advance(3)


async def test_the_first_wait_is_the_cooldown_by_default(make_world: WorldMaker) -> None:
    """Without `lockout_seconds` a tenant with a longer cooldown has longer waits, up to its own longest."""
    world = await make_world(demo(resend_cooldown_seconds=40, max_lockout_seconds=90, max_sends=20) | FREE)
    for seconds in (40, 80, 90, 90):
        await exhaust(world)
        assert seconds - 2 <= await locked_for(world) <= seconds
        await world.advance(seconds)


async def test_a_right_code_of_another_purpose_ends_the_wait(make_world: WorldMaker) -> None:
    """What is pending meanwhile verifies, and request-code is accepted at once; the next wait is the first again."""
    world = await make_world(demo_free(lockout_seconds=30))
    await exhaust(world)
    await world.advance(30)
    other, code = await world.requested(purpose="registration")
    await exhaust(world)
    assert 58 <= await locked_for(world) <= 60

    assert (await world.verify(other, code)).status_code == 200

    await world.advance(1)
    await exhaust(world)
    assert 28 <= await locked_for(world) <= 30


async def test_the_wait_is_one_tenants(make_world: WorldMaker) -> None:
    """The same number gets codes from another tenant, and another number from this one."""
    others = tenant(api_key("acme", "request"))
    world = await make_world(demo_free(lockout_seconds=30) | {"tenants": {"acme": others}})
    await exhaust(world)

    assert (await world.request("0812-1010-0056")).status_code == 202
    body = {"phone": NUMBER, "purpose": "login"}
    assert (await world.caller("acme").post("/v1/request-code", json=body)).status_code == 202


@pytest.mark.parametrize("decoy", [False, True], ids=["text", "decoy"])
async def test_a_hundred_wrong_codes_in_a_row_disable_a_number(make_world: WorldMaker, *, decoy: bool) -> None:
    """By default, also over days: both endpoints are locked for good, for right codes and other purposes too."""
    config = demo(resend_cooldown_seconds=1, max_sends=20)
    world = await make_world(config | {"limits": {"recipient": [], "prefix": [], "recipient_failures": ["20/86400"]}})
    for exhausted in range(1, 20):
        await exhaust(world, decoy=decoy)
        await world.advance(DAY if exhausted % 4 == 0 else 3600)
    pending, right = await world.requested(purpose="registration")
    last = (await world.request(decoy=decoy)).json()["verification_id"]
    for _ in range(5):
        problem(await world.verify(last, "0000000000"), 422, "code_incorrect", "attempts_left")

    for days in (0, 2, 390):
        await world.advance(days * DAY)
        for answer in (
            await world.request(),
            await world.request(purpose="password_reset"),
            *([await world.verify(pending, right), await world.verify(last, "123456")] if days == 0 else []),
        ):
            body = problem(answer, 429, "recipient_locked")
            assert body["retry_after"] == DAY
            assert "operator" in body["detail"]
    assert (await world.request("0812-1010-0056")).status_code == 202


async def test_the_last_wrong_code_in_a_row_may_be_right(make_world: WorldMaker) -> None:
    """One below the limit a right code still verifies, and the row begins anew."""
    world = await make_world(demo_free(max_consecutive_failures=4))
    for _ in range(2):
        verification_id, code = await world.requested()
        for _ in range(3):
            problem(await world.verify(verification_id, world.wrong(code)), 422, "code_incorrect", "attempts_left")
        assert (await world.verify(verification_id, code)).status_code == 200
        await world.advance(1)
    verification_id, code = await world.requested()
    for _ in range(4):
        problem(await world.verify(verification_id, world.wrong(code)), 422, "code_incorrect", "attempts_left")
    problem(await world.verify(verification_id, code), 429, "recipient_locked")


async def test_a_locked_guess_under_a_key_is_not_kept(make_world: WorldMaker) -> None:
    """The 429 of a disabled number frees its Idempotency-Key: once unlocked, the same request is judged."""
    world = await make_world(demo_free(max_consecutive_failures=1))
    pending, code = await world.requested(purpose="registration")
    other, wrong = await world.requested()
    await world.verify(other, world.wrong(wrong))
    guess = {"verification_id": pending, "code": code}
    for _ in range(2):
        answer = await world.client.post(VERIFY, json=guess, headers={"Idempotency-Key": "k"})
        problem(answer, 429, "recipient_locked")
    assert (await world.client.get(BY_ID + pending)).json()["attempts_left"] == 5

    await world.client.post("/v1/admin/recipients/unlock", json={"phone": NUMBER})

    assert (await world.client.post(VERIFY, json=guess, headers={"Idempotency-Key": "k"})).status_code == 200


async def test_locks_are_counted(make_world: WorldMaker) -> None:
    """Each wrong code that locks a number adds one, by tenant and kind."""
    world = await make_world(demo_free(max_consecutive_failures=7, lockout_seconds=1))

    async def counted(kind: str) -> float:
        page = (await world.client.get("/metrics")).text.splitlines()
        start = f'otp_lockouts_total{{kind="{kind}",tenant="demo"}} '
        return next((float(line.removeprefix(start)) for line in page if line.startswith(start)), 0.0)

    before = {kind: await counted(kind) for kind in ("wait", "failures", "disabled")}
    await exhaust(world)
    await world.advance(1)
    verification_id, code = await world.requested()
    for _ in range(2):
        await world.verify(verification_id, world.wrong(code))

    assert {kind: await counted(kind) - before[kind] for kind in before} == {"wait": 1, "failures": 0, "disabled": 1}
