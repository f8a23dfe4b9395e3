"""Responses that are not stored for an idempotency key: the retry is a new request."""

from __future__ import annotations

import asyncio

from tests.api.idempotent_requests import kept_count, kept_keys, request_with_key, verify_with_key
from tests.config_parts import SLOW_HASHING, demo_policy
from tests.problem_assertions import assert_problem
from tests.running_service import RunningService, ServiceFactory


async def test_429_and_503_are_not_kept(make_service: ServiceFactory) -> None:
    """After a 429 or a 503 the same key is served, also with another body."""
    service = await make_service(
        demo_policy(max_attempts=1)
        | {"routes": [{"country": "ID", "providers": ["inbox"]}], "limits": {"tenant": ["3/3600"]}}
    )
    assert_problem(await request_with_key(service, phone="+6591234567"), 503, "no_route")
    assert await kept_count(service) == 0
    verification_id, code = await service.request_code()
    assert_problem(await request_with_key(service), 429, "resend_too_soon")
    assert await kept_count(service) == 0
    await service.verify(verification_id, service.wrong_code(code))
    assert_problem(await verify_with_key(service, verification_id, code), 429, "attempts_exhausted")
    assert await kept_count(service) == 0
    await service.advance(30)
    assert (await request_with_key(service)).status_code == 202
    assert await kept_count(service) == 1
    assert (await request_with_key(service, "next", phone="0812-1010-0066")).status_code == 202
    assert_problem(await request_with_key(service, "last", phone="0812-1010-0077"), 429, "rate_limited", "limit")
    assert await kept_count(service) == 2


async def test_a_lock_is_not_kept(make_service: ServiceFactory) -> None:
    """An attempt that met the lock is compared once the lock has ended, with the same key."""
    service = await make_service(demo_policy(ttl_seconds=600) | {"limits": {"recipient_failures": ["1/900"]}})
    verification_id, code = await service.request_code()
    assert_problem(
        await service.verify(verification_id, service.wrong_code(code)), 422, "code_incorrect", "attempts_left"
    )
    wait = assert_problem(await verify_with_key(service, verification_id, code), 429, "recipient_locked")["retry_after"]
    await service.advance(wait)
    assert_problem(await verify_with_key(service, verification_id, code), 410, "verification_expired")


async def test_an_overload_is_not_kept(make_service: ServiceFactory) -> None:
    """A 503 for lack of a hash slot leaves the key free and uses no attempt."""
    service = await make_service({"hashing": {"max_waiting": 1, **SLOW_HASHING["hashing"]}})
    verification_id, code = await service.request_code()
    held = asyncio.create_task(service.request("0812-1010-0066"))
    await asyncio.sleep(0.05)
    assert_problem(await verify_with_key(service, verification_id, code), 503, "overloaded")
    assert_problem(await request_with_key(service, "other", phone="0812-1010-0077"), 503, "overloaded")
    assert (await held).status_code == 202
    assert (await verify_with_key(service, verification_id, code)).status_code == 200
    assert (await request_with_key(service, "other", phone="0812-1010-0077")).status_code == 202


async def test_refusals_without_an_attempt_are_not_kept(service: RunningService) -> None:
    """A 404, 409 or 410 of verify-code is computed again, and nothing is kept for it."""
    verification_id, code = await service.request_code()
    await service.advance(300)
    before = await service.store.keys("*")
    assert_problem(await verify_with_key(service, verification_id, code), 410, "verification_expired")
    await service.advance(601)
    assert_problem(await verify_with_key(service, verification_id, code), 404, "verification_unknown")
    assert set(await service.store.keys("*")) <= set(before)
    assert await kept_keys(service) == []
