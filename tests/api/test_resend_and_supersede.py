"""A chain of verifications of one tenant, number and purpose: cooldown, superseding, `max_sends`, and `reuse`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from otp_service.store.verifications import RedisVerifications
from tests.api.api_requests import BODY, BY_ID, REQUEST
from tests.config_parts import api_key, demo, tenant
from tests.problem_assertions import problem
from tests.running_service import World, WorldMaker


async def test_the_cooldown_is_exact(world: World) -> None:
    """Retry-After is honest: a second before it is too soon, at it the request passes."""
    await world.requested()
    wait = problem(await world.request(), 429, "resend_too_soon")["retry_after"]
    assert 29 <= wait <= 30
    await world.advance(wait - 2)
    problem(await world.request(), 429, "resend_too_soon")
    await world.advance(2)
    assert (await world.request()).status_code == 202


async def test_a_new_request_supersedes_the_old_one(world: World) -> None:
    """The newest verification is the one that counts, with attempts of its own."""
    first, code = await world.requested()
    await world.verify(first, world.wrong(code))
    await world.advance(31)
    second, newer = await world.requested()
    problem(await world.verify(first, code), 409, "verification_superseded")
    assert (await world.verify(second, newer)).status_code == 200


async def test_sends_of_a_chain_are_counted(make_world: WorldMaker) -> None:
    """After max_sends the chain has to end; a success ends it too."""
    world = await make_world({"tenants": {"demo": {"policy": {"max_sends": 2, "resend_cooldown_seconds": 1}}}})
    assert (await world.request()).json()["sends_left"] == 1
    await world.advance(1.1)
    assert (await world.request()).json()["sends_left"] == 0
    await world.advance(1.1)
    body = problem(await world.request(), 429, "rate_limited", "limit")
    assert body["limit"] == "max_sends"
    assert 297 <= body["retry_after"] <= 300
    await world.advance(body["retry_after"])
    verification_id, code = await world.requested()
    assert (await world.verify(verification_id, code)).status_code == 200
    await world.advance(1.1)
    assert (await world.request()).json()["sends_left"] == 1


async def test_a_success_during_a_running_resend_leaves_the_resend_counted(
    make_world: WorldMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A code verifies while the next one is being made: that one counts in the new chain."""
    world = await make_world(demo(max_sends=2, resend_cooldown_seconds=1))
    first, code = await world.requested()
    await world.advance(1)
    reserved, go_on, start = asyncio.Event(), asyncio.Event(), RedisVerifications.start

    async def slow_start(self: RedisVerifications, *args: Any) -> Any:
        reserved.set()
        await go_on.wait()
        return await start(self, *args)

    monkeypatch.setattr(RedisVerifications, "start", slow_start)
    resend = asyncio.create_task(world.request())
    await reserved.wait()
    assert (await world.verify(first, code)).status_code == 200
    go_on.set()
    assert (await resend).status_code == 202

    await world.advance(1)
    assert (await world.request()).json()["sends_left"] == 0
    await world.advance(1)
    assert problem(await world.request(), 429, "rate_limited", "limit")["limit"] == "max_sends"


async def test_only_the_same_tenant_number_and_purpose_supersede(make_world: WorldMaker) -> None:
    """Another purpose, number or tenant has a verification and a cooldown of its own."""
    world = await make_world({"tenants": {"acme": tenant(api_key("acme", "request"))}})
    verification_id, code = await world.requested()
    await world.requested(purpose="registration")
    await world.requested("0812-1010-0066")
    assert (await world.caller("acme").post(REQUEST, json=BODY)).status_code == 202
    problem(await world.request(), 429, "resend_too_soon")
    assert (await world.verify(verification_id, code)).status_code == 200


async def test_a_success_or_a_cancel_leaves_the_cooldown(world: World) -> None:
    """Neither verifying nor canceling makes another text come sooner."""
    verification_id, code = await world.requested()
    await world.verify(verification_id, code)
    problem(await world.request(), 429, "resend_too_soon")
    await world.advance(30)
    verification_id, _ = await world.requested()
    await world.client.delete(BY_ID + verification_id)
    problem(await world.request(), 429, "resend_too_soon")


async def test_a_canceled_verification_counts_in_its_chain(make_world: WorldMaker) -> None:
    """`max_sends` counts sends until one verifies or the last expires; a cancel is neither."""
    world = await make_world(demo(max_sends=2, resend_cooldown_seconds=1))
    for _ in range(2):
        verification_id, _ = await world.requested()
        await world.client.delete(BY_ID + verification_id)
        await world.advance(1)
    assert problem(await world.request(), 429, "rate_limited", "limit")["limit"] == "max_sends"


@pytest.mark.parametrize(
    ("ttl", "pauses", "codes"),
    [
        (600, (300,), 1),
        (600, (300, 200), 1),
        (600, (300, 200, 60), 2),
        (600, (550,), 2),
        (400, (100,), 1),
        (400, (300,), 1),
    ],
)
async def test_a_code_that_is_sent_again(make_world: WorldMaker, ttl: int, pauses: tuple[int, ...], codes: int) -> None:
    """Under `reuse` a code comes again, with its whole life but never beyond ten minutes, and with time to type it."""
    world = await make_world(demo(resend="reuse", ttl_seconds=ttl, resend_cooldown_seconds=1))
    verification_id, code = await world.requested()
    seen, age = [code], 0
    for pause in pauses:
        await world.advance(pause)
        age += pause
        before = verification_id
        response = await world.request()
        verification_id = response.json()["verification_id"]
        seen.append(await world.code_of(verification_id))
        problem(await world.verify(before, code), 409, "verification_superseded")
        most = ttl if seen[-1] != code else min(ttl, 600 - age)
        assert most - 2 <= response.json()["expires_in"] <= most
    assert len(set(seen)) == codes
    assert (await world.verify(verification_id, seen[-1])).status_code == 200


async def test_a_code_is_not_sent_again_once_it_was_used(make_world: WorldMaker) -> None:
    """After a success, a cancel or the last attempt `reuse` makes a new code."""
    world = await make_world(demo(resend="reuse", resend_cooldown_seconds=1, max_sends=20, code_length=10))
    seen = []
    for end in ("verified", "canceled", "exhausted", "pending"):
        verification_id, code = await world.requested()
        seen.append(code)
        if end == "verified":
            await world.verify(verification_id, code)
        elif end == "canceled":
            await world.client.delete(BY_ID + verification_id)
        elif end == "exhausted":
            for _ in range(5):
                await world.verify(verification_id, world.wrong(code))
        await world.advance(1)
    assert len(set(seen)) == 4
