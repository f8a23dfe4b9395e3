"""`POST /v1/admin/recipients/unlock`: an operator ends a lock at the key's own tenant, with an audit line."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.api_requests import REQUEST_CODE, UNLOCK_RECIPIENT
from tests.config_parts import api_key, demo_policy, tenant
from tests.log_capture import captured_logs
from tests.problem_assertions import assert_common_headers, assert_problem
from tests.running_service import NUMBER, RunningService, ServiceFactory

MASKED = "+62812*****055"
DISABLING: dict[str, Any] = demo_policy(max_consecutive_failures=2)


@pytest.fixture
def audited() -> Iterator[io.StringIO]:
    """Capture log lines as they would be written."""
    with captured_logs() as stream:
        yield stream


def audit_lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Return the audit lines without the fields that every line has."""
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    shared = {"timestamp", "request_id", "level", "logger"}
    assert all(line["timestamp"].endswith("Z") for line in lines)
    return [
        {name: value for name, value in line.items() if name not in shared}
        for line in lines
        if line["event"] == "audit"
    ]


async def disable(service: RunningService, phone: str = NUMBER) -> tuple[str, str]:
    """Disable a number at tenant demo; return a pending verification and its correct code."""
    verification_id, code = await service.request_code(phone)
    for _ in range(2):
        await service.verify(verification_id, service.wrong_code(code))
    assert_problem(await service.verify(verification_id, code), 429, "recipient_locked")
    return verification_id, code


def unlocked_body(failures: int = 2, *, was_locked: bool = True) -> dict[str, Any]:
    """Return the expected response."""
    return {"phone": MASKED, "unlocked": was_locked, "failures_cleared": failures}


async def test_a_disabled_number_is_unlocked(make_service: ServiceFactory) -> None:
    """The correct code verifies again and request-code is accepted after its cooldown; sends still count."""
    service = await make_service(DISABLING | {"limits": {"recipient": ["2/3600"]}})
    verification_id, code = await disable(service)

    answer = await service.client.post(UNLOCK_RECIPIENT, json={"phone": NUMBER})

    assert_common_headers(answer)
    assert (answer.status_code, answer.json()) == (200, unlocked_body())
    assert_problem(await service.request(), 429, "resend_too_soon")
    assert (await service.verify(verification_id, code)).status_code == 200
    await service.advance(30)
    assert (await service.request()).status_code == 202
    assert_problem(await service.request(purpose="registration"), 429, "rate_limited", "limit")


async def test_unlocking_an_unlocked_number(make_service: ServiceFactory) -> None:
    """A number that is not locked, or is unknown, gets the same form of response, and nothing is stored."""
    service = await make_service(DISABLING)
    assert (await service.client.post(UNLOCK_RECIPIENT, json={"phone": NUMBER})).json() == unlocked_body(
        0, was_locked=False
    )
    assert await service.store.keys("otp:*") == []
    await disable(service)
    await service.client.post(UNLOCK_RECIPIENT, json={"phone": NUMBER})
    assert (await service.client.post(UNLOCK_RECIPIENT, json={"phone": NUMBER})).json() == unlocked_body(
        0, was_locked=False
    )


async def test_every_lock_is_ended(make_service: ServiceFactory) -> None:
    """An unlock ends the wait after an exhausted verification, and resets the limit of wrong codes."""
    service = await make_service(demo_policy(resend_cooldown_seconds=1, lockout_seconds=600, max_attempts=1))
    for _ in range(3):
        verification_id, code = await service.request_code()
        await service.verify(verification_id, service.wrong_code(code))
        await service.advance(1)
        assert_problem(await service.request(), 429, "recipient_locked")
        assert (await service.client.post(UNLOCK_RECIPIENT, json={"phone": NUMBER})).json() == unlocked_body(1)
    service = await make_service({"limits": {"recipient_failures": ["2/86400"]}})
    await disable(service, "0812-1010-0056")
    await service.client.post(UNLOCK_RECIPIENT, json={"phone": "0812-1010-0056"})
    await service.advance(30)
    assert (await service.request("0812-1010-0056")).status_code == 202


@pytest.mark.parametrize("spelling", ["+62 812 1010 0055", "62812-1010-0055", "(0812) 1010 0055", "0062 81210100055"])
async def test_any_spelling_of_the_number(make_service: ServiceFactory, spelling: str) -> None:
    """The number may be sent in any spelling, as with request-code."""
    service = await make_service(DISABLING)
    await disable(service)
    assert (await service.client.post(UNLOCK_RECIPIENT, json={"phone": spelling})).json() == unlocked_body()


async def test_any_valid_number_can_be_unlocked(make_service: ServiceFactory) -> None:
    """A number that is not mobile, or in another country, can be unlocked; `country` is for national numbers."""
    service = await make_service({"tenants": {"acme": tenant(api_key("boss", "admin"))}})
    for body in ({"phone": "+6591234567"}, {"phone": "9123 4567", "country": "SG"}, {"phone": "021 3456789"}):
        answer = await service.caller("boss").post(UNLOCK_RECIPIENT, json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["unlocked"] is False
        assert "*" in answer.json()["phone"]


async def test_a_key_unlocks_at_its_own_tenant_only(make_service: ServiceFactory) -> None:
    """An operator of another tenant changes nothing at this one."""
    service = await make_service(
        {**DISABLING, "tenants": DISABLING["tenants"] | {"acme": tenant(api_key("boss", "admin"))}}
    )
    await disable(service)

    answer = await service.caller("boss").post(UNLOCK_RECIPIENT, json={"phone": NUMBER})

    assert answer.json() == unlocked_body(0, was_locked=False)
    assert_problem(await service.request(), 429, "recipient_locked")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "request_malformed"),
        ({"phone": NUMBER, "tenant": "demo"}, 400, "request_malformed"),
        ({"phone": NUMBER, "country": "XX"}, 400, "request_malformed"),
        ({"phone": 81210100055}, 400, "request_malformed"),
        ({"phone": "0812"}, 422, "phone_invalid"),
        ({"phone": "081210100055", "country": "SG"}, 422, "phone_invalid"),
        ({"phone": "081210100055;ext=5"}, 422, "phone_invalid"),
    ],
)
async def test_malformed_unlock_requests(service: RunningService, body: dict[str, Any], status: int, code: str) -> None:
    """A malformed body, an unknown member and an invalid number get the usual problems."""
    assert_problem(
        await service.client.post(UNLOCK_RECIPIENT, json=body), status, code, *(["errors"] if status == 400 else [])
    )


async def test_each_unlock_has_an_audit_line(make_service: ServiceFactory, audited: io.StringIO) -> None:
    """The line has key, tenant, masked number, result and UTC time, and never the whole number."""
    service = await make_service(
        {**DISABLING, "tenants": DISABLING["tenants"] | {"acme": tenant(api_key("weak", "request"))}}
    )
    await disable(service)
    await service.client.post(UNLOCK_RECIPIENT, json={"phone": NUMBER})
    await service.client.post(UNLOCK_RECIPIENT, json={"phone": "+62 812-1010-0055"})
    assert_problem(await service.caller("weak").post(UNLOCK_RECIPIENT, json={"phone": NUMBER}), 403, "scope_missing")
    assert_problem(await service.client.post(UNLOCK_RECIPIENT, json={"phone": "0812"}), 422, "phone_invalid")

    line = {"event": "audit", "action": "unlock", "tenant": "demo", "actor": "dev", "phone": MASKED}
    assert audit_lines(audited) == [{**line, "result": "unlocked"}, {**line, "result": "not_locked"}]
    assert "81210100055" not in audited.getvalue().replace("-", "").replace(" ", "")
    requests = [json.loads(one) for one in audited.getvalue().splitlines() if '"route":"/v1/admin' in one]
    assert [(one["route"], one["outcome"]) for one in requests] == [
        (UNLOCK_RECIPIENT, "ok"),
        (UNLOCK_RECIPIENT, "ok"),
        (UNLOCK_RECIPIENT, "scope_missing"),
        (UNLOCK_RECIPIENT, "phone_invalid"),
    ]


async def test_unlocks_are_counted(make_service: ServiceFactory) -> None:
    """The metric counts by tenant and by whether the number was locked."""
    service = await make_service(DISABLING)

    async def counted(was_locked: str) -> float:
        page = (await service.client.get("/metrics")).text.splitlines()
        start = f'otp_unlocks_total{{tenant="demo",was_locked="{was_locked}"}} '
        return next((float(line.removeprefix(start)) for line in page if line.startswith(start)), 0.0)

    before = [await counted(word) for word in ("true", "false")]
    await disable(service)
    for _ in range(3):
        await service.client.post(UNLOCK_RECIPIENT, json={"phone": NUMBER})

    assert [await counted(word) for word in ("true", "false")] == [before[0] + 1, before[1] + 2]


async def test_the_scope_admin_allows_nothing_else(make_service: ServiceFactory) -> None:
    """A key with the scope `admin` alone can unlock, and do nothing that other scopes allow."""
    service = await make_service({"tenants": {"acme": tenant(api_key("boss", "admin"))}})
    assert_problem(
        await service.caller("boss").post(REQUEST_CODE, json={"phone": NUMBER, "purpose": "login"}),
        403,
        "scope_missing",
    )
