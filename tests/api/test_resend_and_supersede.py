"""A chain of verifications of one tenant, number and purpose: cooldown, superseding, `max_sends` and `reuse`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from otp_service.store.verifications import RedisVerifications
from tests.api.api_requests import REQUEST_BODY, REQUEST_CODE, VERIFICATIONS
from tests.config_parts import api_key, demo_policy, tenant
from tests.problem_assertions import assert_problem
from tests.running_service import RunningService, ServiceFactory


async def test_the_cooldown_is_exact(service: RunningService) -> None:
    """Retry-After is exact: a second earlier the request is refused, and at that time it is accepted."""
    await service.request_code()
    wait = assert_problem(await service.request(), 429, "resend_too_soon")["retry_after"]
    assert 29 <= wait <= 30
    await service.advance(wait - 2)
    assert_problem(await service.request(), 429, "resend_too_soon")
    await service.advance(2)
    assert (await service.request()).status_code == 202


async def test_a_new_request_supersedes_the_old_one(service: RunningService) -> None:
    """The newest verification is the valid one, with attempts of its own."""
    first, code = await service.request_code()
    await service.verify(first, service.wrong_code(code))
    await service.advance(31)
    second, newer = await service.request_code()
    assert_problem(await service.verify(first, code), 409, "verification_superseded")
    assert (await service.verify(second, newer)).status_code == 200


async def test_sends_of_a_chain_are_counted(make_service: ServiceFactory) -> None:
    """After `max_sends` the chain has to expire; a success ends it, too."""
    service = await make_service({"tenants": {"demo": {"policy": {"max_sends": 2, "resend_cooldown_seconds": 1}}}})
    assert (await service.request()).json()["sends_left"] == 1
    await service.advance(1.1)
    assert (await service.request()).json()["sends_left"] == 0
    await service.advance(1.1)
    body = assert_problem(await service.request(), 429, "rate_limited", "limit")
    assert body["limit"] == "max_sends"
    assert 297 <= body["retry_after"] <= 300
    await service.advance(body["retry_after"])
    verification_id, code = await service.request_code()
    assert (await service.verify(verification_id, code)).status_code == 200
    await service.advance(1.1)
    assert (await service.request()).json()["sends_left"] == 1


async def test_a_resend_that_overlaps_a_success_counts_in_the_new_chain(
    make_service: ServiceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a code verifies while the next one is being made, that one counts in the new chain."""
    service = await make_service(demo_policy(max_sends=2, resend_cooldown_seconds=1))
    first, code = await service.request_code()
    await service.advance(1)
    reserved, go_on, start = asyncio.Event(), asyncio.Event(), RedisVerifications.start

    async def slow_start(self: RedisVerifications, *args: Any) -> Any:
        reserved.set()
        await go_on.wait()
        return await start(self, *args)

    monkeypatch.setattr(RedisVerifications, "start", slow_start)
    resend = asyncio.create_task(service.request())
    await reserved.wait()
    assert (await service.verify(first, code)).status_code == 200
    go_on.set()
    assert (await resend).status_code == 202

    await service.advance(1)
    assert (await service.request()).json()["sends_left"] == 0
    await service.advance(1)
    assert assert_problem(await service.request(), 429, "rate_limited", "limit")["limit"] == "max_sends"


async def test_only_the_same_tenant_number_and_purpose_supersede(make_service: ServiceFactory) -> None:
    """Another purpose, number or tenant has its own verification and cooldown."""
    service = await make_service({"tenants": {"acme": tenant(api_key("acme", "request"))}})
    verification_id, code = await service.request_code()
    await service.request_code(purpose="registration")
    await service.request_code("0812-1010-0066")
    assert (await service.caller("acme").post(REQUEST_CODE, json=REQUEST_BODY)).status_code == 202
    assert_problem(await service.request(), 429, "resend_too_soon")
    assert (await service.verify(verification_id, code)).status_code == 200


async def test_a_success_or_a_cancel_keeps_the_cooldown(service: RunningService) -> None:
    """Neither a success nor a cancel shortens the wait for the next message."""
    verification_id, code = await service.request_code()
    await service.verify(verification_id, code)
    assert_problem(await service.request(), 429, "resend_too_soon")
    await service.advance(30)
    verification_id, _ = await service.request_code()
    await service.client.delete(VERIFICATIONS + verification_id)
    assert_problem(await service.request(), 429, "resend_too_soon")


async def test_a_canceled_verification_counts_in_its_chain(make_service: ServiceFactory) -> None:
    """`max_sends` counts sends until one verifies or the last expires; a cancel ends no chain."""
    service = await make_service(demo_policy(max_sends=2, resend_cooldown_seconds=1))
    for _ in range(2):
        verification_id, _ = await service.request_code()
        await service.client.delete(VERIFICATIONS + verification_id)
        await service.advance(1)
    assert assert_problem(await service.request(), 429, "rate_limited", "limit")["limit"] == "max_sends"


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
async def test_a_code_that_is_sent_again(
    make_service: ServiceFactory, ttl: int, pauses: tuple[int, ...], codes: int
) -> None:
    """With `reuse` a code is sent again, is valid for at most ten minutes in total, and leaves time to enter it."""
    service = await make_service(demo_policy(resend="reuse", ttl_seconds=ttl, resend_cooldown_seconds=1))
    verification_id, code = await service.request_code()
    seen, age = [code], 0
    for pause in pauses:
        await service.advance(pause)
        age += pause
        before = verification_id
        response = await service.request()
        verification_id = response.json()["verification_id"]
        seen.append(await service.code_of(verification_id))
        assert_problem(await service.verify(before, code), 409, "verification_superseded")
        most = ttl if seen[-1] != code else min(ttl, 600 - age)
        assert most - 2 <= response.json()["expires_in"] <= most
    assert len(set(seen)) == codes
    assert (await service.verify(verification_id, seen[-1])).status_code == 200


async def test_a_used_code_is_not_sent_again(make_service: ServiceFactory) -> None:
    """After a success, a cancel or the last attempt `reuse` makes a new code."""
    service = await make_service(demo_policy(resend="reuse", resend_cooldown_seconds=1, max_sends=20, code_length=10))
    seen = []
    for end in ("verified", "canceled", "exhausted", "pending"):
        verification_id, code = await service.request_code()
        seen.append(code)
        if end == "verified":
            await service.verify(verification_id, code)
        elif end == "canceled":
            await service.client.delete(VERIFICATIONS + verification_id)
        elif end == "exhausted":
            for _ in range(5):
                await service.verify(verification_id, service.wrong_code(code))
        await service.advance(1)
    assert len(set(seen)) == 4
