"""Consecutive wrong codes: each exhausted verification doubles the wait, and in the end the number is disabled."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.api_requests import VERIFICATIONS, VERIFY_CODE
from tests.config_parts import api_key, demo_policy, tenant
from tests.problem_assertions import assert_problem
from tests.running_service import NUMBER, RunningService, ServiceFactory

DAY = 86_400
NO_OTHER_LIMITS: dict[str, Any] = {"limits": {"recipient": [], "prefix": [], "recipient_failures": ["100/86400"]}}


def demo_without_limits(**policy: Any) -> dict[str, Any]:
    """Configure the tenant so that only the lockout delays its requests."""
    return demo_policy(resend_cooldown_seconds=1, max_sends=20, **policy) | NO_OTHER_LIMITS


async def exhaust(service: RunningService, **members: Any) -> tuple[str, str]:
    """Request a code and use up its attempts; return its id and the correct code ("" of a decoy)."""
    response = await service.request(**members)
    assert response.status_code == 202, response.text
    verification_id = response.json()["verification_id"]
    code = "" if members.get("decoy") else await service.code_of(verification_id)
    wrong = service.wrong_code(code) or "0000000000"
    for _ in range(response.json()["attempts_left"]):
        assert_problem(await service.verify(verification_id, wrong), 422, "code_incorrect", "attempts_left")
    return verification_id, code


async def locked_for(service: RunningService, **members: Any) -> int:
    """Assert that request-code is locked, and return its Retry-After."""
    wait: int = assert_problem(await service.request(**members), 429, "recipient_locked")["retry_after"]
    return wait


@pytest.mark.parametrize("decoy", [False, True], ids=["text", "decoy"])
async def test_each_exhausted_verification_doubles_the_wait(make_service: ServiceFactory, *, decoy: bool) -> None:
    """The wait doubles from 30 s to 1 h at most, for every purpose, and both endpoints report it."""
    service = await make_service(demo_without_limits(lockout_seconds=30))
    for seconds in (30, 60, 120, 240, 480, 960, 1920, 3600, 3600):
        verification_id, code = await exhaust(service, decoy=decoy)
        wait = await locked_for(service, purpose="registration")
        assert seconds - 2 <= wait <= seconds
        wait = assert_problem(await service.verify(verification_id, code or "1234"), 429, "attempts_exhausted")[
            "retry_after"
        ]
        assert seconds - 2 <= wait <= seconds
        await service.advance(seconds - 3)
        assert await locked_for(service) <= 3
        await service.advance(3)


async def test_the_first_wait_is_the_cooldown_by_default(make_service: ServiceFactory) -> None:
    """Without `lockout_seconds` the first wait is the tenant's cooldown, up to its longest wait."""
    service = await make_service(
        demo_policy(resend_cooldown_seconds=40, max_lockout_seconds=90, max_sends=20) | NO_OTHER_LIMITS
    )
    for seconds in (40, 80, 90, 90):
        await exhaust(service)
        assert seconds - 2 <= await locked_for(service) <= seconds
        await service.advance(seconds)


async def test_a_right_code_of_another_purpose_ends_the_wait(make_service: ServiceFactory) -> None:
    """The correct code of a pending verification ends the wait, and the next wait is the first one again."""
    service = await make_service(demo_without_limits(lockout_seconds=30))
    await exhaust(service)
    await service.advance(30)
    other, code = await service.request_code(purpose="registration")
    await exhaust(service)
    assert 58 <= await locked_for(service) <= 60

    assert (await service.verify(other, code)).status_code == 200

    await service.advance(1)
    await exhaust(service)
    assert 28 <= await locked_for(service) <= 30


async def test_the_wait_is_per_tenant_and_number(make_service: ServiceFactory) -> None:
    """Another tenant may send to the number, and this tenant may send to another number."""
    others = tenant(api_key("acme", "request"))
    service = await make_service(demo_without_limits(lockout_seconds=30) | {"tenants": {"acme": others}})
    await exhaust(service)

    assert (await service.request("0812-1010-0056")).status_code == 202
    body = {"phone": NUMBER, "purpose": "login"}
    assert (await service.caller("acme").post("/v1/request-code", json=body)).status_code == 202


@pytest.mark.parametrize("decoy", [False, True], ids=["text", "decoy"])
async def test_a_hundred_wrong_codes_in_a_row_disable_a_number(make_service: ServiceFactory, *, decoy: bool) -> None:
    """A hundred wrong codes, even over days, lock both endpoints until an unlock, for every code and purpose."""
    config = demo_policy(resend_cooldown_seconds=1, max_sends=20)
    service = await make_service(
        config | {"limits": {"recipient": [], "prefix": [], "recipient_failures": ["20/86400"]}}
    )
    for exhausted in range(1, 20):
        await exhaust(service, decoy=decoy)
        await service.advance(DAY if exhausted % 4 == 0 else 3600)
    pending, right = await service.request_code(purpose="registration")
    last = (await service.request(decoy=decoy)).json()["verification_id"]
    for _ in range(5):
        assert_problem(await service.verify(last, "0000000000"), 422, "code_incorrect", "attempts_left")

    for days in (0, 2, 390):
        await service.advance(days * DAY)
        for answer in (
            await service.request(),
            await service.request(purpose="password_reset"),
            *([await service.verify(pending, right), await service.verify(last, "123456")] if days == 0 else []),
        ):
            body = assert_problem(answer, 429, "recipient_locked")
            assert body["retry_after"] == DAY
            assert "operator" in body["detail"]
    assert (await service.request("0812-1010-0056")).status_code == 202


async def test_a_right_code_before_the_limit_resets_the_count(make_service: ServiceFactory) -> None:
    """One wrong code below the limit a correct code still verifies, and the count restarts."""
    service = await make_service(demo_without_limits(max_consecutive_failures=4))
    for _ in range(2):
        verification_id, code = await service.request_code()
        for _ in range(3):
            assert_problem(
                await service.verify(verification_id, service.wrong_code(code)), 422, "code_incorrect", "attempts_left"
            )
        assert (await service.verify(verification_id, code)).status_code == 200
        await service.advance(1)
    verification_id, code = await service.request_code()
    for _ in range(4):
        assert_problem(
            await service.verify(verification_id, service.wrong_code(code)), 422, "code_incorrect", "attempts_left"
        )
    assert_problem(await service.verify(verification_id, code), 429, "recipient_locked")


async def test_a_locked_attempt_does_not_keep_its_idempotency_key(make_service: ServiceFactory) -> None:
    """The 429 of a disabled number frees its Idempotency-Key: once unlocked, the same request is checked."""
    service = await make_service(demo_without_limits(max_consecutive_failures=1))
    pending, code = await service.request_code(purpose="registration")
    other, wrong = await service.request_code()
    await service.verify(other, service.wrong_code(wrong))
    attempt_body = {"verification_id": pending, "code": code}
    for _ in range(2):
        answer = await service.client.post(VERIFY_CODE, json=attempt_body, headers={"Idempotency-Key": "k"})
        assert_problem(answer, 429, "recipient_locked")
    assert (await service.client.get(VERIFICATIONS + pending)).json()["attempts_left"] == 5

    await service.client.post("/v1/admin/recipients/unlock", json={"phone": NUMBER})

    assert (
        await service.client.post(VERIFY_CODE, json=attempt_body, headers={"Idempotency-Key": "k"})
    ).status_code == 200


async def test_locks_are_counted(make_service: ServiceFactory) -> None:
    """Each wrong code that locks a number increases the metric by one, by tenant and kind."""
    service = await make_service(demo_without_limits(max_consecutive_failures=7, lockout_seconds=1))

    async def counted(kind: str) -> float:
        page = (await service.client.get("/metrics")).text.splitlines()
        start = f'otp_lockouts_total{{kind="{kind}",tenant="demo"}} '
        return next((float(line.removeprefix(start)) for line in page if line.startswith(start)), 0.0)

    before = {kind: await counted(kind) for kind in ("wait", "failures", "disabled")}
    await exhaust(service)
    await service.advance(1)
    verification_id, code = await service.request_code()
    for _ in range(2):
        await service.verify(verification_id, service.wrong_code(code))

    assert {kind: await counted(kind) - before[kind] for kind in before} == {"wait": 1, "failures": 0, "disabled": 1}
