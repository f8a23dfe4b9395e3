"""Wrong codes count for a number over all its verifications, and lock it."""

from __future__ import annotations

from tests.api.api_requests import request_as_app
from tests.config_parts import api_key, tenant
from tests.problem_assertions import assert_problem, assert_rate_limited
from tests.running_service import NUMBER, ServiceFactory


async def test_failures_lock_the_recipient(make_service: ServiceFactory) -> None:
    """A new code does not reset the count; at the limit both endpoints are locked, for correct codes, too."""
    policy = {"resend_cooldown_seconds": 1, "max_attempts": 3}
    service = await make_service(
        {"tenants": {"demo": {"policy": policy}}, "limits": {"recipient_failures": ["4/86400"]}}
    )
    first, code = await service.request_code()
    for _ in range(3):
        await service.verify(first, service.wrong_code(code))
    await service.advance(1.1)
    second, code = await service.request_code()
    await service.verify(second, service.wrong_code(code))
    assert_problem(await service.verify(second, code), 429, "recipient_locked")
    await service.advance(1.1)
    assert_problem(await service.request(), 429, "recipient_locked")


async def test_a_success_clears_the_failures(make_service: ServiceFactory) -> None:
    """Wrong codes before a success do not count after it."""
    service = await make_service(
        {
            "tenants": {"demo": {"policy": {"resend_cooldown_seconds": 1}}},
            "limits": {"recipient_failures": ["4/86400"]},
        }
    )
    for _ in range(3):
        verification_id, code = await service.request_code()
        for _ in range(3):
            assert_problem(
                await service.verify(verification_id, service.wrong_code(code)), 422, "code_incorrect", "attempts_left"
            )
        assert (await service.verify(verification_id, code)).status_code == 200
        await service.advance(1.1)


async def test_the_recipient_limit_counts_all_tenants(make_service: ServiceFactory) -> None:
    """`recipient` counts all tenants; the cooldown and the lock are per tenant."""
    service = await make_service(
        {
            "tenants": {"acme": tenant(api_key("app", "request", "verify"))},
            "limits": {"recipient": ["2/3600"], "recipient_failures": ["1/86400"]},
        }
    )
    verification_id, code = await service.request_code()
    await service.verify(verification_id, service.wrong_code(code))
    assert_problem(await service.request(), 429, "recipient_locked")
    assert (await request_as_app(service, NUMBER)).status_code == 202
    assert_problem(await service.request(purpose="registration"), 429, "recipient_locked")
    assert_rate_limited(await request_as_app(service, NUMBER, purpose="registration"), "recipient")


async def test_the_lock_ends_when_the_failures_are_old(make_service: ServiceFactory) -> None:
    """Retry-After of `recipient_locked` is exact: a second earlier it is locked, at that time a code is sent."""
    service = await make_service({"limits": {"recipient_failures": ["2/3600"]}})
    verification_id, code = await service.request_code()
    for _ in range(2):
        assert_problem(
            await service.verify(verification_id, service.wrong_code(code)), 422, "code_incorrect", "attempts_left"
        )
    on_verify = assert_problem(await service.verify(verification_id, code), 429, "recipient_locked")["retry_after"]
    wait = assert_problem(await service.request(), 429, "recipient_locked")["retry_after"]
    assert 3599 <= wait <= on_verify <= 3600
    await service.advance(wait - 2)
    assert_problem(await service.request(), 429, "recipient_locked")
    await service.advance(2)
    assert (await service.request()).status_code == 202
