"""Wrong codes count for a number over all its verifications, and lock it."""

from __future__ import annotations

from tests.api.api_requests import ask
from tests.config_parts import api_key, tenant
from tests.problem_assertions import limited, problem
from tests.running_service import NUMBER, WorldMaker


async def test_failures_lock_the_recipient(make_world: WorldMaker) -> None:
    """A new code does not refill guesses; at the limit both endpoints are locked, for right codes too."""
    policy = {"resend_cooldown_seconds": 1, "max_attempts": 3}
    world = await make_world({"tenants": {"demo": {"policy": policy}}, "limits": {"recipient_failures": ["4/86400"]}})
    first, code = await world.requested()
    for _ in range(3):
        await world.verify(first, world.wrong(code))
    await world.advance(1.1)
    second, code = await world.requested()
    await world.verify(second, world.wrong(code))
    problem(await world.verify(second, code), 429, "recipient_locked")
    await world.advance(1.1)
    problem(await world.request(), 429, "recipient_locked")


async def test_a_success_clears_the_failures(make_world: WorldMaker) -> None:
    """Failures before a success do not count after it."""
    world = await make_world(
        {
            "tenants": {"demo": {"policy": {"resend_cooldown_seconds": 1}}},
            "limits": {"recipient_failures": ["4/86400"]},
        }
    )
    for _ in range(3):
        verification_id, code = await world.requested()
        for _ in range(3):
            problem(await world.verify(verification_id, world.wrong(code)), 422, "code_incorrect", "attempts_left")
        assert (await world.verify(verification_id, code)).status_code == 200
        await world.advance(1.1)


async def test_a_recipient_is_one_over_tenants(make_world: WorldMaker) -> None:
    """`recipient` counts all tenants; the cooldown and the lock are each tenant's own."""
    world = await make_world(
        {
            "tenants": {"acme": tenant(api_key("app", "request", "verify"))},
            "limits": {"recipient": ["2/3600"], "recipient_failures": ["1/86400"]},
        }
    )
    verification_id, code = await world.requested()
    await world.verify(verification_id, world.wrong(code))
    problem(await world.request(), 429, "recipient_locked")
    assert (await ask(world, NUMBER)).status_code == 202
    problem(await world.request(purpose="registration"), 429, "recipient_locked")
    limited(await ask(world, NUMBER, purpose="registration"), "recipient")


async def test_the_lock_ends_when_the_failures_are_old(make_world: WorldMaker) -> None:
    """Retry-After of `recipient_locked` is honest: a second before it still locked, at it a code is sent."""
    world = await make_world({"limits": {"recipient_failures": ["2/3600"]}})
    verification_id, code = await world.requested()
    for _ in range(2):
        problem(await world.verify(verification_id, world.wrong(code)), 422, "code_incorrect", "attempts_left")
    on_verify = problem(await world.verify(verification_id, code), 429, "recipient_locked")["retry_after"]
    wait = problem(await world.request(), 429, "recipient_locked")["retry_after"]
    assert 3599 <= wait <= on_verify <= 3600
    await world.advance(wait - 2)
    problem(await world.request(), 429, "recipient_locked")
    await world.advance(2)
    assert (await world.request()).status_code == 202
