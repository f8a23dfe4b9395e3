"""A decoy gets the same response as a code, at the same cost, and sends nothing: for accounts that do not exist."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.api.api_requests import REQUEST_BODY, REQUEST_CODE, VERIFICATIONS
from tests.config_parts import demo_policy
from tests.problem_assertions import REQUEST_CODE_MEMBERS, assert_problem, assert_rate_limited
from tests.running_service import NUMBER, RunningService, ServiceFactory


async def test_a_decoy_behaves_like_a_verification(service: RunningService) -> None:
    """A decoy has an id, attempts and a cooldown; it supersedes, and no code verifies it."""
    first, code = await service.request_code()
    await service.advance(30)
    response = await service.request(decoy=True)
    assert response.status_code == 202
    assert {name: type(value) for name, value in response.json().items()} == REQUEST_CODE_MEMBERS
    assert response.json()["sends_left"] == 3
    decoy = response.json()["verification_id"]
    body = (await service.client.get(VERIFICATIONS + decoy)).json()
    assert (body["status"], body["deliveries"]) == ("pending", [])
    assert_problem(await service.request(), 429, "resend_too_soon")
    assert_problem(await service.verify(first, code), 409, "verification_superseded")
    for left in (4, 3, 2, 1, 0):
        assert (
            assert_problem(await service.verify(decoy, code), 422, "code_incorrect", "attempts_left")["attempts_left"]
            == left
        )
    assert_problem(await service.verify(decoy, code), 429, "attempts_exhausted")
    body = (await service.client.get(VERIFICATIONS + decoy)).json()
    assert (body["status"], body["deliveries"]) == ("exhausted", [])
    assert len(service.inbox.messages()) == 1


async def test_a_decoy_costs_a_hash_and_leaves_nothing_to_send(service: RunningService, hashes: Counter[str]) -> None:
    """A decoy costs one hash and one record, and has neither a sealed code nor an outbox entry."""
    assert (await service.request(decoy=True)).status_code == 202
    assert hashes == {"hash": 1}
    assert len(await service.store.keys("otp:*v:*")) == 1
    assert await service.store.keys("otp:*m:*") == await service.store.keys("otp:{p*}:o") == []


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
async def test_a_decoy_uses_every_limit(make_service: ServiceFactory, limit: str, phone: str) -> None:
    """What a decoy has used of a limit is not available to a code."""
    service = await make_service({"limits": {limit: ["1/3600"]}})
    assert (await service.request(decoy=True, client_ip="203.0.113.9")).status_code == 202
    assert_rate_limited(await service.request(phone, "registration", client_ip="203.0.113.9"), limit)


async def test_wrong_codes_at_a_decoy_lock_the_number(make_service: ServiceFactory) -> None:
    """Wrong codes at a decoy count like any other, so the lock does not reveal it."""
    service = await make_service({"limits": {"recipient_failures": ["2/3600"]}})
    decoy = (await service.request(decoy=True)).json()["verification_id"]
    for _ in range(2):
        assert_problem(await service.verify(decoy, "914273"), 422, "code_incorrect", "attempts_left")
    assert_problem(await service.verify(decoy, "914273"), 429, "recipient_locked")
    assert_problem(await service.request(), 429, "recipient_locked")


async def test_a_decoy_under_an_idempotency_key(service: RunningService) -> None:
    """The same idempotency key returns the same response, as for a code."""
    key = {"Idempotency-Key": "order-17"}
    first, again = [
        await service.client.post(REQUEST_CODE, json={**REQUEST_BODY, "decoy": True}, headers=key) for _ in range(2)
    ]
    assert (first.status_code, first.content) == (202, again.content)


@pytest.mark.parametrize("ttl", [300, 600])
async def test_a_sent_code_does_not_verify_a_decoy(make_service: ServiceFactory, ttl: int) -> None:
    """With `reuse` a decoy responds as if the code were sent again, but that code does not verify it."""
    service = await make_service(demo_policy(resend="reuse", ttl_seconds=ttl, code_length=10))
    _, code = await service.request_code()
    await service.advance(200)
    body = (await service.request(decoy=True)).json()
    most = min(ttl, 400)
    assert most - 2 <= body["expires_in"] <= most
    assert_problem(await service.verify(body["verification_id"], code), 422, "code_incorrect", "attempts_left")
    await service.advance(30)
    verification_id, other = await service.request_code()
    assert other != code
    assert (await service.verify(verification_id, other)).status_code == 200


async def test_repeated_decoys_expire_like_repeated_codes(make_service: ServiceFactory) -> None:
    """With `reuse` a code expires ten minutes after it was made, however often it is sent; so does a decoy."""
    service = await make_service(demo_policy(resend="reuse", ttl_seconds=600))
    lives: dict[bool, list[int]] = {False: [], True: []}
    for _ in range(3):
        for decoy, phone in ((False, "0812-1010-0011"), (True, "0812-1010-0022")):
            lives[decoy].append((await service.request(phone, decoy=decoy)).json()["expires_in"])
        await service.advance(150)

    assert lives[True] == pytest.approx(lives[False], abs=1)
    assert lives[True] == pytest.approx([600, 450, 300], abs=2)
