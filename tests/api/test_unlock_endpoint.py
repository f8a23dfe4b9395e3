"""`POST /v1/admin/recipients/unlock`: an operator ends a lock, at the key's own tenant, and the log says who did."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from otp_service.observability import configure_logging
from tests.api.api_requests import REQUEST, UNLOCK
from tests.config_parts import api_key, demo, tenant
from tests.problem_assertions import common, problem
from tests.running_service import NUMBER, World, WorldMaker

MASKED = "+62812*****055"
DISABLING: dict[str, Any] = demo(max_consecutive_failures=2)


@pytest.fixture
def audited() -> Iterator[io.StringIO]:
    """Catch what is logged, as it would be written."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    configure_logging()
    stream = io.StringIO()
    root.handlers[0].setStream(stream)  # type: ignore[attr-defined]
    yield stream
    root.handlers[:], level = before
    root.setLevel(level)


def audit_lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Read the audit lines, without what every line has."""
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    shared = {"timestamp", "request_id", "level", "logger"}
    assert all(line["timestamp"].endswith("Z") for line in lines)
    return [
        {name: value for name, value in line.items() if name not in shared}
        for line in lines
        if line["event"] == "audit"
    ]


async def disable(world: World, phone: str = NUMBER) -> tuple[str, str]:
    """Use up the wrong codes in a row of a number at tenant demo; a pending verification and its right code."""
    verification_id, code = await world.requested(phone)
    for _ in range(2):
        await world.verify(verification_id, world.wrong(code))
    problem(await world.verify(verification_id, code), 429, "recipient_locked")
    return verification_id, code


def unlocked(failures: int = 2, *, was_locked: bool = True) -> dict[str, Any]:
    """Say what the answer is."""
    return {"phone": MASKED, "unlocked": was_locked, "failures_cleared": failures}


async def test_a_disabled_number_is_unlocked(make_world: WorldMaker) -> None:
    """The right code verifies again, and request-code is accepted after its cooldown; sends still count."""
    world = await make_world(DISABLING | {"limits": {"recipient": ["2/3600"]}})
    verification_id, code = await disable(world)

    answer = await world.client.post(UNLOCK, json={"phone": NUMBER})

    common(answer)
    assert (answer.status_code, answer.json()) == (200, unlocked())
    problem(await world.request(), 429, "resend_too_soon")
    assert (await world.verify(verification_id, code)).status_code == 200
    await world.advance(30)
    assert (await world.request()).status_code == 202
    problem(await world.request(purpose="registration"), 429, "rate_limited", "limit")


async def test_unlocking_again_is_answered_alike(make_world: WorldMaker) -> None:
    """A number that is not locked, or that nobody knows, gets the same form; nothing is stored for it."""
    world = await make_world(DISABLING)
    assert (await world.client.post(UNLOCK, json={"phone": NUMBER})).json() == unlocked(0, was_locked=False)
    assert await world.store.keys("otp:*") == []
    await disable(world)
    await world.client.post(UNLOCK, json={"phone": NUMBER})
    assert (await world.client.post(UNLOCK, json={"phone": NUMBER})).json() == unlocked(0, was_locked=False)


async def test_every_lock_is_ended(make_world: WorldMaker) -> None:
    """The wait after an exhausted verification, and the windows of failures too."""
    world = await make_world(demo(resend_cooldown_seconds=1, lockout_seconds=600, max_attempts=1))
    for _ in range(3):
        verification_id, code = await world.requested()
        await world.verify(verification_id, world.wrong(code))
        await world.advance(1)
        problem(await world.request(), 429, "recipient_locked")
        assert (await world.client.post(UNLOCK, json={"phone": NUMBER})).json() == unlocked(1)
    world = await make_world({"limits": {"recipient_failures": ["2/86400"]}})
    await disable(world, "0812-1010-0056")
    await world.client.post(UNLOCK, json={"phone": "0812-1010-0056"})
    await world.advance(30)
    assert (await world.request("0812-1010-0056")).status_code == 202


@pytest.mark.parametrize("spelling", ["+62 812 1010 0055", "62812-1010-0055", "(0812) 1010 0055", "0062 81210100055"])
async def test_any_spelling_is_the_number(make_world: WorldMaker, spelling: str) -> None:
    """As at request-code."""
    world = await make_world(DISABLING)
    await disable(world)
    assert (await world.client.post(UNLOCK, json={"phone": spelling})).json() == unlocked()


async def test_a_number_is_only_read(make_world: WorldMaker) -> None:
    """One that gets no texts, of another country or no mobile one, can be unlocked; `country` reads national forms."""
    world = await make_world({"tenants": {"acme": tenant(api_key("boss", "admin"))}})
    for body in ({"phone": "+6591234567"}, {"phone": "9123 4567", "country": "SG"}, {"phone": "021 3456789"}):
        answer = await world.caller("boss").post(UNLOCK, json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["unlocked"] is False
        assert "*" in answer.json()["phone"]


async def test_a_key_unlocks_at_its_own_tenant_only(make_world: WorldMaker) -> None:
    """An operator of another tenant changes nothing here."""
    world = await make_world(
        {**DISABLING, "tenants": DISABLING["tenants"] | {"acme": tenant(api_key("boss", "admin"))}}
    )
    await disable(world)

    answer = await world.caller("boss").post(UNLOCK, json={"phone": NUMBER})

    assert answer.json() == unlocked(0, was_locked=False)
    problem(await world.request(), 429, "recipient_locked")


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
async def test_what_cannot_be_unlocked(world: World, body: dict[str, Any], status: int, code: str) -> None:
    """A wrong body, another member and what is no number are told as everywhere."""
    problem(await world.client.post(UNLOCK, json=body), status, code, *(["errors"] if status == 400 else []))


async def test_each_unlock_has_an_audit_line(make_world: WorldMaker, audited: io.StringIO) -> None:
    """Who, at which tenant, which number (masked), with what result, and when in UTC; never the whole number."""
    world = await make_world(
        {**DISABLING, "tenants": DISABLING["tenants"] | {"acme": tenant(api_key("weak", "request"))}}
    )
    await disable(world)
    await world.client.post(UNLOCK, json={"phone": NUMBER})
    await world.client.post(UNLOCK, json={"phone": "+62 812-1010-0055"})
    problem(await world.caller("weak").post(UNLOCK, json={"phone": NUMBER}), 403, "scope_missing")
    problem(await world.client.post(UNLOCK, json={"phone": "0812"}), 422, "phone_invalid")

    line = {"event": "audit", "action": "unlock", "tenant": "demo", "actor": "dev", "phone": MASKED}
    assert audit_lines(audited) == [{**line, "result": "unlocked"}, {**line, "result": "not_locked"}]
    assert "81210100055" not in audited.getvalue().replace("-", "").replace(" ", "")
    requests = [json.loads(one) for one in audited.getvalue().splitlines() if '"route":"/v1/admin' in one]
    assert [(one["route"], one["outcome"]) for one in requests] == [
        (UNLOCK, "ok"),
        (UNLOCK, "ok"),
        (UNLOCK, "scope_missing"),
        (UNLOCK, "phone_invalid"),
    ]


async def test_unlocks_are_counted(make_world: WorldMaker) -> None:
    """By tenant, and by whether the number was locked."""
    world = await make_world(DISABLING)

    async def counted(was_locked: str) -> float:
        page = (await world.client.get("/metrics")).text.splitlines()
        start = f'otp_unlocks_total{{tenant="demo",was_locked="{was_locked}"}} '
        return next((float(line.removeprefix(start)) for line in page if line.startswith(start)), 0.0)

    before = [await counted(word) for word in ("true", "false")]
    await disable(world)
    for _ in range(3):
        await world.client.post(UNLOCK, json={"phone": NUMBER})

    assert [await counted(word) for word in ("true", "false")] == [before[0] + 1, before[1] + 2]


async def test_request_code_does_not_take_admin_for_request(make_world: WorldMaker) -> None:
    """An operator's key unlocks, and does nothing that the other scopes allow."""
    world = await make_world({"tenants": {"acme": tenant(api_key("boss", "admin"))}})
    problem(await world.caller("boss").post(REQUEST, json={"phone": NUMBER, "purpose": "login"}), 403, "scope_missing")
